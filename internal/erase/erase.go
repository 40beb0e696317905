// Package erase takes a person out of what a deployment keeps: their names are replaced by
// one pseudonym wherever they stand, and texts that may tell of them are cut.
//
// It promises that the log verifies afterwards, as package audit has it, that checks which
// compare people hold on the pseudonym, and that all of a store happens in one transaction:
// one that was cut off changed nothing, and runs again. It refuses while something that
// names the person is still open. What it does not reach it counts and names.
package erase

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/known"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store"
)

// Cut stands in the place of a text that named the person.
const Cut = "[erased]"

// ErrOpen refuses while an approval that names the person may still run or be answered.
var ErrOpen = errors.New("something that names them is still open")

// A Tx writes a store.
type Tx interface {
	sealed.Tx
	audit.EraseTx
	// ReplaceRow stores row in the place of the one with the key of old, or nothing where it is nil.
	ReplaceRow(ctx context.Context, t store.Table, old, row []any) error
}

// A Store is one that a person can be taken out of.
type Store interface {
	Head(ctx context.Context) (audit.Head, error)
	Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error
	Rows(ctx context.Context, t store.Table, fn func(row []any) error) error
	// EraseIn runs fn in one transaction, and leaves nothing in the files of what it replaced.
	EraseIn(ctx context.Context, fn func(Tx) error) error
}

// Options say what is erased where.
type Options struct {
	Store Store
	Log   *audit.Log
	Box   *sealed.Box
	Seal  []byte   // key of the rows' MACs
	Names []string // of the person, all that people decided: accounts are not followed
	ID    string   // of what people decided: the order
}

// A Done tells what was erased.
type Done struct {
	Pseudonym string           `json:"pseudonym"`
	Records   int              `json:"records"`
	Rows      map[string]int64 `json:"rows"` // by table
	// Later are names that those decided lead to by now, and that nobody decided about.
	Later []string `json:"later,omitempty"`
}

// Run erases. The order is ended in the same transaction.
func Run(ctx context.Context, o Options) (*Done, error) {
	p, err := known.Exactly(o.Names)
	if err != nil {
		return nil, err
	}
	e := &eraser{o: o, person: p, as: pseudonym(), ids: map[string]string{}, done: &Done{Rows: map[string]int64{}}}
	e.done.Pseudonym = e.as
	if err := e.prepare(ctx); err != nil {
		return nil, fmt.Errorf("erasing a person: %w", err)
	}
	if err := e.find(ctx); err != nil {
		return nil, fmt.Errorf("erasing a person: %w", err)
	}
	if err := o.Store.EraseIn(ctx, func(tx Tx) error { return e.write(ctx, tx) }); err != nil {
		return nil, fmt.Errorf("erasing a person: %w", err)
	}
	return e.done, nil
}

// prepare reads the order, what keeps from it, and what its names lead to by now.
func (e *eraser) prepare(ctx context.Context) error {
	src := known.Sources{Rows: e.o.Store.Rows}
	now, err := known.Look(ctx, src, e.o.Names)
	if err != nil {
		return err
	}
	for _, n := range now.Plain() {
		if !slices.Contains(e.person.Names(), n) {
			e.done.Later = append(e.done.Later, n)
		}
	}
	return e.o.Box.View(ctx, func(r *sealed.Reader) error {
		order, err := Orders.Get(ctx, r, e.o.ID)
		if err != nil {
			return err
		}
		e.approval = order.Value.Approval
		if e.holds, err = keepers(ctx, r, src); err != nil {
			return err
		}
		for _, h := range e.holds {
			if err := h.person(e.person); err != nil {
				return err
			}
		}
		return nil
	})
}

func pseudonym() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return "erased-" + hex.EncodeToString(b[:])
}

type eraser struct {
	o      Options
	person *known.Person
	as     string
	ids    map[string]string // "kind/id" of sealed rows that get another id
	holds  []*keeper
	// approval is of the order: who asked for it and who allowed it are named in it beside
	// the person, which is no reason to keep it.
	approval string
	copies   []*audit.Record
	rows     []replaced
	done     *Done
}

type replaced struct {
	t        store.Table
	old, new []any
}

