package server

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/erase"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

const (
	withZebulon = `people: [{ id: mira, groups: [reviewers, admins] }, { id: dana, groups: [admins] }, { id: omar, groups: [reviewers, admins] }, { id: zebulon, name: Zebulon Quagga, email: zq@quagga.example, groups: [reviewers, admins] }]`
	zebulonGone = `people: [{ id: mira, groups: [reviewers, admins] }, { id: dana, groups: [admins] }, { id: omar, groups: [reviewers, admins] }]`
)

// needles are what must be in no file, as it may be written.
func needles() map[string][]byte {
	out := map[string][]byte{}
	for _, n := range []string{"zebulon", "Zebulon", "quagga", "Quagga", "zq-00u1", "hash-of-zq"} {
		out[n] = []byte(n)
		out[n+" in hexadecimal"] = []byte(hex.EncodeToString([]byte(n)))
		wide := utf16.Encode([]rune(n))
		le, be := make([]byte, 0, 2*len(wide)), make([]byte, 0, 2*len(wide))
		for _, u := range wide {
			le, be = append(le, byte(u), byte(u>>8)), append(be, byte(u>>8), byte(u))
		}
		out[n+" in UTF-16LE"], out[n+" in UTF-16BE"] = le, be
		for shift := range 3 { // wherever it stands in what is encoded
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + n))
			from := (shift*8 + 5) / 6
			out[n+" in base64"+string(rune('0'+shift))] = []byte(text[from : (shift+len(n))*8/6])
		}
	}
	return out
}

