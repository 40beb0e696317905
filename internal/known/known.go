// Package known collects what a deployment keeps about one person.
//
// It promises that a record or row which names the person, in any field and however JSON
// writes it, is in the collection, that places it did not look into are named, and that
// nothing one could sign in with is handed out. It reads what is stored and believes
// none of it: whether the log is whole is for assent verify to say.
package known

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

// minName is the fewest letters of a name: one of two letters is in half of all records.
const minName = 3

// withheld are names of fields, in small letters, that one could act in a person's place with.
var withheld = []string{"auth", "csrf", "endpoint", "hash", "p256dh", "password", "salt", "secret", "server_key", "stored_key"}

// bare are tables, or kinds of sealed rows, of which the columns alone are given: their bodies
// quote actions as they were sent, with values that policies mask.
var bare = []string{"approval", "delivery", "fold"}

// searched are the tables that are looked through.
var searched = []string{"approval", "review", "relation", "token", "sealed", "ledger", "vault"}

// Elsewhere is what no collection looks into, for whoever reads one.
func Elsewhere() []string {
	return []string{
		"facts/ and what habits keep: counts and shapes by actor and person, without text",
		"recordings/: what terminals showed; the log's records name the recordings of a session",
		"values that a policy keeps behind tokens: sealed, only whose they are is looked at",
		"table setting",
		"the configuration, backups, other nodes' spools, channels, and what followed the log outside",
	}
}

// A Log is what is read of one.
type Log interface {
	Head(ctx context.Context) (audit.Head, error)
	Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error
}

// Sources are what is looked through.
type Sources struct {
	Log Log
	// Traffic reads every record of this node's traffic, in order.
	Traffic func(fn func(seq int64, leaf []byte) error) error
	// Rows reads a table; nil: the store can't, and the collection says so.
	Rows func(ctx context.Context, t store.Table, fn func(row []any) error) error
}

// An Item is one record or row.
type Item struct {
	Store  string          `json:"store"` // "log", "traffic" or the table
	Record json.RawMessage `json:"record,omitempty"`
	Row    map[string]any  `json:"row,omitempty"`
}

// A Summary ends a collection.
type Summary struct {
	Names    []string         `json:"names"` // all that was looked for: those given and those their accounts told
	Records  int64            `json:"log_size"`
	Found    map[string]int64 `json:"found"` // by store; 0: it was looked through, and nothing is in it
	NotRead  []string         `json:"not_read"`
	Unparsed int64            `json:"unparsed,omitempty"` // records that aren't JSON: assent verify tells which
	Time     time.Time        `json:"time"`
}

// Collect hands each record and row that names the person to fn. names are the ids
// and names of one person: the accounts that these lead to are looked for too.
func Collect(ctx context.Context, src Sources, names []string, fn func(*Item) error) (*Summary, error) {
	c := &collector{fn: fn, sum: &Summary{Found: map[string]int64{}, NotRead: Elsewhere(), Time: time.Now().UTC().Truncate(time.Second)}}
	if len(names) == 0 {
		return nil, errors.New("no name is given: a person's id, as in person:mira, or another")
	}
	for _, n := range names {
		if err := c.look(n); err != nil {
			return nil, err
		}
	}
	if src.Rows == nil {
		c.sum.NotRead = append(c.sum.NotRead, "tables "+strings.Join(searched, ", ")+": this store can't read them beside a server; accounts were not followed")
	} else {
		if err := c.accounts(ctx, src); err != nil {
			return nil, err
		}
		for _, name := range searched {
			if err := c.table(ctx, src, name); err != nil {
				return nil, err
			}
		}
	}
	head, err := src.Log.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the log's head: %w", err)
	}
	c.sum.Records, c.sum.Found["log"], c.sum.Found["traffic"] = head.Size, 0, 0
	if head.Size > 0 {
		err = src.Log.Leaves(ctx, 0, head.Size, func(_ int64, leaf []byte) error { return c.record("log", leaf) })
	}
	if err == nil {
		err = src.Traffic(func(_ int64, leaf []byte) error { return errors.Join(ctx.Err(), c.record("traffic", leaf)) })
	}
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	return c.sum, nil
}

type collector struct {
	fn    func(*Item) error
	sum   *Summary
	names []string // in small letters
}

