package mcp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assenthq/assent/gate"
)

// A desk is where people decide in these tests. It keeps an approval as the
// enforcer does: one for each exact call, found again, and used once.
type desk struct {
	t *testing.T
	l *Ladder

	mu        sync.Mutex
	held      map[string]*heldCall // by credential and exact params; owned by mu
	asked     int                  // owned by mu
	ran       []string             // what reached the server; owned by mu
	told      []string             // to the client on the stream it waits on; owned by mu
	shown     int                  // elicitations of earlier revisions; owned by mu
	replies   [][]byte             // of the server, in turn; owned by mu
	withdrawn []string             // owned by mu
	answer    func(ctx context.Context, params []byte) (string, error)
}

type heldCall struct {
	id, credential string
	state          string // pending, approved, denied, withdrawn, used
	decided        chan struct{}
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, held: map[string]*heldCall{}}
	l, err := NewLadder(LadderConfig{Key: bytes.Repeat([]byte{7}, 32), Withdraw: d.withdraw})
	if err != nil {
		t.Fatal(err)
	}
	d.l = l
	return d
}

func (d *desk) withdraw(_ context.Context, credential, id, why string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.held {
		if h.id == id && h.credential == credential && h.state != "used" {
			d.withdrawn = append(d.withdrawn, id+": "+why)
			if h.state == "pending" {
				close(h.decided)
			}
			h.state = "withdrawn"
			return nil
		}
	}
	return errors.New("there is no such approval of theirs")
}

// decide is what people say of the only approval that is pending.
func (d *desk) decide(state string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.held {
		if h.state == "pending" {
			h.state = state
			close(h.decided)
			return
		}
	}
	d.t.Error("nothing is pending")
}

func (d *desk) decideAll(state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.held {
		if h.state == "pending" {
			h.state = state
			close(h.decided)
		}
	}
}

func (d *desk) find(key, credential string) *heldCall {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.held[key]
	if h == nil || h.state != "pending" && h.state != "approved" {
		d.asked++
		h = &heldCall{id: "apr_" + strconv.Itoa(d.asked), credential: credential, state: "pending", decided: make(chan struct{})}
		d.held[key] = h
	}
	return h
}

func (d *desk) is(h *heldCall) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return h.state
}

const (
	urlOnly   = `{"elicitation":{"url":{}}}`
	tasksToo  = `{"elicitation":{"url":{}},"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{}}}`
	formsOnly = `{"elicitation":{}}`
)

