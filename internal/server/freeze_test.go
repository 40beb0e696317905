package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// ruled is a real server with administrators, and one open session of an agent.
func ruled(t *testing.T, more string) *bench {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(heldPack), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: ruledIn(t, dir, more), t: t, dir: dir}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	return b
}

func ruledIn(t *testing.T, dir, more string) *Server {
	t.Helper()
	s, err := startIn(t, dir, more)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startIn(t *testing.T, dir, more string) (*Server, error) {
	t.Helper()
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
actors: [{ id: worker, owner: dana }, { id: other, owner: omar }]
`+more))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Start(t.Context()); err != nil {
		_ = s.Close(context.Background())
		return nil, err
	}
	return s, nil
}

const (
	oneAdmin    = `people: [{ id: mira, groups: [reviewers, admins] }, { id: dana }, { id: omar, groups: [reviewers] }]`
	threeAdmins = `people: [{ id: mira, groups: [reviewers, admins] }, { id: dana, groups: [admins] }, { id: omar, groups: [reviewers, admins] }]`
)

func (b *bench) person(id string) identity.Person {
	b.t.Helper()
	p, ok := b.Server.dir.Person("person:" + id)
	if !ok {
		b.t.Fatalf("no person %s", id)
	}
	return p
}

func (b *bench) freeze(what, name string) freeze.Entry {
	b.t.Helper()
	f, err := b.freezes.Freeze(b.t.Context(), freeze.Target{What: what, Name: name}, "it behaves strangely, secret-reason", b.person("mira"))
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *bench) proposal(by string) change.Proposal {
	p := b.person(by)
	return change.Proposal{Author: p, Credential: "test", Admin: b.changes.IsAdmin(&p)}
}

// allow answers the approval of a change, and returns what became of the answer.
func (b *bench) allow(id, by string) error {
	a, err := b.engine.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.engine.Answer(b.t.Context(), approval.Answer{Approval: id, Person: b.person(by), Decision: approval.Approve, Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version})
	return err
}

func (b *bench) settled(id string) change.Entry {
	b.t.Helper()
	for range 400 {
		e, err := b.changes.Get(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if e.State != change.Proposed {
			return e
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatal("the change was never settled")
	return change.Entry{}
}

func TestFreezeStopsEverythingOfTheFrozen(t *testing.T) {
	for _, target := range []freeze.Target{
		{What: freeze.Actor, Name: "agent:worker"},
		{What: freeze.Person, Name: "person:dana"},
		{What: freeze.Resource, Name: "line:test"},
		{What: freeze.Gate, Name: "line"},
		{What: freeze.Everything},
	} {
		t.Run(target.What, func(t *testing.T) {
			b := ruled(t, oneAdmin)
			waiting := b.background(t.Context(), "one")
			a := b.waiting(1)[0]
			b.freeze(target.What, target.Name)
			err := <-waiting
			refusedWith(t, err, gate.StatusDenied, "frozen by mira")
			var d *gate.Denied
			if errors.As(err, &d) && strings.Contains(d.Reason+d.Hint, "secret-reason") {
				t.Error("the asker hears why")
			}
			if got, err := b.engine.Get(t.Context(), a.ID); err != nil || got.State != approval.Withdrawn {
				t.Errorf("its approval is %v, %v", got.State, err)
			}
			select {
			case <-b.session.Cut():
			default:
				t.Error("its connection is open")
			}
			_, err = b.ask(t.Context(), action.DataWrite, "two")
			refusedWith(t, err, gate.StatusDenied, "frozen by mira")
			_, err = b.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, "").Login(t.Context(), mustVerifier(b), gate.Peer{})
			refusedWith(t, err, gate.StatusDenied, "frozen by mira")
			if n := len(b.records(audit.TypeFreeze)); n != 1 {
				t.Errorf("%d records of the freeze", n)
			}
		})
	}
}

func mustVerifier(b *bench) gate.Verifier {
	b.t.Helper()
	v, err := b.enforcer.Gate("line", action.Resource{}, "").Verifier(b.t.Context(), "worker")
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// Approved and not yet used: the grant is void, also where only the store knows of the freeze yet.
func TestFreezeVoidsWhatIsApproved(t *testing.T) {
	b := ruled(t, oneAdmin)
	ctx, leave := context.WithCancel(t.Context())
	first := b.background(ctx, "one")
	a := b.waiting(1)[0]
	leave()
	<-first
	b.approve(a)
	// Another replica's switch: this process has not heard of it when the approval is used.
	box, err := sealed.NewBox(b.store, b.auditLog, b.sealKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := freeze.New(freeze.Options{Box: box, Directory: b.Server.dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Freeze(t.Context(), freeze.Target{What: freeze.Actor, Name: "agent:worker"}, "why", b.person("mira")); err != nil {
		t.Fatal(err)
	}
	got, err := b.engine.Get(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	act := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "write a line", Statement: "one", Payload: []byte("one")}
	b.session.Describe(act)
	_, err = b.engine.Use(t.Context(), a.ID, approval.Use{Action: act, Asker: got.Asker, MaxRows: -1, Recheck: func(context.Context, *approval.Approval) error { return nil }})
	if err == nil {
		t.Fatal("a frozen actor's approval was used")
	}
	if got, err = b.engine.Get(t.Context(), a.ID); err != nil || got.State != approval.Withdrawn {
		t.Fatalf("the approval is %s, %v", got.State, err)
	}
	if n := len(b.records(audit.TypeStarted)); n != 0 {
		t.Fatalf("%d executions were started", n)
	}
	for range 300 { // and within a second or so this process has heard too
		if len(b.freezes.List(false)) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("another replica's freeze was never heard of")
}

func (b *bench) sealKey() []byte {
	k, err := loadKeys(filepath.Join(b.dir, "data", "keys"), false)
	if err != nil {
		b.t.Fatal(err)
	}
	return k.seal
}

// A row taken away, edited or put back stops everything, and is an alarm.
func TestATamperedFreezeStopsEverything(t *testing.T) {
	for name, attack := range map[string]func(b *bench){
		"deleted": func(b *bench) { edit(b.t, b.dir, "DELETE FROM sealed WHERE kind = 'freeze'") },
		"edited": func(b *bench) {
			edit(b.t, b.dir, `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'agent:other', 'agent:nobody') AS BLOB) WHERE kind = 'freeze'`)
		},
		"deleted, and what the log says of it": func(b *bench) {
			edit(b.t, b.dir, "DELETE FROM sealed WHERE kind = 'freeze'", "UPDATE log_record SET about = '' WHERE about LIKE 'freeze/%'")
		},
		"renamed": func(b *bench) { edit(b.t, b.dir, "UPDATE sealed SET kind = 'froze' WHERE kind = 'freeze'") },
	} {
		t.Run(name, func(t *testing.T) {
			b := ruled(t, oneAdmin)
			b.freeze(freeze.Actor, "agent:other") // somebody else: this one's agent may go on
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := b.ask(ctx, action.DataWrite, "one"); err == nil || strings.Contains(err.Error(), "frozen") {
				t.Fatalf("before: %v", err)
			}
			cancel()
			attack(b)
			if err := b.freezes.Load(t.Context()); !errors.Is(err, sealed.ErrTampered) {
				t.Fatalf("nobody notices: %v", err)
			}
			_, err := b.ask(t.Context(), action.DataWrite, "two")
			refusedWith(t, err, gate.StatusDenied, "can't be read")
			if b.freezes.Err() == nil {
				t.Error("it is healthy")
			}
			if n := len(b.records(audit.TypeAlarm)); n == 0 {
				t.Error("no alarm")
			}
		})
	}
}

// What was let go and is put back as frozen, or the other way round, is noticed.
func TestAThawPutBackIsNoticed(t *testing.T) {
	b := ruled(t, oneAdmin)
	f := b.freeze(freeze.Actor, "agent:worker")
	edit(t, b.dir, "CREATE TABLE kept AS SELECT * FROM sealed WHERE kind = 'freeze'")
	if _, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira")); err != nil {
		t.Fatal(err)
	}
	b.freeze(freeze.Gate, "elsewhere")
	edit(t, b.dir, "INSERT OR REPLACE INTO sealed SELECT * FROM kept")
	if err := b.freezes.Load(t.Context()); !errors.Is(err, sealed.ErrTampered) {
		t.Fatalf("nobody notices: %v", err)
	}
}

// A freeze of everything ends as any other does.
func TestEverythingIsLetGo(t *testing.T) {
	b := ruled(t, threeAdmins)
	f := b.freeze(freeze.Everything, "")
	e, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(e.ID); got.State != change.Applied {
		t.Errorf("%+v", got)
	}
	eventually(t, "nothing is frozen", func() bool { return len(b.freezes.List(false)) == 0 })
}

// With one administrator a thaw happens at once, loudly; nobody else does it alone.
func TestThawAlone(t *testing.T) {
	b := ruled(t, oneAdmin)
	f := b.freeze(freeze.Actor, "agent:worker")
	e, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira"))
	if err != nil || e.State != change.Applied || !e.Alone {
		t.Fatalf("%+v, %v", e, err)
	}
	if b.freezes.Frozen(&identity.Asker{Chain: []identity.Actor{{ID: "agent:worker"}}}, "", "") != nil {
		t.Error("it is frozen still")
	}
	if n := len(b.records(audit.TypeAlarm)); n != 1 {
		t.Errorf("%d alarms", n)
	}
	if _, err := b.changes.Thaw(t.Context(), f.ID, "again", b.proposal("mira")); !errors.Is(err, freeze.ErrThawed) {
		t.Errorf("twice: %v", err)
	}

	f = b.freeze(freeze.Person, "person:dana")
	if _, err := b.changes.Thaw(t.Context(), f.ID, "I am fine", b.proposal("dana")); !errors.Is(err, change.ErrFrozen) {
		t.Errorf("the frozen one asks: %v", err)
	}
	e, err = b.changes.Thaw(t.Context(), f.ID, "I think they are fine", b.proposal("omar"))
	if err != nil || e.State != change.Proposed {
		t.Fatalf("a reviewer who is no administrator: %+v, %v", e, err)
	}
}

// From the second administrator on it takes another one, who isn't behind the frozen one.
func TestThawTakesTwo(t *testing.T) {
	b := ruled(t, threeAdmins)
	f := b.freeze(freeze.Actor, "agent:worker")
	e, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira"))
	if err != nil || e.State != change.Proposed || e.Approval == "" {
		t.Fatalf("%+v, %v", e, err)
	}
	var excluded approval.ErrExcluded
	if err := b.allow(e.Approval, "mira"); !errors.As(err, &excluded) {
		t.Errorf("its author allows it: %v", err)
	}
	if err := b.allow(e.Approval, "dana"); !errors.As(err, &excluded) {
		t.Errorf("the frozen one's owner allows it: %v", err)
	}
	if same, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira")); err != nil || same.ID != e.ID {
		t.Errorf("asked again it is another: %s, %v", same.ID, err)
	}
	again, err := b.changes.Thaw(t.Context(), f.ID, "fine now, says the owner", b.proposal("dana"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.allow(again.Approval, "dana"); !errors.As(err, &excluded) {
		t.Errorf("the owner allows what the owner asked: %v", err)
	}
	if b.freezes.Frozen(&identity.Asker{Chain: []identity.Actor{{ID: "agent:worker"}}}, "", "") == nil {
		t.Fatal("it is let go though nobody allowed it")
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(e.ID); got.State != change.Applied || got.Alone {
		t.Errorf("%+v", got)
	}
	if a, err := b.engine.Get(t.Context(), e.Approval); err != nil || a.State != approval.Executed {
		t.Errorf("its approval is %s, %v", a.State, err)
	}
	// Who decides hears of it a moment after it stands in the store.
	for end := time.Now().Add(10 * time.Second); b.freezes.Frozen(&identity.Asker{Chain: []identity.Actor{{ID: "agent:worker"}}}, "", "") != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is frozen still")
		}
	}
	// The owner's own request has nothing left to let go, whoever allows it now.
	if err := b.allow(again.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(again.ID); got.State != change.Refused {
		t.Errorf("a second thaw of the same freeze: %+v", got)
	}
}

// Freezing the other administrators makes nobody the only one, and a frozen one allows nothing.
func TestFreezingTheOthersMakesNobodyAlone(t *testing.T) {
	b := ruled(t, threeAdmins)
	f := b.freeze(freeze.Actor, "agent:worker")
	b.freeze(freeze.Person, "person:omar")
	b.freeze(freeze.Person, "person:dana")
	e, err := b.changes.Thaw(t.Context(), f.ID, "fine now", b.proposal("mira"))
	if err != nil || e.State != change.Proposed {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := b.allow(e.Approval, "omar"); err == nil {
		t.Error("a frozen administrator allows a change")
	}
	if got, err := b.changes.Get(t.Context(), e.ID); err != nil || got.State != change.Proposed {
		t.Errorf("%+v, %v", got, err)
	}
}

// The operator's credential may be anybody's who reads the data directory: it takes two others.
func TestTheOperatorsChangeTakesTwo(t *testing.T) {
	b := ruled(t, threeAdmins)
	f := b.freeze(freeze.Gate, "line")
	p := change.Proposal{Author: b.person("operator"), Credential: "op", Admin: true}
	e, err := b.changes.Thaw(t.Context(), f.ID, "fine now", p)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.allow(e.Approval, "mira"); err != nil {
		t.Fatal(err)
	}
	if err := b.changes.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.changes.Get(t.Context(), e.ID); got.State != change.Proposed {
		t.Fatalf("one of them was enough: %+v", got)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(e.ID); got.State != change.Applied {
		t.Errorf("%+v", got)
	}
}

// What is frozen is frozen after a restart, and a change allowed meanwhile is applied.
func TestFreezesOutliveARestart(t *testing.T) {
	b := ruled(t, threeAdmins)
	b.freeze(freeze.Actor, "agent:worker")
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := ruledIn(t, b.dir, threeAdmins)
	defer func() { _ = s.Close(context.Background()) }()
	if s.freezes.Frozen(&identity.Asker{Chain: []identity.Actor{{ID: "agent:worker"}}}, "", "") == nil {
		t.Error("a restart lets it go")
	}
}

// Who is frozen lets a second account of theirs go: what belongs to it stays stopped.
func TestAFrozenPersonsOtherAccountStaysFrozen(t *testing.T) {
	b := newSignedIn(t, "")
	mira, second := b.surfer(), b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	if code := second.in("corp", oidcOmar.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	ctx, dir := t.Context(), b.Server.dir
	first, _ := dir.Person("corp|" + oidcMira.Sub)
	other, _ := dir.Person("corp|" + oidcOmar.Sub)
	link, code, err := dir.BeginLink(ctx, &first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.OfferLink(ctx, code, &other); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.ConfirmLink(ctx, link.ID, &first); err != nil {
		t.Fatal(err)
	}
	if _, err := b.freezes.Freeze(ctx, freeze.Target{What: freeze.Person, Name: first.ID}, "strange", first); err != nil {
		t.Fatal(err)
	}
	both, _ := dir.Person(first.ID)
	if err := dir.EndLink(ctx, link.ID, &both, false); err != nil {
		t.Fatal(err)
	}
	if err := b.freezes.Load(ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first.ID, other.ID, "corp|" + oidcOmar.Sub} {
		if !b.freezes.Stopped(id) || b.freezes.Frozen(&identity.Asker{Subject: identity.Person{ID: id}, Chain: []identity.Actor{{ID: "agent:x"}}}, "", "") == nil {
			t.Errorf("%s acts again", id)
		}
	}
}
