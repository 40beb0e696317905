package command

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// people answer when they are told to.
type people struct {
	mu     sync.Mutex
	answer chan error // nil is yes
	asked  int
	gone   int
}

func (p *people) decide(ctx context.Context, _ *action.Action, held func(gate.Held)) error {
	p.mu.Lock()
	p.asked++
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		return nil
	}
	held(gate.Held{ID: "apr_1", URL: "http://x/approvals/apr_1", Who: "1 of reviewers"})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		p.mu.Lock()
		p.gone++
		p.mu.Unlock()
		return ctx.Err()
	}
}

func (p *people) counts() (asked, gone int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.gone
}

type house struct {
	*Gates
	authority *gatetest.Authority
	people    *people
}

func newHouse(t *testing.T, wait bool) *house {
	t.Helper()
	h := &house{people: &people{}}
	if wait {
		h.people.answer = make(chan error)
	}
	h.authority = &gatetest.Authority{Decide: h.people.decide}
	var err error
	if h.Gates, err = New([]Place{{Name: "commands", Authority: h.authority}}); err != nil {
		t.Fatal(err)
	}
	return h
}

func asking(wait time.Duration, more bool, argv ...string) *Asking {
	return &Asking{Actor: "agent:worker", Bearer: gatetest.Token, Command: &Command{Argv: argv, Dir: "/w"}, Wait: wait, More: more}
}

func pending(err error) bool {
	var p *PendingError
	return errors.As(err, &p) && p.Held.ID == "apr_1"
}

func TestAllowedAtOnce(t *testing.T) {
	h := newHouse(t, false)
	a, err := h.Ask(t.Context(), asking(0, false, "ls"))
	if err != nil || a.Run == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if h.End("cred_other", a.Run, End{Ran: true}) {
		t.Error("another credential ended the run")
	}
	if !h.End("cred_gatetest", a.Run, End{Ran: true, Exit: 3, Bytes: 7}) || h.End("cred_gatetest", a.Run, End{Ran: true}) {
		t.Error("a run ends once")
	}
	h.Close()
	if got := h.authority.Outcomes(); len(got) != 1 || got[0].State != gate.Failed || got[0].Code != "exit 3" || got[0].Bytes != 7 {
		t.Errorf("%+v", got)
	}
	if _, err := h.Ask(t.Context(), asking(0, false, "ls")); err == nil {
		t.Error("a closed gate permits")
	}
}

func TestNobodyComesInWithoutACredential(t *testing.T) {
	h := newHouse(t, false)
	defer h.Close()
	q := asking(0, false, "ls")
	q.Bearer = "wrong"
	if _, err := h.Ask(t.Context(), q); err == nil {
		t.Error("a wrong credential came in")
	}
	var d *gate.Denied
	if _, err := h.Ask(t.Context(), asking(0, false, "")); !errors.As(err, &d) || d.Status != gate.StatusUnreadable {
		t.Errorf("a command without a name: %v", err)
	}
}

func TestOneWaitOverManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, true)
		for range 3 {
			begun := time.Now()
			if _, err := h.Ask(t.Context(), asking(time.Minute, true, "rm", "x")); !pending(err) || time.Since(begun) != MaxWait {
				t.Fatalf("%v after %s", err, time.Since(begun))
			}
			time.Sleep(between / 2)
		}
		if asked, gone := h.people.counts(); asked != 1 || gone != 0 {
			t.Errorf("people were asked %d times, and the asker left %d times", asked, gone)
		}
		// Approved between two requests: the next one gets it.
		h.people.answer <- nil
		synctest.Wait()
		a, err := h.Ask(t.Context(), asking(time.Minute, true, "rm", "x"))
		if err != nil || a.Run == "" {
			t.Fatalf("%+v, %v", a, err)
		}
		h.End("cred_gatetest", a.Run, End{Ran: true})
		h.Close()
		if got := h.authority.Outcomes(); len(got) != 1 || got[0].State != gate.Executed {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhoDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, true)
		if _, err := h.Ask(t.Context(), asking(0, false, "rm", "x")); !pending(err) {
			t.Fatal(err)
		}
		synctest.Wait()
		if asked, gone := h.people.counts(); asked != 1 || gone != 1 {
			t.Errorf("without more to come: %d asked, %d gone", asked, gone)
		}
		if _, err := h.Ask(t.Context(), asking(time.Second, true, "rm", "x")); !pending(err) {
			t.Fatal(err)
		}
		time.Sleep(2 * between)
		synctest.Wait()
		if asked, gone := h.people.counts(); asked != 2 || gone != 2 {
			t.Errorf("it said it comes back: %d asked, %d gone", asked, gone)
		}
		// The connection breaks.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		if _, err := h.Ask(ctx, asking(time.Minute, false, "rm", "x")); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		synctest.Wait()
		if asked, gone := h.people.counts(); asked != 3 || gone != 3 {
			t.Errorf("the connection broke: %d asked, %d gone", asked, gone)
		}
		h.Close()
		if got := h.authority.Outcomes(); len(got) != 0 {
			t.Errorf("permits were given: %+v", got)
		}
	})
}

// Approved while nobody fetches it: it is not run, and its permit is completed.
func TestUnfetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, true)
		if _, err := h.Ask(t.Context(), asking(time.Second, true, "rm", "x")); !pending(err) {
			t.Fatal(err)
		}
		h.people.answer <- nil
		time.Sleep(2 * between)
		synctest.Wait()
		if got := h.authority.Outcomes(); len(got) != 1 || got[0].State != gate.NotRun {
			t.Errorf("%+v", got)
		}
		h.Close()
	})
}

// Two requests for the same command wait for one answer, and one of them gets it.
func TestTwoWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, true)
		got := make(chan error, 2)
		for range 2 {
			go func() {
				a, err := h.Ask(t.Context(), asking(time.Minute, false, "rm", "x"))
				if err == nil {
					h.End("cred_gatetest", a.Run, End{Ran: true})
				}
				got <- err
			}()
		}
		synctest.Wait()
		h.people.answer <- nil
		one, two := <-got, <-got
		if (one == nil) == (two == nil) {
			t.Errorf("%v and %v", one, two)
		}
		if asked, _ := h.people.counts(); asked != 1 {
			t.Errorf("people were asked %d times", asked)
		}
		h.Close()
	})
}

func TestDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, true)
		go func() { h.people.answer <- &gate.Denied{Status: gate.StatusDenied, Reason: "no"} }()
		var d *gate.Denied
		if _, err := h.Ask(t.Context(), asking(time.Minute, false, "rm", "x")); !errors.As(err, &d) || d.Reason != "no" {
			t.Error(err)
		}
		h.Close()
	})
}

func TestAnActorCannotChooseItsGate(t *testing.T) {
	one, rest := &gatetest.Authority{}, &gatetest.Authority{}
	g, err := New([]Place{{Name: "prod", Authority: one, Actors: []string{"agent:deployer"}}, {Name: "rest", Authority: rest}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for actor, name := range map[string]string{"agent:deployer": "prod", "agent:worker": "rest", "": "rest"} {
		if got := g.Name(actor); got != name {
			t.Errorf("%s: gate %s, want %s", actor, got, name)
		}
	}
	only, err := New([]Place{{Name: "prod", Authority: one, Actors: []string{"agent:deployer"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	if _, err := only.Ask(t.Context(), asking(0, false, "ls")); !errors.Is(err, ErrNoGate) {
		t.Errorf("an actor that no gate takes: %v", err)
	}
	for _, places := range [][]Place{
		{{Name: "a", Authority: one}, {Name: "b", Authority: one}},
		{{Name: "a", Authority: one, Actors: []string{"x"}}, {Name: "b", Authority: one, Actors: []string{"x"}}},
	} {
		if _, err := New(places); err == nil {
			t.Errorf("%+v was taken", places)
		}
	}
}
