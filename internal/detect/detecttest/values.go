package detecttest

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// A value is planted with what stands before and after it.
type value struct{ class, before, text, after string }

// values make one value each, of the classes that texts are planted with.
var values = []func(g *gen) value{
	func(g *gen) value { return value{"email", "contact ", g.mail(), ""} },
	func(g *gen) value { return value{"card", "card number ", g.card(), ""} },
	func(g *gen) value {
		return value{"us-ssn", "ssn ", fmt.Sprintf("%03d-%02d-%04d", g.to(1, 665), g.to(1, 99), g.to(1, 9999)), ""}
	},
	func(g *gen) value {
		return value{"phone", "call ", fmt.Sprintf("+1 415 555 %04d", g.to(100, 199)), ""}
	},
	func(g *gen) value { return value{"iban", "iban ", g.iban(), ""} },
	func(g *gen) value {
		return value{"ip", "client ip ", fmt.Sprintf("%d.%d.%d.%d", g.to(11, 120), g.IntN(256), g.IntN(256), g.to(1, 254)), ""}
	},
	func(g *gen) value {
		return value{"ip", "peer ", fmt.Sprintf("2a02:%x:%x:%x:%x:%x:%x:%x", g.to(16, 65535), g.to(1, 65535), g.to(1, 65535), g.to(1, 65535), g.to(1, 65535), g.to(1, 65535), g.to(1, 65535)), ""}
	},
	func(g *gen) value {
		m := make([]string, 6)
		for i := range m {
			m[i] = g.of(hexes, 2)
		}
		m[0] = "a4"
		return value{"mac", "mac ", strings.Join(m, ":"), ""}
	},
	func(g *gen) value { return value{"aws-key", "key ", "AKIA" + g.of(upper+"234567", 16), ""} },
	func(g *gen) value {
		return value{"github-token", "token ", "gh" + g.of("pousr", 1) + "_" + g.summed(), ""}
	},
	func(g *gen) value { return value{"npm-token", "registry ", "npm_" + g.summed(), ""} },
	func(g *gen) value { return value{"gitlab-token", "use ", "glpat-" + g.of(alnum, 20), ""} },
	func(g *gen) value {
		return value{"slack-token", "hook ", "xoxb-" + g.of(figure[1:], 12) + "-" + g.of(figure[1:], 12) + "-" + g.of(alnum, 24), ""}
	},
	func(g *gen) value { return value{"stripe-key", "charge with ", "sk_live_" + g.of(alnum, 24), ""} },
	func(g *gen) value {
		return value{"anthropic-token", "ask ", "sk-ant-api03-" + g.of(alnum, 93) + "AA", ""}
	},
	func(g *gen) value {
		return value{"sendgrid-token", "mailer ", "SG." + g.of(alnum, 22) + "." + g.of(alnum, 43), ""}
	},
	func(g *gen) value { return value{"digitalocean-token", "droplet ", "dop_v1_" + g.of(hexes, 64), ""} },
	func(g *gen) value {
		return value{"jwt", "bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi" + g.of(alnum, 40) + "." + g.of(alnum, 43), ""}
	},
	func(g *gen) value {
		return value{"pem", "", "-----BEGIN RSA PRIVATE KEY----- " + g.of(alnum+"+/", 120) + " -----END RSA PRIVATE KEY-----", ""}
	},
	func(g *gen) value {
		return value{"dsn-password", "db_password=", g.of(alnum, 7) + g.of(figure, 3) + g.of(upper, 4), " "}
	},
	func(g *gen) value {
		return value{"dsn-password", "postgres://svc_" + g.of(lower, 4) + ":", g.of(alnum, 14), "@db" + g.of(figure, 1) + ".internal:5432/prod"}
	},
	func(g *gen) value { return value{"in-aadhaar", "aadhaar ", g.aadhaar(), ""} },
	func(g *gen) value { return value{"uk-nhs", "nhs number ", g.nhs(), ""} },
	func(g *gen) value {
		return value{"uk-nino", "national insurance ", g.of("ABCEHJLMPRSTW", 1) + g.of("ABCEHJKLMPRSTWXYZ", 1) + g.of(figure, 6) + g.of("ABCD", 1), ""}
	},
	func(g *gen) value {
		return value{"in-pan", "pan ", g.of(upper, 3) + "P" + g.of(upper, 1) + g.of(figure[1:], 4) + g.of(upper, 1), ""}
	},
	func(g *gen) value { return value{"bitcoin", "wallet ", g.bech32(), ""} },
	func(g *gen) value { return value{"ethereum", "wallet ", "0x" + g.of(hexes, 40), ""} },
	func(g *gen) value {
		return value{"date-of-birth", "date of birth ", fmt.Sprintf("19%02d-%02d-%02d", g.to(30, 99), g.to(1, 12), g.to(1, 28)), ""}
	},
	func(g *gen) value { return value{"mbi", "medicare id ", g.mbi(), ""} },
	func(g *gen) value { return value{"npi", "npi ", g.npi(), ""} },
}