func (c *collector) look(name string) error {
	if utf8.RuneCountInString(name) < minName {
		return fmt.Errorf("%q is too short to look for: %d letters at least; a person's id is as person:mira", name, minName)
	}
	if low := strings.ToLower(name); !slices.Contains(c.names, low) {
		c.names, c.sum.Names = append(c.names, low), append(c.sum.Names, name)
	}
	return nil
}

// inText reports whether a text holds one of the names, not as a part of a longer word.
func (c *collector) inText(text string) bool {
	low := strings.ToLower(text)
	for _, n := range c.names {
		for from := 0; ; {
			i := strings.Index(low[from:], n)
			if i < 0 {
				break
			}
			at := from + i
			before, _ := utf8.DecodeLastRuneInString(low[:at])
			after, _ := utf8.DecodeRuneInString(low[at+len(n):])
			if !wordy(before) && !wordy(after) {
				return true
			}
			_, size := utf8.DecodeRuneInString(low[at:])
			from = at + size
		}
	}
	return false
}

// wordy is what a word goes on with. RuneError, at an end, is not.
func wordy(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// inValue looks into every text and every name of a JSON value.
func (c *collector) inValue(v any) bool {
	switch v := v.(type) {
	case string:
		return c.inText(v)
	case []any:
		return slices.ContainsFunc(v, c.inValue)
	case map[string]any:
		for k, x := range v {
			if c.inText(k) || c.inValue(x) {
				return true
			}
		}
	}
	return false
}

func (c *collector) record(lane string, leaf []byte) error {
	v, err := parse(leaf)
	if err != nil {
		c.sum.Unparsed++
		if !c.inText(string(leaf)) {
			return nil
		}
		leaf, _ = json.Marshal(string(leaf)) // a string: it can't fail
	} else if !c.inValue(v) {
		return nil
	}
	c.sum.Found[lane]++
	return c.fn(&Item{Store: lane, Record: slices.Clone(leaf)})
}

// parse keeps numbers as they were written.
func parse(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// accounts looks for what the person is called at issuers, too: accounts that were linked to
// them, and the address each of their accounts tells. An address or a name to show leads to no
// account, for others may tell the same.
func (c *collector) accounts(ctx context.Context, src Sources) error {
	t := tableOf("sealed")
	for before := -1; before != len(c.names); {
		before = len(c.names)
		err := src.Rows(ctx, t, func(row []any) error {
			r := rowOf(t, row)
			body, _ := r["body"].(map[string]any)
			from, to := "", ""
			switch _, confirmed := body["confirmed"]; {
			case r["kind"] == "account":
				from, to = "account", "email"
			case r["kind"] == "link" && confirmed:
				from, to = "person", "account"
			}
			id, _ := body[from].(string)
			more, _ := body[to].(string)
			if slices.Contains(c.names, strings.ToLower(id)) && utf8.RuneCountInString(more) >= minName {
				return c.look(more)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func tableOf(name string) store.Table {
	for _, t := range store.Tables {
		if t.Name == name {
			return t
		}
	}
	return store.Table{Name: name}
}

// rowOf names a row's values. Bytes that are JSON are its value, other bytes are text.
func rowOf(t store.Table, row []any) map[string]any {
	out := map[string]any{}
	for i, col := range t.Columns {
		b, ok := row[i].([]byte)
		switch {
		case col == "mac":
		case !ok:
			out[col] = row[i]
		case col == "body":
			if v, err := parse(b); err == nil {
				out[col] = v
			} else {
				out[col] = string(b)
			}
		default:
			out[col] = string(b)
		}
	}
	return out
}

func (c *collector) table(ctx context.Context, src Sources, name string) error {
	t := tableOf(name)
	c.sum.Found[name] = 0
	return src.Rows(ctx, t, func(row []any) error {
		r := rowOf(t, row)
		if !c.inValue(r) {
			return nil
		}
		kind, _ := r["kind"].(string)
		if text, ok := r["body"].(string); slices.Contains(bare, name) || slices.Contains(bare, kind) || ok && text != "" {
			r["body"] = "withheld"
		}
		withhold(r)
		c.sum.Found[name]++
		return c.fn(&Item{Store: name, Row: r})
	})
}

// withhold takes out what one could act in a person's place with.
func withhold(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			withhold(x)
		}
	case map[string]any:
		for k, x := range v {
			if slices.Contains(withheld, strings.ToLower(k)) {
				v[k] = "withheld"
				continue
			}
			withhold(x)
		}
	}
}
