package trail_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/assenthq/assent/internal/trail"
)

var (
	worker = trail.Who{Person: "person:dana", Actor: "agent:worker"}
	helper = trail.Who{Person: "person:dana", Actor: "agent:helper"}
	other  = trail.Who{Person: "person:mira", Actor: "agent:other"}
)

// house is a deployment's store, which outlives the trails on it.
type house struct {
	t     *testing.T
	dir   string
	store *sqlite.Store
	log   *audit.Log
	box   *sealed.Box
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h.open()
	t.Cleanup(func() { h.must(h.store.Close()) })
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.store, err = sqlite.Open(context.Background(), h.dir)
	h.must(err)
	key, err := audit.LoadOrCreateKey(filepath.Join(h.dir, "key"), "test/log")
	h.must(err)
	h.log, err = audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	h.must(err)
	h.must(h.log.Open(context.Background(), h.store))
	h.box, err = sealed.NewBox(h.store, h.log, []byte(strings.Repeat("k", 32)))
	h.must(err)
}

// restart is the same deployment after its process ended; meanwhile somebody runs sql on its database.
func (h *house) restart(edit ...string) *trail.Trail {
	h.t.Helper()
	h.must(h.store.Close())
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db"))
	h.must(err)
	for _, q := range edit {
		_, err := db.Exec(q)
		h.must(err)
	}
	h.must(db.Close())
	h.open()
	return h.trail()
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) Record(ctx context.Context, recs ...*audit.Record) error {
	return h.box.Update(ctx, func(w *sealed.Writer) error { return w.Record(ctx, recs...) })
}

func (h *house) Search(ctx context.Context, q audit.Query) ([]audit.Record, error) {
	return h.store.Search(ctx, q)
}

// trail is a node's; it has read what is stored.
func (h *house) trail() *trail.Trail {
	h.t.Helper()
	t, err := trail.New(trail.Options{
		Box: h.box, Log: h, Key: []byte(strings.Repeat("p", 32)), Window: time.Hour, Clock: func() time.Time { return h.now },
		Mask: func(s string) string { return strings.ReplaceAll(s, "hunter2", "[masked]") },
	})
	h.must(err)
	h.must(t.Load(h.t.Context()))
	return t
}

func sensitive(what string) approval.Saw {
	return approval.Saw{Kind: approval.SawSensitive, What: what}
}

func TestAPromptIsTheIntentOfItsOwnSessionOnly(t *testing.T) {
	h := newHouse(t)
	tr := h.trail()
	h.must(tr.Book(worker).Prompt(t.Context(), "s1", "clean up orders; the password is hunter2", audit.Record{}))
	h.must(tr.Book(worker).Prompt(t.Context(), "s2", "something else", audit.Record{}))
	for name, tr := range map[string]*trail.Trail{"at once": tr, "after a restart": h.restart()} {
		lead := tr.Book(worker).Lead(t.Context(), "shop", "s1", "")
		if lead == nil || lead.Prompt == nil || lead.Prompt.Text != "clean up orders; the password is [masked]" || len(lead.Prompt.Hash) != 32 {
			t.Fatalf("%s: %+v", name, lead)
		}
		// A forged name reaches nobody else's session, not even of the same person.
		for _, w := range []trail.Who{other, helper, {Person: "person:mira", Actor: "agent:worker"}} {
			if l := tr.Book(w).Lead(t.Context(), "shop", "s1", ""); l != nil && l.Prompt != nil {
				t.Errorf("%s: %v sees %+v", name, w, l.Prompt)
			}
		}
		if l := tr.Book(worker).Lead(t.Context(), "shop", "", ""); l != nil {
			t.Errorf("%s: without a session: %+v", name, l)
		}
	}
	recs, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypePrompt}, Limit: 10})
	h.must(err)
	for _, r := range recs {
		for k, v := range r.Detail {
			if strings.Contains(v, "hunter2") {
				t.Errorf("the log has it in %s", k)
			}
		}
	}
}