func (e *eraser) find(ctx context.Context) error {
	for _, t := range store.Tables {
		if strings.HasPrefix(t.Name, "log_") {
			continue
		}
		err := e.o.Store.Rows(ctx, t, func(row []any) error {
			now, hit, err := e.row(t, row)
			if err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			if hit {
				e.done.Rows[t.Name]++
				e.rows = append(e.rows, replaced{t, slices.Clone(row), now})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	head, err := e.o.Store.Head(ctx)
	if err != nil {
		return err
	}
	return e.o.Store.Leaves(ctx, 0, head.Size, func(index int64, leaf []byte) error {
		r, err := e.record(leaf)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		if r != nil {
			e.copies = append(e.copies, r)
		}
		return nil
	})
}

func (e *eraser) write(ctx context.Context, tx Tx) error {
	for _, r := range e.rows {
		if err := tx.ReplaceRow(ctx, r.t, r.old, r.new); err != nil {
			return err
		}
	}
	w := e.o.Box.Join(tx)
	order, err := Orders.Get(ctx, &w.Reader, e.o.ID)
	if err != nil {
		return err
	}
	e.done.Records = len(e.copies)
	rec := &audit.Record{Approval: order.Value.Approval, Detail: map[string]string{"order": e.o.ID, "pseudonym": e.as}}
	if err := e.o.Log.Erase(ctx, tx, rec, e.copies); err != nil {
		return err
	}
	order.Value.Names, order.Value.Pseudonym, order.Key = nil, e.as, Erased
	return Orders.Put(ctx, w, order, &audit.Record{Type: audit.TypeErase, Approval: order.Value.Approval, Decision: Erased})
}

// text is a text without the person.
func (e *eraser) text(s string) string {
	switch {
	case e.person.Encoded(s):
		return erasedBytes
	case !e.person.InText(s):
		return s
	}
	with := e.person.Replace(s, e.as)
	if strings.ContainsFunc(with, unicode.IsSpace) {
		return Cut // who knows what else it tells
	}
	return with
}

// erasedBytes is base64, so that what is read into bytes still can be.
const erasedBytes = "ZXJhc2Vk"

// free is a text of a record or row that names the person: one of several words may tell of them
// in other words.
func (e *eraser) free(s string) string {
	if s = e.text(s); strings.ContainsFunc(s, unicode.IsSpace) {
		return Cut
	}
	return s
}

// value is free for every text and name in a JSON value.
func (e *eraser) value(v any) any {
	switch v := v.(type) {
	case string:
		return e.free(v)
	case []any:
		for i := range v {
			v[i] = e.value(v[i])
		}
	case map[string]any:
		for k, x := range v {
			delete(v, k)
			v[e.text(k)] = e.value(x)
		}
	}
	return v
}

// dropped are details that are about the person even where they don't name them: what they
// signed, and unsalted digests of what named them.
var dropped = []string{
	"sha256", "id_token", "credential", "key", "signature", "client_data", "authenticator_data",
	"by_credential", "by_signature", "by_client_data", "by_authenticator_data",
}

// record is the copy that is left of a record; nil: it doesn't name the person.
func (e *eraser) record(leaf []byte) (*audit.Record, error) {
	var v map[string]any
	if err := json.Unmarshal(leaf, &v); err != nil {
		return nil, errors.New("it isn't JSON: run assent verify")
	}
	about, _ := v["about"].(string)
	id, renamed := e.ids[about]
	if !renamed && !e.person.In(v) {
		return nil, nil
	}
	r := &audit.Record{}
	if err := json.Unmarshal(leaf, r); err != nil {
		return nil, err
	}
	for _, h := range e.holds {
		if err := h.record(v, r.Time, r.Approval == e.approval || r.About == "change/"+e.o.ID); err != nil {
			return nil, err
		}
	}
	if !audit.Erasable(r.Type) {
		return nil, fmt.Errorf("it is of type %s, which is never erased, and names them: leave the name out that it has (assent person export shows it)", r.Type)
	}
	if renamed {
		r.About = id
	}
	for _, s := range []*string{&r.Actor, &r.Subject, &r.Person, &r.Session, &r.Gate, &r.Resource, &r.Env, &r.Verb, &r.Approval, &r.About, &r.Grant, &r.Outcome} {
		*s = e.text(*s)
	}
	for _, list := range [][]string{r.Chain, r.Kinds, r.Rules} {
		for i := range list {
			list[i] = e.text(list[i])
		}
	}
	r.Title, r.Target, r.Shape = "", "", ""
	detail := map[string]string{}
	for k, s := range r.Detail {
		if !slices.Contains(dropped, k) {
			detail[e.text(k)] = e.free(s)
		}
	}
	r.Detail = detail
	return r, nil
}

// own reports whether a row is of the order itself.
func (e *eraser) own(at map[string]any) bool {
	body, _ := at["body"].(map[string]any)
	return at["id"] == e.approval || at["id"] == e.o.ID || at["approval"] == e.approval || body["approval"] == e.approval
}

// renamed are kinds whose ids are made of who they are about, or let somebody in.
var renamed = []string{"account", "link", "session", "taint", "push", "quiet", "snooze", "scim-user", "admin", "invitation", "standin"}

// row is what is left of a row; hit is false where it doesn't name the person.
func (e *eraser) row(t store.Table, row []any) (now []any, hit bool, err error) {
	col := map[string]int{}
	at := map[string]any{}
	for i, name := range t.Columns {
		col[name] = i
		if n, ok := row[i].(int64); ok && name == "hour" {
			at[name] = time.Unix(n*3600, 0).UTC().Format(time.RFC3339)
		}
		if b, ok := row[i].([]byte); ok && name != "mac" {
			at[name] = string(b)
			var v any
			if json.Unmarshal(b, &v) == nil && (name == "body" || name == "value") {
				at[name] = v
			}
		}
	}
	if t.Name == "sealed" && at["kind"] == string(Orders) || !e.person.In(at) {
		return nil, false, nil
	}
	for _, h := range e.holds {
		if err := h.row(at, e.own(at)); err != nil {
			return nil, false, err
		}
	}
	now = slices.Clone(row)
	text := func(name string) string { return string(now[col[name]].([]byte)) }
	number := func(name string) int64 { n, _ := now[col[name]].(int64); return n }
	for i, name := range t.Columns {
		if b, ok := row[i].([]byte); ok && name != "mac" && name != "body" && name != "value" {
			now[i] = []byte(e.text(string(b)))
		}
	}
	var body []byte
	if v, ok := at["body"].(map[string]any); ok {
		if body, err = json.Marshal(e.value(v)); err != nil {
			return nil, false, err
		}
	}
	switch t.Name {
	case "approval":
		r, open, err := approval.Reseal(e.o.Seal, body)
		if err != nil {
			return nil, false, err
		}
		if open {
			return nil, false, fmt.Errorf("approval %s: %w: answer it, withdraw it or wait until it has ended", r.ID, ErrOpen)
		}
		for name, s := range map[string]string{"match": r.Match, "shape": r.Shape, "actor": r.Actor, "credential": r.Credential, "person": r.Person} {
			now[col[name]] = []byte(s)
		}
		now[col["body"]], now[col["mac"]] = r.Body, r.MAC
	case "review":
		r, err := approval.ResealReview(e.o.Seal, body)
		if err != nil {
			return nil, false, err
		}
		now[col["person"]], now[col["body"]], now[col["mac"]] = []byte(r.Person), r.Body, r.MAC
	case "relation":
		now[col["mac"]] = approval.RelationMAC(e.o.Seal, text("actor"), text("person"), text("why"), number("seen"))
	case "token":
		r, err := identity.ResealRevoked(e.o.Seal, body)
		if err != nil {
			return nil, false, err
		}
		now[col["user_name"]], now[col["body"]], now[col["mac"]] = []byte(r.User), r.Body, r.MAC
	case "ledger":
		now[col["mac"]] = store.LedgerMAC(e.o.Seal, text("subject"), text("class"), text("resource"), number("hour"), number("row_count"), number("byte_count"))
	case "vault":
		return nil, true, nil // the values of their tokens go
	case "sealed":
		about := text("kind") + "/" + string(row[col["id"]].([]byte))
		if slices.Contains(renamed, text("kind")) {
			now[col["id"]] = []byte(pseudonym())
		}
		if is := text("kind") + "/" + text("id"); is != about {
			e.ids[about] = is
		}
		now[col["body"]] = body
		now[col["mac"]] = sealed.Reseal(e.o.Seal, text("kind"), text("id"), number("revision"), text("key"), number("due"), body)
	case "setting":
		now[col["value"]] = []byte(Cut)
	}
	return now, true, nil
}