// call is a tools/call as a conversation hands it to the ladder.
func (d *desk) call(version, caps, params string) *Waiting {
	w := &Waiting{
		Server: "one", Credential: "cred", Method: "tools/call", ID: []byte("1"), Params: []byte(params), Version: version, Capabilities: []byte(caps),
		Progress: []byte(`"p"`),
		Tell: func(b []byte) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.told = append(d.told, string(b))
		},
		Keep: func() (context.Context, func()) { return context.WithCancel(context.Background()) },
	}
	c := &call{id: w.ID, method: w.Method, version: version}
	g := &Guard{}
	w.Deny = func(r *gate.Denied) []byte { return g.deny(c, r) }
	w.Run = func(ctx, deciding context.Context, params []byte, held func(gate.Held)) ([]byte, *gate.Denied) {
		if params == nil {
			params = w.Params
		}
		a := without(params, "_meta")
		h := d.find(w.Credential+string(a), w.Credential)
		if d.is(h) == "pending" {
			held(gate.Held{ID: h.id, URL: "https://assent/approvals/" + h.id, Who: "1 of reviewers", Expires: time.Now().Add(time.Hour)})
			select {
			case <-h.decided:
			case <-deciding.Done():
				return nil, nil
			}
		}
		if s := d.is(h); s != "approved" {
			no := &gate.Denied{Status: gate.StatusDenied, ID: h.id, Reason: "it was " + s}
			return w.Deny(no), no
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		h.state = "used"
		d.ran = append(d.ran, string(params))
		if len(d.replies) > 0 {
			r := d.replies[0]
			d.replies = d.replies[1:]
			return r, nil
		}
		return []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}`), nil
	}
	if d.answer != nil {
		w.Ask = func(ctx context.Context, method string, params []byte) ([]byte, error) {
			d.mu.Lock()
			d.shown++
			d.mu.Unlock()
			action, err := d.answer(ctx, params)
			return object("action", action), err
		}
	}
	return w
}

const drop1 = `{"name":"drop","arguments":{"table":"users"}}`

func (d *desk) counts(asked, ran int) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked != asked || len(d.ran) != ran {
		d.t.Errorf("%d approvals were asked for and %d calls ran, want %d and %d", d.asked, len(d.ran), asked, ran)
	}
}

func resultOf(answer []byte) []byte { return member(answer, "result") }

func pending(answer []byte) bool {
	return text(member(resultOf(answer), "structuredContent"), "status") == "pending_approval" && string(member(resultOf(answer), "isError")) == "true"
}

func TestALongPollEndsBeforeItsClientDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		start := time.Now()
		got := d.l.Call(t.Context(), d.call("2025-06-18", "{}", drop1))
		if !pending(got) || time.Since(start) != waitBudget {
			t.Errorf("after %s: %s", time.Since(start), got)
		}
		if len(d.told) != 5 || !strings.Contains(d.told[0], `"progressToken":"p","progress":1,`) {
			t.Errorf("told %q", d.told)
		}
		go func() { time.Sleep(10 * time.Second); d.decide("approved") }()
		if got := d.l.Call(t.Context(), d.call("2025-06-18", "{}", drop1)); pending(got) || string(member(resultOf(got), "content")) != "[]" {
			t.Errorf("the second call: %s", got)
		}
		d.counts(1, 1)
	})
}

// A client that gives up after a second and calls again at once is kept waiting
// each time, and people are asked once. What they approve meanwhile runs with the next call.
func TestAnImpatientClientAsksPeopleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if got := d.l.Call(ctx, d.call("2025-11-25", "{}", drop1)); got != nil || time.Since(start) != time.Second {
				t.Fatalf("after %s: %s", time.Since(start), got)
			}
			cancel()
		}
		d.decide("approved")
		if got := d.l.Call(t.Context(), d.call("2025-11-25", "{}", drop1)); pending(got) {
			t.Errorf("approved, and still %s", got)
		}
		d.counts(1, 1)
	})
}

// retry is the same call with what an input_required result asked for.
func retry(t *testing.T, answer []byte, params, action string) string {
	t.Helper()
	r := resultOf(answer)
	if text(r, "resultType") != "input_required" {
		t.Fatalf("not asked for input: %s", answer)
	}
	p := member(member(member(r, "inputRequests"), inputKey), "params")
	if text(p, "mode") != "url" || !strings.HasPrefix(text(p, "url"), "https://assent/approvals/apr_") || strings.Contains(text(r, "requestState"), "apr_1") {
		t.Errorf("asked: %s", answer)
	}
	return string(with([]byte(params), map[string][]byte{
		"inputResponses": object(inputKey, object("action", action)),
		"requestState":   []byte(strconv.Quote(text(r, "requestState"))),
	}))
}

func TestInputIsRequiredOnceAnApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		first := d.l.Call(t.Context(), d.call(Stateless, urlOnly, drop1))
		again := retry(t, first, drop1, "accept")
		// It was opened, and nobody has decided: it waits, and asks nobody anything.
		start := time.Now()
		for range 3 {
			if got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, again)); !pending(got) {
				t.Fatalf("accepted, and not decided: %s", got)
			}
		}
		if took := time.Since(start); took != 3*waitBudget {
			t.Errorf("three tries took %s", took)
		}
		if got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, drop1)); !pending(got) {
			t.Errorf("called anew while it is pending: %s", got)
		}
		go func() { time.Sleep(20 * time.Second); d.decide("approved") }()
		if got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, again)); string(member(resultOf(got), "content")) != "[]" {
			t.Errorf("approved: %s", got)
		}
		d.counts(1, 1)
		if len(d.ran) != 1 || strings.Contains(d.ran[0], "request") || strings.Contains(d.ran[0], "input") {
			t.Errorf("the server got %q", d.ran)
		}
		// The state of an approval that was used opens nothing: it is asked for anew.
		if got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, again)); text(resultOf(got), "resultType") != "input_required" {
			t.Errorf("replayed: %s", got)
		}
		d.counts(2, 1)
	})
}

// Another argument, credential or server is another action, whatever state comes with it.
func TestAStateBelongsToOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		first := d.l.Call(t.Context(), d.call(Stateless, urlOnly, drop1))
		again := retry(t, first, drop1, "accept")
		asked := 1
		for name, change := range map[string]func(w *Waiting){
			"arguments":  func(w *Waiting) { w.Params = bytes.ReplaceAll(w.Params, []byte("users"), []byte("payments")) },
			"tool":       func(w *Waiting) { w.Params = bytes.ReplaceAll(w.Params, []byte("drop"), []byte("truncate")) },
			"credential": func(w *Waiting) { w.Credential = "other" },
			"forged":     func(w *Waiting) { w.Params = bytes.Replace(w.Params, []byte(statePrefix), []byte(statePrefix+"x"), 1) },
		} {
			w := d.call(Stateless, urlOnly, again)
			change(w)
			if name == "forged" {
				if got := d.l.Call(t.Context(), w); !pending(got) { // it is the first call again, which was shown
					t.Errorf("%s: %s", name, got)
				}
				continue
			}
			asked++
			if got := d.l.Call(t.Context(), w); text(resultOf(got), "resultType") != "input_required" {
				t.Errorf("%s: %s", name, got)
			}
			d.counts(asked, 0)
		}
		sealed, digest := text([]byte(again), "requestState"), digestOf("tools/call", []byte(again))
		for _, c := range []struct {
			credential, server, digest string
			later                      time.Duration
			taken                      bool
		}{
			{"cred", "one", digest, 0, true},
			{"other", "one", digest, 0, false},
			{"cred", "two", digest, 0, false},
			{"cred", "one", digestOf("tools/call", []byte(`{"name":"drop"}`)), 0, false},
			{"cred", "one", digest, 2 * time.Hour, false},
		} {
			if _, err := d.l.states.open(sealed, c.credential, c.server, c.digest, time.Now().Add(c.later)); (err == nil) != c.taken {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}

// A node that knows of an approval only by the state that comes back asks nobody again.
func TestAnotherNodeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		again := retry(t, d.l.Call(t.Context(), d.call(Stateless, urlOnly, drop1)), drop1, "accept")
		other, err := NewLadder(LadderConfig{Key: d.l.o.Key, Withdraw: d.withdraw})
		if err != nil {
			t.Fatal(err)
		}
		go func() { time.Sleep(time.Second); d.decide("approved") }()
		if got := other.Call(t.Context(), d.call(Stateless, urlOnly, again)); string(member(resultOf(got), "content")) != "[]" {
			t.Errorf("%s", got)
		}
		d.counts(1, 1)
	})
}

func TestWhatTheUserAnswersIsNoDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for action, want := range map[string]string{"accept": "pending_approval", "decline": "denied", "cancel": "pending_approval", "approve": "pending_approval", "": "pending_approval"} {
			d := newDesk(t)
			first := d.l.Call(t.Context(), d.call(Stateless, urlOnly, drop1))
			got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, retry(t, first, drop1, action)))
			if s := text(member(resultOf(got), "structuredContent"), "status"); s != want {
				t.Errorf("%q: %s", action, got)
			}
			if (len(d.withdrawn) == 1) != (action == "decline") {
				t.Errorf("%q withdrew %q", action, d.withdrawn)
			}
			d.counts(1, 0)
		}
	})
}

// What a call brought for the server's own questions comes back with it, byte for byte.
func TestAStateCarriesTheServersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		const own = `{"name":"drop","arguments":{"n":12345678901234567890},"inputResponses":{"assent_approval":{"action" : "accept"}},"requestState":"theirs\u0021"}`
		first := d.l.Call(t.Context(), d.call(Stateless, urlOnly, own))
		again := retry(t, first, own, "accept")
		go func() { time.Sleep(time.Second); d.decide("approved") }()
		if got := d.l.Call(t.Context(), d.call(Stateless, urlOnly, again)); pending(got) {
			t.Errorf("%s", got)
		}
		if len(d.ran) != 1 || d.ran[0] != own {
			t.Errorf("the server got %q", d.ran)
		}
	})
}

// A read that is held waits, shows its approval and ends as a call does; what a
// refusal looks like is the method's own.
func TestAReadIsHeldLikeACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for method, params := range map[string]string{"resources/read": `{"uri":"note://one"}`, "prompts/get": `{"name":"p","arguments":{"a":"b"}}`, "resources/list": `{}`, "completion/complete": `{"ref":{}}`} {
			d := newDesk(t)
			ask := func(version, caps, params string) []byte {
				t.Helper()
				w := d.call(version, caps, params)
				w.Method = method
				w.Deny = func(r *gate.Denied) []byte { return (&Guard{}).deny(&call{id: w.ID, method: method}, r) }
				got, mine := d.l.Method(t.Context(), w)
				if !mine {
					t.Fatalf("%s is left to the server", method)
				}
				return got
			}
			isPending := func(got []byte) bool {
				return text(member(member(got, "error"), "data"), "status") == "pending_approval"
			}
			start := time.Now()
			if got := ask("2025-06-18", "{}", params); !isPending(got) || time.Since(start) != waitBudget {
				t.Errorf("%s after %s: %s", method, time.Since(start), got)
			}
			got := ask(Stateless, urlOnly, params)
			if !rounds[method] {
				if !isPending(got) {
					t.Errorf("%s: %s", method, got)
				}
				continue
			}
			again := retry(t, got, params, "accept")
			if got := ask(Stateless, urlOnly, strings.NewReplacer("note://one", "note://two", `"b"`, `"c"`).Replace(again)); isPending(got) {
				t.Errorf("%s of something else: %s", method, got)
			}
			go func() { time.Sleep(time.Second); d.decideAll("approved") }()
			if got := ask(Stateless, urlOnly, again); string(member(resultOf(got), "content")) != "[]" {
				t.Errorf("%s: %s", method, got)
			}
		}
		if _, mine := newDesk(t).l.Method(t.Context(), &Waiting{Method: "tools/list", Version: Stateless}); mine {
			t.Error("what needs no decision is taken")
		}
	})
}

// Nobody is asked to open anything whose client did not say that they can.
func TestNobodyIsElicitedWhoCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ version, caps string }{
			{Stateless, "{}"}, {Stateless, formsOnly}, {Stateless, `{"elicitation":{"url":null}}`}, {Stateless, ""}, {"2025-06-18", urlOnly}, {"2024-11-05", tasksToo}, {"2025-11-25", formsOnly}, {"", urlOnly},
		} {
			d := newDesk(t)
			d.answer = func(context.Context, []byte) (string, error) { return "accept", nil }
			if got := d.l.Call(t.Context(), d.call(c.version, c.caps, drop1)); !pending(got) || d.shown != 0 {
				t.Errorf("%+v: %s", c, got)
			}
		}
	})
}

func TestAnEarlierRevisionIsElicitedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.answer = func(_ context.Context, p []byte) (string, error) {
			if text(p, "mode") != "url" || text(p, "elicitationId") != "apr_1" {
				t.Errorf("asked %s", p)
			}
			return "accept", nil
		}
		for range 3 {
			if got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1)); !pending(got) {
				t.Errorf("%s", got)
			}
		}
		if d.shown != 1 {
			t.Errorf("its user was asked %d times", d.shown)
		}
		d.decide("approved")
		if got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1)); pending(got) {
			t.Errorf("approved: %s", got)
		}
		d.counts(1, 1)
	})
}

// The user of an earlier revision who declines withdraws it; one who never answers holds nothing up.
func TestAnEarlierRevisionDeclines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.answer = func(context.Context, []byte) (string, error) { return "decline", nil }
		if got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1)); text(member(resultOf(got), "structuredContent"), "status") != "denied" || len(d.withdrawn) != 1 {
			t.Errorf("%s %q", got, d.withdrawn)
		}
		d.answer = func(ctx context.Context, _ []byte) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		go func() { time.Sleep(time.Second); d.decide("approved") }()
		if got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1)); pending(got) {
			t.Errorf("%s", got)
		}
		d.counts(2, 1)
	})
}

func TestAnAddressIsRequiredWhereNobodyCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1))
		fault := member(got, "error")
		if string(member(fault, "code")) != "-32042" || !bytes.Contains(member(fault, "data"), []byte(`[{"mode":"url","elicitationId":"apr_1","url":"https://assent/approvals/apr_1"`)) {
			t.Errorf("%s", got)
		}
		if got := d.l.Call(t.Context(), d.call("2025-11-25", urlOnly, drop1)); !pending(got) {
			t.Errorf("called again: %s", got)
		}
		d.counts(1, 0)
	})
}

// What is allowed, or denied at once, is no task and asks for no input.
func TestWhatNobodyIsAskedAboutIsAnsweredAtOnce(t *testing.T) {
	for _, caps := range []string{"{}", urlOnly, tasksToo} {
		d := newDesk(t)
		w := d.call(Stateless, caps, drop1)
		for _, want := range []string{`{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}`} {
			w.Run = func(context.Context, context.Context, []byte, func(gate.Held)) ([]byte, *gate.Denied) {
				return []byte(want), nil
			}
			if got := d.l.Call(t.Context(), w); string(got) != want {
				t.Errorf("%s: %s", caps, got)
			}
		}
		d.l.Close()
	}
}

func FuzzState(f *testing.F) {
	s := newStates(bytes.Repeat([]byte{7}, 32))
	good := s.seal(state{Approval: "apr_1", Digest: "d", Credential: "c", Server: "s", Expires: 1 << 40})
	other := newStates(bytes.Repeat([]byte{8}, 32)).seal(state{Approval: "apr_1", Digest: "d", Credential: "c", Server: "s", Expires: 1 << 40})
	for _, seed := range []string{good, other, good + "=", good[:len(good)-1], statePrefix, statePrefix + ".", "", strings.Replace(good, ".", "..", 1), good + good, strings.ToUpper(good)} {
		f.Add(seed)
	}
	if _, err := s.open(good, "c", "s", "d", time.Unix(0, 0)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		st, err := s.open(text, "c", "s", "d", time.Unix(0, 0))
		if err != nil {
			return
		}
		// Whatever is taken has our own seal, byte for byte, and says what was asked.
		body, sum, _ := strings.Cut(strings.TrimPrefix(text, statePrefix), ".")
		if sum != base64.RawURLEncoding.EncodeToString(s.sum(body)) || st.Credential != "c" || st.Server != "s" || st.Digest != "d" {
			t.Errorf("%q: %+v", text, st)
		}
	})
}

func TestWithChangesNothingElse(t *testing.T) {
	const params = `{"name":"a","arguments":{"b": 1.0, "c":[ ]},"_meta":{"x":"\u0041"},"requestState":"s"}`
	if got := with([]byte(params), nil); string(got) != params {
		t.Errorf("%s", got)
	}
	got := withoutTasks([]byte(`{"_meta":{"a":1,"` + metaCapabilities + `":` + tasksToo + `},"name":"n"}`))
	if want := `{"_meta":{"a":1,"` + metaCapabilities + `":{"elicitation":{"url":{}},"extensions":{"x/y":{}}}},"name":"n"}`; string(got) != want {
		t.Errorf("%s", got)
	}
	if got := offering([]byte(`{"result":{"capabilities":{"tools":{}}}}`)); string(got) != `{"result":{"capabilities":{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}}}` {
		t.Errorf("%s", got)
	}
	for _, none := range []string{`{"error":{"code":1}}`, `{"result":[]}`, `[]`, ``} {
		if got := offering([]byte(none)); string(got) != none {
			t.Errorf("%s: %s", none, got)
		}
	}
}