func TestPromptsAreBounded(t *testing.T) {
	h := newHouse(t)
	b := h.trail().Book(worker)
	for name, text := range map[string]string{"long": strings.Repeat("ä", 3000), "huge": strings.Repeat("x", 1<<20)} {
		h.must(b.Prompt(t.Context(), name, text, audit.Record{}))
		p := b.Lead(t.Context(), "g", name, "").Prompt
		if len(p.Text) > 2<<10 || !p.Cut || strings.ContainsRune(p.Text, '\uFFFD') {
			t.Errorf("%s: %d bytes, cut %v", name, len(p.Text), p.Cut)
		}
	}
	for _, name := range []string{"", "a b", "hunter2", strings.Repeat("a", 129), "x\n", "é"} {
		if b.Prompt(t.Context(), name, "x", audit.Record{}) == nil {
			t.Errorf("a session called %q was taken", name)
		}
	}
}

func TestParents(t *testing.T) {
	h := newHouse(t)
	b := h.trail().Book(worker)
	led := func(id string) approval.LedBy { return approval.LedBy{ID: id, Title: "run " + id} }
	by := func(gate, session, parent string) string {
		l := b.Lead(t.Context(), gate, session, parent)
		if l == nil {
			return ""
		}
		var out []string
		for _, s := range l.By {
			out = append(out, s.ID+" "+s.How)
		}
		return strings.Join(out, " > ")
	}
	if by("shop", "", "") != "" {
		t.Error("something led to the first")
	}
	b.Begin("hooks", "run_1", "toolu_1", "s1", led("act_1"), nil)
	for _, tt := range [][4]string{
		{"shop", "", "", "act_1 seen"},
		{"shop", "s1", "", "act_1 seen"},
		{"shop", "s2", "", ""},
		{"shop", "s1", "toolu_1", "act_1 stated"},
		{"shop", "", "run_1", "act_1 stated"},
		{"shop", "", "act_1", "act_1 stated"},
		{"shop", "s1", "toolu_9", "act_1 seen"},
		{"shop", "s2", "toolu_1", ""},
		{"hooks", "s1", "", ""}, // another tool call beside it
	} {
		if got := by(tt[0], tt[1], tt[2]); got != tt[3] {
			t.Errorf("at %s, session %q, parent %q: %q, want %q", tt[0], tt[1], tt[2], got, tt[3])
		}
	}
	if l := b.Lead(t.Context(), "shop", "", ""); l.Session != "s1" {
		t.Errorf("its session is %q", l.Session)
	}
	// Each led to the next: the innermost counts.
	b.Begin("tools", "run_2", "", "s1", led("act_2"), b.Lead(t.Context(), "tools", "s1", "").By)
	if got := by("shop", "s1", ""); got != "act_1 seen > act_2 " && got != "act_1 seen > act_2 seen" {
		t.Errorf("of a chain: %q", got)
	}
	// Two side by side: nobody can tell.
	b.Begin("hooks", "run_3", "toolu_3", "s1", led("act_3"), nil)
	if got := by("shop", "s1", ""); got != "" {
		t.Errorf("of two side by side: %q", got)
	}
	b.End("act_1")
	b.End("act_2")
	if got := by("shop", "s1", ""); got != "act_3 seen" {
		t.Errorf("after the others ended: %q", got)
	}
	if got := by("shop", "s1", "toolu_1"); got != "act_1 stated" {
		t.Errorf("what it left running: %q", got)
	}
	h.now = h.now.Add(11 * time.Minute)
	b.End("act_3")
	if got := by("shop", "s1", "toolu_1"); got != "" {
		t.Errorf("long after it ended: %q", got)
	}
	for range 300 {
		b.Begin("hooks", "x", "x", "s9", led("act_x"), nil)
	}
	if got := by("shop", "s1", ""); got != "" {
		t.Errorf("past the bound: %q", got)
	}
}