// value makes one of any class.
func (g *gen) value() value { return pick(g, values)(g) }

var (
	firsts = strings.Fields("james mary robert patricia john jennifer michael linda priya wei fatima olga juergen sofia kwame yuki carlos ingrid")
	lasts  = strings.Fields("smith johnson williams brown jones garcia miller davis okafor nakamura petrov schmidt larsen kim singh haddad rossi novak")
	hosts  = strings.Fields("example.com mail.example.org corp.example.net initech.co.uk globex.io")
)

func (g *gen) mail() string {
	return pick(g, firsts) + "." + pick(g, lasts) + g.of(figure, g.IntN(3)) + "@" + pick(g, hosts)
}

// card has a brand's prefix and Luhn's digit.
func (g *gen) card() string {
	prefix, n := pick(g, []string{"4", "51", "55", "37", "6011"}), 16
	if prefix == "37" {
		n = 15
	}
	s := prefix + g.of(figure, n-1-len(prefix))
	s += luhn(s)
	if sep := pick(g, []string{"", " ", "-"}); sep != "" && n == 16 {
		return s[:4] + sep + s[4:8] + sep + s[8:12] + sep + s[12:]
	}
	return s
}

// luhn is the digit that makes s pass.
func luhn(s string) string {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return fmt.Sprint((10 - sum%10) % 10)
}

// iban is a German, British or Dutch one with its two digits (ISO 13616).
func (g *gen) iban() string {
	country, account := "DE", g.of(figure, 18)
	switch g.IntN(3) {
	case 0:
		country, account = "GB", "NWBK"+g.of(figure, 14)
	case 1:
		country, account = "NL", "ABNA"+g.of(figure, 10)
	}
	rest := 0
	for _, c := range account + country + "00" {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return fmt.Sprintf("%s%02d%s", country, 98-rest, account)
}

// summed is 30 letters and digits and their CRC-32 in base 62, as GitHub and npm do.
func (g *gen) summed() string {
	const base62 = figure + upper + lower
	s := g.of(base62, 30)
	sum := crc32.ChecksumIEEE([]byte(s))
	var digits [6]byte
	for i := range digits {
		digits[5-i] = base62[sum%62]
		sum /= 62
	}
	return s + string(digits[:])
}

// aadhaar has the check digit of Verhoeff's scheme, whose tables are those of the dihedral group of ten.
func (g *gen) aadhaar() string {
	s := g.of("23456789", 1) + g.of(figure, 10)
	permuted := func(d, times int) int {
		for range times % 8 {
			d = int("1576283094"[d] - '0')
		}
		return d
	}
	multiplied := func(a, b int) int {
		switch {
		case a < 5 && b < 5:
			return (a + b) % 5
		case a < 5:
			return 5 + (a+b-5)%5
		case b < 5:
			return 5 + (a-5+5-b)%5
		}
		return (a - b + 5) % 5
	}
	c := 0
	for i := range 11 {
		c = multiplied(c, permuted(int(s[10-i]-'0'), i+1))
	}
	for d := range 10 {
		if multiplied(c, d) == 0 {
			s += fmt.Sprint(d)
			break
		}
	}
	return s[:4] + " " + s[4:8] + " " + s[8:]
}

// nhs has its check digit, modulo 11.
func (g *gen) nhs() string {
	for {
		s, sum := g.of(figure[4:], 1)+g.of(figure, 8), 0
		for i := range 9 {
			sum += int(s[i]-'0') * (10 - i)
		}
		if c := (11 - sum%11) % 11; c < 10 {
			s += fmt.Sprint(c)
			return s[:3] + " " + s[3:6] + " " + s[6:]
		}
	}
}

// npi has Luhn's digit over itself after 80840.
func (g *gen) npi() string {
	s := g.of("12", 1) + g.of(figure, 8)
	return s + luhn("80840"+s)
}

// mbi is a Medicare number: eleven places, each with its alphabet.
func (g *gen) mbi() string {
	const letters = "ACDEFGHJKMNPQRTUVWXY"
	return g.of(figure[1:], 1) + g.of(letters, 1) + g.of(figure+letters, 1) + g.of(figure, 1) + g.of(letters, 1) + g.of(figure+letters, 1) +
		g.of(figure, 1) + g.of(letters, 2) + g.of(figure, 2)
}

// bech32 is a Bitcoin address of 20 bytes with its checksum (BIP 173).
func (g *gen) bech32() string {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	data := make([]byte, 33)
	for i := range data[1:] {
		data[i+1] = byte(g.IntN(32))
	}
	sum := 1
	put := func(v byte) {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ int(v)
		for i, c := range []int{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= c
			}
		}
	}
	for _, v := range append([]byte{'b' >> 5, 'c' >> 5, 0, 'b' & 31, 'c' & 31}, data...) {
		put(v)
	}
	for range 6 {
		put(0)
	}
	sum ^= 1
	for i := range 6 {
		data = append(data, byte(sum>>(5*(5-i))&31))
	}
	out := []byte("bc1")
	for _, v := range data {
		out = append(out, charset[v])
	}
	return string(out)
}