// named are the files below dir that hold what must be in none.
func named(t *testing.T, dir string, but ...string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return unlessGone(err)
		case d.IsDir() && slices.Contains(but, rel):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		b, err := os.ReadFile(path)
		for name, n := range needles() {
			if bytes.Contains(b, n) {
				at := bytes.Index(b, n)
				found = append(found, rel+": "+name+" in "+string(bytes.ToValidUTF8(b[max(0, at-60):min(len(b), at+60)], []byte("."))))
			}
		}
		return unlessGone(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// planted is a deployment that knows much of Zebulon Quagga, with an order to erase him.
func planted(t *testing.T) (*bench, change.Entry) {
	t.Helper()
	b := ruled(t, withZebulon)
	b.session = b.login()
	ctx := t.Context()
	answer := b.background(ctx, "the address of Zebulon Quagga")
	a := b.waiting(1)[0]
	a, err := b.engine.Question(ctx, a.ID, b.person("mira"), "does Zebulon know?", "console")
	if err != nil {
		t.Fatal(err)
	}
	who := b.person("dana")
	if a, err = b.engine.Reply(ctx, approval.Reply{Approval: a.ID, Question: a.Remarks[0].ID, Person: &who, Text: "Quagga knows", Channel: "console"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.engine.Answer(ctx, approval.Answer{Approval: a.ID, Person: b.person("zebulon"), Decision: approval.Deny, Reason: "I, Zebulon Quagga, say no", Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version}); err != nil {
		t.Fatal(err)
	}
	<-answer
	if _, err := b.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:zebulon", Scopes: []string{identity.ScopeReview}, TTL: time.Hour, By: "person:zebulon"}); err != nil {
		t.Fatal(err)
	}
	account := sealed.Kind[map[string]string]("account")
	err = b.box.Update(ctx, func(w *sealed.Writer) error {
		return account.Put(ctx, w, &sealed.Entry[map[string]string]{ID: "hash-of-zq", Value: map[string]string{"account": "corp|zq-00u1", "url": "https://corp.example", "name": "Zebulon Quagga", "email": "zq@quagga.example"}}, &audit.Record{Type: audit.TypePerson, Person: "person:zebulon", Decision: "seen", Detail: map[string]string{"account": "corp|zq-00u1"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.AddRows(ctx, "person:zebulon", "", "urn:db", time.Now(), 3, 300); err != nil {
		t.Fatal(err)
	}
	b.editGroup("dana", "reviewers", nil, []string{"zebulon"})
	e, err := b.ErasePerson(ctx, []string{"person:zebulon", "zebulon", "quagga", "corp|zq-00u1"}, "Zebulon asked us to", b.proposal("mira"))
	if err != nil {
		t.Fatal(err)
	}
	return b, e
}

func TestAPersonIsErased(t *testing.T) {
	b, e := planted(t)
	if e.State != change.Proposed || !strings.Contains(e.Text, "Not erased by this:\n  records of the traffic lane: 0") || !strings.Contains(e.Text, "log: ") {
		t.Fatalf("%+v", e)
	}
	cfg, data := b.cfg, b.cfg.DataDir()
	if _, err := ErasePeople(t.Context(), cfg); err == nil {
		t.Error("it is carried out under a running server")
	}
	for _, who := range []string{"zebulon", "mira"} {
		if err := b.allow(e.Approval, who); err == nil {
			t.Errorf("%s allows it", who)
		}
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if e = b.settled(e.ID); e.State != change.Applied || e.Alone {
		t.Fatalf("%+v", e)
	}
	// What an account tells after two people decided isn't what they decided.
	account := sealed.Kind[map[string]string]("account")
	err := b.box.Update(t.Context(), func(w *sealed.Writer) error {
		return account.Put(t.Context(), w, &sealed.Entry[map[string]string]{ID: "later", Value: map[string]string{"account": "corp|zq-00u1", "email": "omar@corp.example"}}, &audit.Record{Type: audit.TypePerson, Decision: "seen"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if found := named(t, data); len(found) == 0 {
		t.Fatal("nothing was planted")
	}
	done, err := ErasePeople(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(done) == 1 && !slices.Equal(done[0].Later, []string{"omar@corp.example"}) {
		t.Errorf("names that nobody decided about: %q", done[0].Later)
	}
	if len(done) != 1 || done[0].Records < 10 || done[0].Rows["review"] == 0 || done[0].Rows["token"] != 1 || done[0].Rows["ledger"] != 1 || !strings.Contains(strings.Join(done[0].Left, "\n"), "records of the traffic lane that name them: 0") {
		t.Errorf("%+v", done)
	}
	if found := named(t, data, "facts"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, "\n"))
	}
	copied := t.TempDir()
	if err := sqlite.Snapshot(t.Context(), data, filepath.Join(copied, "assent.db")); err != nil {
		t.Fatal(err)
	}
	if found := named(t, copied); len(found) > 0 {
		t.Errorf("in a backup: %s", strings.Join(found, "\n"))
	}
	if f := findings(t, cfg); len(f) > 0 {
		t.Errorf("fsck: %v", f)
	}
	if again, err := ErasePeople(t.Context(), cfg); err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}

	// The server goes on, and nobody comes in by what he had.
	next := &bench{Server: ruledIn(t, b.dir, zebulonGone), t: t, dir: b.dir}
	defer func() { _ = next.Close(context.Background()) }()
	if lines, err := next.VerifyLog(t.Context()); err != nil || !strings.Contains(strings.Join(lines, "\n"), "were erased by 1 erasures") {
		t.Errorf("%v: %v", lines, err)
	}
	for _, state := range []approval.State{approval.Denied, approval.Executed} {
		list, err := next.engine.List(t.Context(), approval.Filter{States: []approval.State{state}})
		if err != nil || len(list) == 0 {
			t.Errorf("%s: %d approvals, %v", state, len(list), err)
		}
	}
	if list, err := next.changes.List(t.Context()); err != nil || len(list) == 0 || strings.Contains(strings.ToLower(list[0].Text), "zebulon") {
		t.Errorf("%v, %v", list, err)
	}
	tokens, err := next.tokens.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range tokens {
		if tok.Kind == identity.KindPerson && tok.Revoked.IsZero() && strings.HasPrefix(tok.Subject, "person:erased-") {
			t.Errorf("a credential of theirs is good: %+v", tok)
		}
	}
	next.editGroup("omar", "reviewers", nil, []string{"mira"})
}

// onlyWrites is a store whose files are not rewritten: as one that was killed behind the commit.
type onlyWrites struct{ *sqlite.Store }

func (s onlyWrites) EraseIn(ctx context.Context, fn func(erase.Tx) error) error {
	return s.Write(ctx, func(tx *sqlite.Tx) error { return fn(tx) })
}

// cutOff is a store whose transaction ends before its commit.
type cutOff struct{ *sqlite.Store }

func (s cutOff) EraseIn(ctx context.Context, fn func(erase.Tx) error) error {
	return s.Write(ctx, func(tx *sqlite.Tx) error { return errors.Join(fn(tx), context.Canceled) })
}

func TestAnErasureThatWasCutOffGoesOn(t *testing.T) {
	b, e := planted(t)
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	b.settled(e.ID)
	cfg, data := b.cfg, b.cfg.DataDir()
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := content(t, data)
	for _, wrap := range []func(*sqlite.Store) erase.Store{
		func(s *sqlite.Store) erase.Store { return cutOff{s} },
		func(s *sqlite.Store) erase.Store { return onlyWrites{s} },
	} {
		if now := content(t, data); now != before {
			t.Error("what was cut off changed something")
		}
		func() {
			st, err := sqlite.Open(t.Context(), data)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = st.Close() }()
			key, err := loadKeyOf(cfg)
			if err != nil {
				t.Fatal(err)
			}
			k, err := loadKeys(cfg.keysDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			log, err := audit.New(audit.Options{Origin: key.Name(), Keys: []*audit.Key{key}, HeadFile: headFile(data)})
			if err == nil {
				err = log.Open(t.Context(), st)
			}
			if err != nil {
				t.Fatal(err)
			}
			box, err := sealed.NewBox(st, log, k.seal)
			if err != nil {
				t.Fatal(err)
			}
			var order *sealed.Entry[erase.Order]
			if err := box.View(t.Context(), func(r *sealed.Reader) (err error) { order, err = erase.Orders.Get(t.Context(), r, e.ID); return err }); err != nil {
				t.Fatal(err)
			}
			_, _ = erase.Run(t.Context(), erase.Options{Store: wrap(st), Log: log, Box: box, Seal: k.seal, Names: order.Value.Names, ID: order.ID})
		}()
	}
	if done, err := ErasePeople(t.Context(), cfg); err != nil || len(done) != 0 {
		t.Fatalf("%v, %v", done, err)
	}
	if found := named(t, data, "facts"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, "\n"))
	}
	if f := findings(t, cfg); len(f) > 0 {
		t.Errorf("fsck: %v", f)
	}
}

func TestNamesThatAreNoPersons(t *testing.T) {
	c := &Config{
		Gates:  []GateConfig{{Name: "billing", Upstream: UpstreamConfig{Database: "ledgers", User: "exporter_role"}}},
		Actors: []ActorConfig{{ID: "nightly"}},
		Groups: GroupMap{"owners": {}},
		Admins: []string{"admins"},
		People: []PersonConfig{{ID: "mira", Groups: []string{"keepers"}}},
	}
	for _, n := range []string{"billing", "Ledgers", "exporter_role", "nightly", "agent:gone", "pipeline:gone", "group:gone", "urn:db", "owners", "Admins", "keepers", "postgres", "person", "person:", "person:operator"} {
		if c.noPerson(n) == "" {
			t.Errorf("%s is taken for a person", n)
		}
	}
	for _, n := range []string{"person:mira", "mira", "Mira Novak", "corp|urn:00u1", "person:gate", "mira@corp.example", "slack:U0123"} {
		if what := c.noPerson(n); what != "" {
			t.Errorf("%s is taken for %s", n, what)
		}
	}
}

func TestErasuresThatAreRefused(t *testing.T) {
	b := ruled(t, withZebulon)
	for name, c := range map[string]struct {
		names []string
		by    string
	}{
		"oneself":                      {[]string{"person:zebulon"}, "zebulon"},
		"by a part of one's id":        {[]string{"zebulon"}, "zebulon"},
		"by one's name":                {[]string{"Zebulon Quagga"}, "zebulon"},
		"by a part of one's name":      {[]string{"quagga"}, "zebulon"},
		"by one's address":             {[]string{"zq@quagga.example"}, "zebulon"},
		"by what every id begins with": {[]string{"person"}, "zebulon"},
		"nobody":                       {nil, "mira"},
		"everybody":                    {[]string{"person:"}, "mira"},
		"the operator":                 {[]string{"person:operator"}, "mira"},
		"an agent":                     {[]string{"person:zebulon", "agent:worker"}, "mira"},
		"an agent by its id":           {[]string{b.cfg.Actors[0].ID}, "mira"},
		"a group":                      {[]string{"Reviewers"}, "mira"},
		"too short":                    {[]string{"ze"}, "mira"},
		"with space":                   {[]string{" zebulon"}, "mira"},
	} {
		if _, err := b.ErasePerson(t.Context(), c.names, "because", b.proposal(c.by)); err == nil {
			t.Errorf("%s: nobody objects", name)
		}
	}
	one := ruled(t, oneAdmin)
	if _, err := one.ErasePerson(t.Context(), []string{"person:dana"}, "because", one.proposal("mira")); !errors.Is(err, change.ErrTogether) {
		t.Errorf("one administrator alone: %v", err)
	}

	// Something that is open names him: nothing is erased, and it is said which.
	b.session = b.login()
	e, err := b.ErasePerson(t.Context(), []string{"person:zebulon", "zebulon"}, "because", b.proposal("mira"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	b.settled(e.ID)
	b.background(t.Context(), "the address of zebulon")
	open := b.waiting(1)[0]
	cfg := b.cfg
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := content(t, cfg.DataDir())
	if _, err := ErasePeople(t.Context(), cfg); !errors.Is(err, erase.ErrOpen) || !strings.Contains(err.Error(), open.ID) {
		t.Errorf("while it is open: %v", err)
	}
	if content(t, cfg.DataDir()) != before {
		t.Error("something was erased")
	}

	// Nor from a log that isn't as it was written: that is evidence.
	db, err := sql.Open("sqlite", filepath.Join(cfg.DataDir(), "assent.db")+"?_pragma=busy_timeout(10000)")
	if err == nil {
		_, err = db.ExecContext(t.Context(), "UPDATE log_record SET leaf = CAST(replace(CAST(leaf AS TEXT), 'person:omar', 'person:dana') AS BLOB) WHERE type = 'review'")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ErasePeople(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "nothing was erased") {
		t.Errorf("from a log that doesn't verify: %v", err)
	}
}

// held places a hold, which two administrators want.
func (b *bench) held(h erase.HoldRequest) string {
	b.t.Helper()
	e, err := b.Hold(b.t.Context(), h, "a case", b.proposal("mira"))
	if err != nil {
		b.t.Fatal(err)
	}
	if e.State != change.Proposed {
		b.t.Fatalf("one administrator does it alone: %+v", e)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		b.t.Fatal(err)
	}
	if e = b.settled(e.ID); e.State != change.Applied {
		b.t.Fatalf("%+v", e)
	}
	return e.ID
}

func TestALegalHoldKeepsFromErasure(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		hold erase.HoldRequest
		kept bool
	}{
		"the person":               {erase.HoldRequest{Names: []string{"person:zebulon"}}, true},
		"by an account":            {erase.HoldRequest{Names: []string{"corp|zq-00u1"}}, true},
		"a time":                   {erase.HoldRequest{From: now.Add(-time.Hour)}, true},
		"the person in a time":     {erase.HoldRequest{Names: []string{"person:zebulon"}, Until: now.Add(time.Hour)}, true},
		"who is named beside":      {erase.HoldRequest{Names: []string{"person:dana"}}, true},
		"who is, in a time":        {erase.HoldRequest{Names: []string{"person:dana"}, From: now.Add(-time.Hour)}, true},
		"who isn't in that time":   {erase.HoldRequest{Names: []string{"person:dana"}, Until: now.Add(-time.Hour)}, false},
		"an agent it asked for":    {erase.HoldRequest{Names: []string{"agent:worker"}}, true},
		"who could have answered":  {erase.HoldRequest{Names: []string{"person:omar"}}, true},
		"a time before":            {erase.HoldRequest{Until: now.Add(-time.Hour)}, false},
		"released, of this person": {erase.HoldRequest{Names: []string{"person:zebulon"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, e := planted(t)
			id := b.held(c.hold)
			if strings.HasPrefix(name, "released") {
				b.held(erase.HoldRequest{Release: id})
			}
			if err := b.allow(e.Approval, "omar"); err != nil {
				t.Fatal(err)
			}
			b.settled(e.ID)
			if list, err := b.Holds(t.Context()); err != nil || len(list) != 1 || list[0].ID != id || (list[0].Key == erase.Released) != strings.HasPrefix(name, "released") {
				t.Errorf("%+v, %v", list, err)
			}
			if err := b.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			before := content(t, b.cfg.DataDir())
			done, err := ErasePeople(t.Context(), b.cfg)
			if c.kept {
				if !errors.Is(err, erase.ErrHeld) || !strings.Contains(err.Error(), id) || content(t, b.cfg.DataDir()) != before {
					t.Errorf("%v, %v", done, err)
				}
				return
			}
			if err != nil || len(done) != 1 {
				t.Fatalf("%v, %v", done, err)
			}
			if found := named(t, b.cfg.DataDir(), "facts"); len(found) > 0 {
				t.Errorf("still there: %s", strings.Join(found, "\n"))
			}
		})
	}
}

func TestHoldsThatAreNone(t *testing.T) {
	b := ruled(t, withZebulon)
	now := time.Now()
	for name, h := range map[string]erase.HoldRequest{
		"of nothing":        {},
		"that ends first":   {From: now, Until: now.Add(-time.Hour)},
		"released and more": {Release: "chg_1", Names: []string{"person:mira"}},
		"with too many":     {Names: slices.Repeat([]string{"person:mira"}, 51)},
	} {
		if _, err := b.Hold(t.Context(), h, "because", b.proposal("mira")); err == nil {
			t.Errorf("a hold %s: nobody objects", name)
		}
	}
	one := ruled(t, oneAdmin)
	if _, err := one.Hold(t.Context(), erase.HoldRequest{Names: []string{"person:dana"}}, "because", one.proposal("mira")); !errors.Is(err, change.ErrTogether) {
		t.Errorf("one administrator alone: %v", err)
	}
}