func TestTaintStays(t *testing.T) {
	h := newHouse(t)
	tr := h.trail()
	saw := func(tr *trail.Trail, w trail.Who, outbound bool) bool {
		t.Helper()
		x := tr.Book(w).Taint(h.now, outbound)
		if !x.Known {
			t.Fatal("it isn't known")
		}
		return x.Sensitive != nil
	}
	if saw(tr, worker, true) {
		t.Fatal("tainted from the start")
	}
	h.must(tr.Book(worker).See(t.Context(), sensitive("select on customers with aws-key"), h.now))
	check := func(when string, tr *trail.Trail) {
		t.Helper()
		if !saw(tr, worker, false) || !saw(tr, helper, true) || saw(tr, helper, false) || saw(tr, other, true) {
			t.Errorf("%s: worker %v, the person's other agent outbound %v, inside %v, somebody else's %v", when, saw(tr, worker, false), saw(tr, helper, true), saw(tr, helper, false), saw(tr, other, true))
		}
	}
	check("at once", tr)
	check("after a restart", h.restart())
	tr = h.trail()
	h.now = h.now.Add(time.Hour - time.Second)
	check("a window later, all but a second", tr)
	h.now = h.now.Add(time.Hour / 8)
	if saw(tr, worker, false) || saw(tr, helper, true) {
		t.Error("it never ends")
	}
	// Each sight renews it, in few transactions.
	before, err := h.store.Head(t.Context())
	h.must(err)
	for range 100 {
		h.now = h.now.Add(time.Second)
		h.must(tr.Book(worker).See(t.Context(), sensitive("again"), h.now))
	}
	after, err := h.store.Head(t.Context())
	h.must(err)
	if n := after.Size - before.Size; n != 1 {
		t.Errorf("%d records for one minute of reading", n)
	}
	if x := tr.Book(worker).Taint(h.now.Add(time.Hour-time.Second), false); x.Sensitive == nil {
		t.Error("it ends a window after the first sight, not the last")
	}
}

func TestNodesShareTaint(t *testing.T) {
	h := newHouse(t)
	a, b := h.trail(), h.trail()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	h.must(a.Book(worker).See(t.Context(), approval.Saw{Kind: approval.SawUntrusted, What: "web page"}, h.now))
	for range 1000 {
		if b.Book(helper).Taint(h.now, true).Untrusted != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if x := b.Book(helper).Taint(h.now, true); x.Untrusted == nil || x.Untrusted.Actor != "agent:worker" || !strings.Contains(x.Says(), "web page at 10:00 UTC by agent:worker") {
		t.Errorf("%+v", x.Untrusted)
	}
	cancel()
	<-done
}

// What somebody does to the rows while the server is down is found, and restricts.
func TestEditedTaint(t *testing.T) {
	for name, edit := range map[string]string{
		"deleted":  "delete from sealed where kind = 'taint'",
		"edited":   "update sealed set body = cast(replace(cast(body as text), 'sensitive', 'nothing') as blob) where kind = 'taint'",
		"put back": "update sealed set revision = 1 where kind = 'taint'",
		"all":      "delete from sealed",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			tr := h.trail()
			h.must(tr.Book(worker).See(t.Context(), sensitive("one"), h.now))
			h.now = h.now.Add(30 * time.Minute)
			h.must(tr.Book(worker).See(t.Context(), sensitive("two"), h.now))
			tr = h.restart(edit)
			x := tr.Book(worker).Taint(h.now, false)
			if !x.Known || x.Sensitive == nil || x.Untrusted == nil || !strings.Contains(x.Says(), "edited outside Assent") {
				t.Fatalf("%+v", x)
			}
			recs, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeAlarm}, Limit: 10})
			h.must(err)
			if len(recs) != 1 || recs[0].Actor != worker.Actor {
				t.Errorf("%d alarms", len(recs))
			}
			// It is told once, ends with the window, and the actor can be noted again.
			h.now = h.now.Add(2 * time.Hour)
			tr = h.restart()
			if x := tr.Book(worker).Taint(h.now, true); !x.Known || x.Sensitive != nil {
				t.Errorf("it never ends: %+v", x)
			}
			h.must(tr.Book(worker).See(t.Context(), sensitive("three"), h.now))
			tr = h.restart()
			if x := tr.Book(worker).Taint(h.now, false); x.Sensitive == nil || x.Sensitive.What != "three" {
				t.Errorf("after it: %+v", x.Sensitive)
			}
			if recs, err = h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeAlarm}, Limit: 10}); err != nil || len(recs) != 1 {
				t.Errorf("%d alarms, %v", len(recs), err)
			}
		})
	}
}

