package demo

import (
	"fmt"
	"strings"
)

type dialect int

const (
	postgresDialect dialect = iota
	embeddedDialect
)

// customers is how many rows the customer table has: enough that nobody would call its export harmless.
const customers = 4821

// seedSQL makes the story's tables. Every value is synthetic: names from a short
// list, addresses under example.com (RFC 2606), card numbers that pass Luhn under a test prefix.
func seedSQL(d dialect) string {
	var b strings.Builder
	bigint := "bigint"
	if d == embeddedDialect {
		bigint = "integer"
	}
	fmt.Fprintf(&b, "CREATE TABLE customers (id %s PRIMARY KEY, full_name text NOT NULL, email text NOT NULL, card_number text NOT NULL, region text NOT NULL);\n", bigint)
	fmt.Fprintf(&b, "CREATE TABLE orders (id %s PRIMARY KEY, customer_id %s NOT NULL, item text NOT NULL, quantity %s NOT NULL, status text NOT NULL);\n", bigint, bigint, bigint)
	insert(&b, "customers", customers, func(i int) string {
		first, last := firstNames[i%len(firstNames)], lastNames[(i/len(firstNames))%len(lastNames)]
		return fmt.Sprintf("(%d,'%s %s','%s.%s%d@example.com','%s','%s')", i, first, last, strings.ToLower(first), strings.ToLower(last), i, testCard(i), regions[i%len(regions)])
	})
	insert(&b, "orders", 1200, func(i int) string {
		return fmt.Sprintf("(%d,%d,'%s',%d,'%s')", i, 1+(i*7)%customers, items[i%len(items)], 1+i%4, statuses[i%len(statuses)])
	})
	return strings.TrimSuffix(b.String(), ";\n")
}

func insert(b *strings.Builder, table string, n int, row func(int) string) {
	for from := 1; from <= n; from += 500 {
		fmt.Fprintf(b, "INSERT INTO %s VALUES ", table)
		for i := from; i < from+500 && i <= n; i++ {
			if i > from {
				b.WriteByte(',')
			}
			b.WriteString(row(i))
		}
		b.WriteString(";\n")
	}
}

var (
	firstNames = []string{"Ada", "Bela", "Chidi", "Dana", "Emre", "Freya", "Goran", "Hana", "Ines", "Jonas", "Kaya", "Lena", "Mira", "Noor", "Omar", "Priya"}
	lastNames  = []string{"Abara", "Berg", "Costa", "Dietz", "Eriksen", "Fofana", "Garcia", "Haas", "Ito", "Jansen", "Kovac", "Lindt", "Moreau", "Novak", "Okafor", "Patel"}
	regions    = []string{"EU", "US", "APAC"}
	items      = []string{"notebook", "desk lamp", "kettle", "backpack", "headphones"}
	statuses   = []string{"shipped", "paid", "returned"}
)

// testCard is a synthetic number under a Visa test prefix with a valid check digit (Luhn, ISO/IEC 7812-1).
func testCard(i int) string {
	body := fmt.Sprintf("400000%09d", i)
	sum := 0
	for k := range body {
		d := int(body[len(body)-1-k] - '0')
		if k%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return fmt.Sprintf("%s%d", body, (10-sum%10)%10)
}