func TestUnknownUntilItWasRead(t *testing.T) {
	h := newHouse(t)
	tr, err := trail.New(trail.Options{Box: h.box, Log: h, Key: make([]byte, 32), Mask: strings.ToLower, Window: time.Hour})
	h.must(err)
	if tr.Book(worker).Taint(time.Now(), true).Known {
		t.Error("known before anything was read")
	}
	h.must(h.store.Close())
	defer h.open()
	if tr.Load(t.Context()) == nil || tr.Book(worker).Taint(time.Now(), true).Known {
		t.Error("known though it couldn't be read")
	}
}

// What can't be stored is no less seen.
func TestWhatCantBeStored(t *testing.T) {
	h := newHouse(t)
	b := h.trail().Book(worker)
	h.must(h.store.Close())
	defer h.open()
	saw := sensitive("it")
	if b.See(t.Context(), saw, h.now) == nil || b.Taint(h.now, false).Sensitive != nil {
		t.Fatal("it was noted, and is nowhere")
	}
	b.Feared(saw, h.now)
	if b.Taint(h.now, false).Sensitive == nil || b.Taint(h.now.Add(time.Hour), false).Sensitive != nil {
		t.Error("what is feared counts for a window")
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		prompt, target, want string
	}{
		{"Please clean the Orders table", "public.orders", "yes"},
		{"reorders and orders_old", "public.orders", "no"},
		{"fix src/main.go", "/home/x/src/main.go", "yes"},
		{"anything", "", ""},
		{"über-orders", "orders", "yes"},
		{"überorders", "orders", "no"},
	} {
		if got := trail.Names(&approval.Prompt{Text: tt.prompt}, tt.target); got != tt.want {
			t.Errorf("%q names %q: %q, want %q", tt.prompt, tt.target, got, tt.want)
		}
	}
	if got := trail.Names(nil, "orders") + trail.Names(&approval.Prompt{Text: "x", Cut: true}, "orders"); got != "" {
		t.Errorf("nobody can tell: %q", got)
	}
}

func TestOutbound(t *testing.T) {
	inside := map[action.Kind]bool{}
	for _, k := range action.Kinds() {
		inside[k] = !trail.Outbound(&action.Action{Kinds: []action.Kind{k}})
	}
	for k, want := range map[action.Kind]bool{action.DataRead: true, action.DataExport: false, action.NetFetch: false, action.MessageSend: false, action.CodeChange: false, action.Deploy: false, action.Execute: false, action.LLMCall: false, action.Unknown: false} {
		if inside[k] != want {
			t.Errorf("%s stays inside: %v", k, inside[k])
		}
	}
	if !trail.Outbound(&action.Action{Kinds: []action.Kind{action.DataRead}, Data: action.Data{Destination: "s3://x"}}) {
		t.Error("a read to elsewhere stays inside")
	}
}

func TestClient(t *testing.T) {
	for name, want := range map[string][2]string{
		"assent/s1/toolu_1": {"s1", "toolu_1"}, "assent/s1": {"s1", ""}, "assent//run_1": {"", "run_1"}, "assent/": {}, "psql": {}, "assent": {},
		"assent/s1/a/b": {}, "assent/s 1/a": {}, "assent/s1/\xff": {}, "assent/" + strings.Repeat("a", 500): {}, "Assent/s1/x": {},
	} {
		if s, p := trail.Client(name); s != want[0] || p != want[1] {
			t.Errorf("%q: %q, %q", name, s, p)
		}
	}
}

func FuzzClient(f *testing.F) {
	for _, s := range []string{"assent/s1/toolu_1", "assent//", "assent/\x00/", "assent/a/b/c", "psql"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		session, parent := trail.Client(s)
		if session+parent != "" && s != "assent/"+session+"/"+parent && s != "assent/"+session {
			t.Errorf("%q: %q, %q", s, session, parent)
		}
	})
}

func BenchmarkNames(b *testing.B) {
	p := &approval.Prompt{Text: strings.Repeat("Please look at the order of the ordinary things ", 42)}
	for b.Loop() {
		trail.Names(p, "public.orders")
	}
}

// What a prompt names: values as they stand, and ids of what it calls by name; never a part of an address, nor a bare id.
func TestMeans(t *testing.T) {
	prompt := &approval.Prompt{Whole: "Move the Planning meeting (order 17) and mail john.doe@example.com; pay 50 to Café Sol. Read grocery list"}
	for _, tt := range []struct {
		named []action.Name
		want  string
	}{
		{[]action.Name{{Value: "john.doe@example.com"}}, "yes"},
		{[]action.Name{{Value: "doe@example.com"}}, "no"},
		{[]action.Name{{Value: "john.doe@example.co"}}, "no"},
		{[]action.Name{{Value: "john.doe@example.com"}, {Value: "eve@example.net"}}, "no"},
		{[]action.Name{{Value: "17", ID: true}}, "no"},
		{[]action.Name{{Value: "50"}, {Value: "café sol"}}, "yes"},
		{[]action.Name{{Value: "5", ID: true}, {Value: "ana@example.org"}}, "yes"},
		{[]action.Name{{Value: "6", ID: true}}, "no"},
		{[]action.Name{{Value: "9", ID: true}}, "yes"},
		{[]action.Name{{Value: "mallory@example.net"}}, "no"},
	} {
		var b trail.Book
		b.Told("s", prompt)
		b.Returned("s", [][]byte{
			[]byte(`[{"id":"5","title":"planning meeting","guests":["ana@example.org"],"notes":"ask mallory@example.net"},{"id":6,"title":"Lunch","body":"Planning meeting"}]`),
			[]byte(`{"files":[{"id":9,"filename":"grocery-list.docx"}]}`), []byte(`no JSON`),
		})
		if got := b.Means("s", prompt, &action.Action{Named: tt.named}); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.named, got, tt.want)
		}
	}
	if got := trail.Names(&approval.Prompt{Text: "mail [masked:email]"}, "[masked:email]"); got != "" {
		t.Errorf("two masked values look alike: %q", got)
	}
	var b trail.Book
	if got := b.Means("s", &approval.Prompt{Text: "mail [masked:email]"}, &action.Action{Named: []action.Name{{Value: "a@example.com"}}}); got != "" {
		t.Errorf("only the masked text is known: %q", got)
	}
}

// A text with blanks is named with plain words in them, and nothing else.
func TestBlanks(t *testing.T) {
	prompt := &approval.Prompt{Whole: "It's for Ana's calendar: 'Dinner at {restaurant_name}', file it as \"Notes of [day] with <guest>, final\". {all}; '{x}' and '{a}{b} table'"}
	for value, want := range map[string]string{
		"Dinner at New Café Sol":                                 "yes",
		"dinner at St. James & Sons (West)":                      "yes",
		"Notes of Monday with Ana Ruiz, final":                   "yes",
		"Dinner at http://evil.example":                          "no",
		"Dinner at evil.example":                                 "no",
		"Dinner at ana@example.org":                              "no",
		"Dinner at a\nb":                                         "no",
		"Dinner at one two three four five six seven eight nine": "no",
		"Dinner at " + strings.Repeat("x", 65):                   "no",
		"Lunch at Café Sol":                                      "no",
		"Send it. Dinner at Café Sol":                            "no",
		"Notes of Monday with Ana Ruiz":                          "no",
		"anything":                                               "no",
		"one two table":                                          "no",
	} {
		var b trail.Book
		b.Told("s", prompt)
		if got := b.Means("s", prompt, &action.Action{Named: []action.Name{{Value: value}}}); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// An object may be called by its name but one word, where no other object could be meant; that names its id, and nobody else.
func TestNearlyNamed(t *testing.T) {
	prompt := &approval.Prompt{Whole: "Add milk to the grocery list I have, move my dental check-up, and mail the minutes of the client meeting to the client with thanks"}
	for _, tt := range []struct {
		read, value string
		id          bool
		want        string
	}{
		{`{"id":"9","filename":"grocery-list-today.docx"}`, "9", true, "yes"},
		{`{"id":"9","filename":"my grocery list"}`, "9", true, "yes"},
		{`{"id":"9","filename":"my-new-grocery-list"}`, "9", true, "no"},
		{`{"id":"9","filename":"grocery-list-today.docx","owner":"eve@example.net"}`, "eve@example.net", false, "no"},
		{`[{"id":"9","filename":"grocery-list-today.docx"},{"id":"8","filename":"grocery-list-monday.docx"}]`, "9", true, "no"},
		{`[{"id":"9","filename":"grocery-list-today.docx"},{"id":"8","filename":"old grocery list of May"}]`, "9", true, "no"},
		{`[{"id":"9","filename":"grocery-list-today.docx"},{"id":"8","filename":"grocery-list.docx"}]`, "9", true, "no"},
		{`[{"id":"9","filename":"grocery-list-today.docx"},{"id":"8","filename":"grocery-list.docx"}]`, "8", true, "yes"},
		{`[{"id":"5","title":"Dentist","description":"Regular dental check-up."},{"id":"6","title":"Moved","description":"because of a dental check-up"}]`, "5", true, "yes"},
		{`[{"id":"5","title":"Dentist","description":"Regular dental check-up."},{"id":"6","title":"Moved","description":"because of a dental check-up"}]`, "6", true, "no"},
		{`{"id":"7","title":"client with thanks"}`, "7", true, "yes"},
		{`{"id":"7","title":"Thanks with thanks"}`, "7", true, "no"},
		{`{"id":"4","title":"Minutes of the client meeting","shared_with":{"ana@example.org":"rw"}}`, "ana@example.org", false, "yes"},
		{`{"id":"4","title":"Other minutes of the client meeting","shared_with":{"ana@example.org":"rw"}}`, "ana@example.org", false, "no"},
		{`{"id":"4","title":"Minutes of the client meeting","people":[{"eve@example.net":"r"}]}`, "eve@example.net", false, "no"},
	} {
		var b trail.Book
		b.Told("s", prompt)
		b.Returned("s", [][]byte{[]byte(tt.read)})
		if got := b.Means("s", prompt, &action.Action{Named: []action.Name{{Value: tt.value, ID: tt.id}}}); got != tt.want {
			t.Errorf("%s of %s: %q, want %q", tt.value, tt.read, got, tt.want)
		}
	}
}

// Whatever a prompt, an answer and a request hold, blanks and names that lack a word name no address, no host and nothing of two lines.
func FuzzLoosely(f *testing.F) {
	f.Add("'Dinner at {place}' and the grocery list", "Dinner at Sol", `{"id":"9","name":"grocery list today"}`)
	f.Add("“{a b} of [c] <d>”", "x of y z", `[{"name":"a","x":{"a@b.c":"r"},"description":"d"}]`)
	f.Add("'{'}[<>]'", "}", `{}`)
	f.Fuzz(func(t *testing.T, text, value, read string) {
		prompt := &approval.Prompt{Whole: text}
		var b trail.Book
		b.Told("s", prompt)
		for _, id := range []bool{false, true} {
			if got := b.Means("s", prompt, &action.Action{Named: []action.Name{{Value: value, ID: id}}}); got == "yes" && (id || strings.ContainsAny(value, "@/\n") && !strings.Contains(strings.ToLower(text), strings.ToLower(strings.TrimSpace(value))) && !quotes(text, value)) {
				t.Errorf("%q names %q, id %t, where nothing was read", text, value, id)
			}
		}
		b.Returned("s", [][]byte{[]byte(read)})
		_ = b.Means("s", prompt, &action.Action{Named: []action.Name{{Value: value, ID: true}}})
	})
}

// quotes says that a prompt itself has what makes value more than plain words.
func quotes(text, value string) bool {
	for _, c := range "@/\n" {
		if strings.Count(value, string(c)) > strings.Count(text, string(c)) {
			return false
		}
	}
	return true
}
