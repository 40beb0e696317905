package people_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

var ctx = context.Background()

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// A town is a directory on a real store and log, with a clock of its own.
type town struct {
	*people.Directory
	tb    testing.TB
	dir   string
	store *sqlite.Store
	box   *sealed.Box
	mu    sync.Mutex
	now   time.Time
}

const (
	corp    = "https://corp.example"
	partner = "https://partner.example"
)

func config() people.Config {
	return people.Config{
		People: []identity.Person{
			{ID: "person:mira", Name: "Mira", Groups: []string{"group:data-owners"}, Accounts: []string{"corp|mira"}},
			{ID: "person:ivo", Name: "Ivo", Groups: []string{"group:data-owners"}},
			{ID: "person:sam", Name: "Sam"},
		},
		Groups: []people.Group{
			{Name: "group:data-owners", From: []string{"corp|00g1"}},
			{Name: "group:security", People: []string{"person:ivo"}, From: []string{"partner|00g1"}},
		},
		Actors:  []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:sam"}},
		Issuers: map[string]string{"corp": corp, "partner": partner},
	}
}

func newTown(tb testing.TB, c people.Config) *town {
	tb.Helper()
	w := &town{tb: tb, dir: tb.TempDir(), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	var err error
	w.store, err = sqlite.Open(ctx, w.dir)
	must(tb, err)
	tb.Cleanup(func() { must(tb, w.store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(w.dir, "key"), "test/log")
	must(tb, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(tb, err)
	must(tb, log.Open(ctx, w.store))
	w.box, err = sealed.NewBox(w.store, log, []byte(strings.Repeat("k", 32)))
	must(tb, err)
	w.restart(c)
	return w
}

// restart opens the directory anew on what is stored, as after a change of the configuration.
func (w *town) restart(c people.Config) {
	w.tb.Helper()
	d, err := people.Open(ctx, people.Options{Config: c, Box: w.box, Clock: w.clock})
	must(w.tb, err)
	w.Directory = d
}

func (w *town) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *town) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *town) signIn(issuer, subject string, groups ...string) *identity.Person {
	w.tb.Helper()
	p, err := w.SignedIn(ctx, w.claims(issuer, subject, groups...))
	must(w.tb, err)
	return &p
}

func (w *town) claims(issuer, subject string, groups ...string) people.Claims {
	url := map[string]string{"corp": corp, "partner": partner}[issuer]
	return people.Claims{Issuer: issuer, URL: url, Subject: subject, Name: "N " + subject, Groups: groups, Until: w.clock().Add(8 * time.Hour)}
}

func (w *town) groups(id string) []string {
	w.tb.Helper()
	p, ok := w.Person(id)
	if !ok {
		w.tb.Fatalf("nobody is %s", id)
	}
	return p.Groups
}

func (w *town) members(group string) []string {
	var out []string
	for _, p := range w.Members(group) {
		out = append(out, p.ID)
	}
	return out
}

func (w *town) want(what string, got, want []string) {
	w.tb.Helper()
	if !slices.Equal(got, want) {
		w.tb.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAccountsLeadToPeople(t *testing.T) {
	w := newTown(t, config())
	mira := w.signIn("corp", "mira", "00g9")
	if mira.ID != "person:mira" || mira.Account != "corp|mira" || mira.Key() != "corp|mira" {
		t.Errorf("mira is %+v", mira)
	}
	w.want("mira's issuers", mira.Issuers, []string{"", "corp"})
	other := w.signIn("corp", "other", "00g1")
	if !strings.HasPrefix(other.ID, "person:u-") || strings.Contains(other.ID, "other") {
		t.Errorf("another is %+v", other)
	}
	w.want("by the issuer's group", other.Groups, []string{"group:data-owners"})
	if again := w.signIn("corp", "other", "00g1"); again.ID != other.ID {
		t.Errorf("%s came back as %s", other.ID, again.ID)
	}
	if same := w.signIn("partner", "mira", "00g1"); same.ID == "person:mira" || slices.Contains(same.Groups, "group:data-owners") || !slices.Contains(same.Groups, "group:security") {
		t.Errorf("the same subject and group of another issuer are %+v", same)
	}
	w.want("who is asked", w.members("group:data-owners"), []string{"person:ivo", "person:mira", other.ID})
}

// Every way in which claims may be wrong leaves nothing behind.
func TestClaimsAreRefused(t *testing.T) {
	w := newTown(t, config())
	for name, edit := range map[string]func(*people.Claims){
		"an unknown issuer":        func(c *people.Claims) { c.Issuer = "evil" },
		"an issuer's other URL":    func(c *people.Claims) { c.URL = partner },
		"no URL":                   func(c *people.Claims) { c.URL = "" },
		"no subject":               func(c *people.Claims) { c.Subject = "" },
		"a line in the subject":    func(c *people.Claims) { c.Subject = "a\nb" },
		"a line in a group":        func(c *people.Claims) { c.Groups = []string{"00g1", "x\n"} },
		"an empty group":           func(c *people.Claims) { c.Groups = []string{""} },
		"more groups than anybody": func(c *people.Claims) { c.Groups = make([]string, 2001) },
	} {
		c := w.claims("corp", "eve", "00g1")
		edit(&c)
		if p, err := w.SignedIn(ctx, c); err == nil {
			t.Errorf("%s: signed in as %+v", name, p)
		}
	}
	if got := w.Accounts(); len(got) != 1 {
		t.Errorf("known: %+v", got)
	}
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("g%03d", i)
	}
	w.want("500 groups", w.signIn("corp", "much", append(many, "00g1")...).Groups, []string{"group:data-owners"})
}

// Groups count for answering while a session holds them, and for being asked
// for a month; a group that is gone is gone at once.
func TestGroupsAreHeldBySessions(t *testing.T) {
	w := newTown(t, config())
	p := w.signIn("corp", "ana", "00g1")
	id := p.ID
	w.want("signed in", w.groups(id), []string{"group:data-owners"})
	_, err := w.Refreshed(ctx, w.claims("corp", "ana"))
	must(t, err)
	w.want("removed by the issuer", w.groups(id), nil)
	w.want("asked", w.members("group:data-owners"), []string{"person:ivo", "person:mira"})
	_, err = w.Refreshed(ctx, w.claims("corp", "ana", "00g1"))
	must(t, err)
	w.pass(9 * time.Hour)
	w.want("the session is over", w.groups(id), nil)
	if !slices.Contains(w.members("group:data-owners"), id) {
		t.Error("nobody would ask one who is asleep")
	}
	w.Holds("corp|ana", w.clock().Add(time.Hour))
	w.want("held again", w.groups(id), []string{"group:data-owners"})
	w.Idle("corp|ana")
	w.want("signed out", w.groups(id), nil)
	w.signIn("corp", "ana", "00g1")
	w.restart(config())
	w.want("after a restart nobody holds them", w.groups(id), nil)
	if !slices.Contains(w.members("group:data-owners"), id) {
		t.Error("forgotten by a restart")
	}
	must(t, w.Left(ctx, "corp|ana", "disabled"))
	w.Holds("corp|ana", w.clock().Add(time.Hour))
	w.want("left", w.groups(id), nil)
	w.want("left, asked", w.members("group:data-owners"), []string{"person:ivo", "person:mira"})
	w.signIn("corp", "ana", "00g1")
	w.pass(people.GroupMemory)
	w.want("a month later", w.members("group:data-owners"), []string{"person:ivo", "person:mira"})
}

func TestAnIssuersNameStaysItsOwn(t *testing.T) {
	w := newTown(t, config())
	w.signIn("corp", "ana", "00g1")
	c := config()
	c.Issuers["corp"] = "https://elsewhere.example"
	w.restart(c)
	claims := w.claims("corp", "ana", "00g1")
	claims.URL = c.Issuers["corp"]
	if p, err := w.SignedIn(ctx, claims); err == nil {
		t.Errorf("another issuer's subject signed in as %+v", p)
	}
	w.want("asked", w.members("group:data-owners"), []string{"person:ivo", "person:mira"})
}

// link makes a link between two signed-in people, whole.
func (w *town) link(p, q *identity.Person) *people.Link {
	w.tb.Helper()
	_, code, err := w.BeginLink(ctx, p)
	must(w.tb, err)
	seen, err := w.LookAtLink(ctx, code)
	must(w.tb, err)
	if seen.Person != p.ID {
		w.tb.Errorf("shown: %+v", seen)
	}
	l, err := w.OfferLink(ctx, code, q)
	must(w.tb, err)
	if l.Account != q.Account || l.AccountName == "" {
		w.tb.Errorf("offered: %+v", l)
	}
	l, err = w.ConfirmLink(ctx, l.ID, p)
	must(w.tb, err)
	return l
}

func (w *town) excludes(a, b string) {
	w.tb.Helper()
	p, ok := w.Person(a)
	if !ok || !slices.Contains(p.IDs(), b) {
		w.tb.Errorf("%s doesn't exclude %s: %v", a, b, p.IDs())
	}
}

func TestALinkExcludesAtOnceAndCountsAfterADay(t *testing.T) {
	w := newTown(t, config())
	p, q := w.signIn("corp", "ana", "00g1"), w.signIn("partner", "anna", "00g1")
	l := w.link(p, q)
	for _, ids := range [][2]string{{p.ID, "partner|anna"}, {p.ID, q.ID}, {q.ID, p.ID}, {"partner|anna", "corp|ana"}} {
		w.excludes(ids[0], ids[1])
	}
	w.want("the young account", w.groups("partner|anna"), nil)
	w.want("the one it was linked to", w.groups("corp|ana"), []string{"group:data-owners"})
	if slices.Contains(w.members("group:security"), p.ID) {
		t.Error("a young link brings a group")
	}
	w.pass(people.LinkDelay)
	w.signIn("corp", "ana", "00g1")
	w.signIn("partner", "anna", "00g1")
	for _, id := range []string{"corp|ana", "partner|anna", p.ID, q.ID} {
		w.want(id+" a day later", w.groups(id), []string{"group:data-owners", "group:security"})
	}
	found, _ := w.Person("partner|anna")
	if !found.Since.Equal(l.Counts) {
		t.Errorf("since %s", found.Since)
	}
	if n := len(w.members("group:security")); n != 2 {
		t.Errorf("%d members", n)
	}

	must(t, w.EndLink(ctx, l.ID, p, false))
	w.restart(config())
	w.signIn("corp", "ana", "00g1")
	w.signIn("partner", "anna", "00g1")
	w.excludes(p.ID, "partner|anna")
	w.excludes(q.ID, "corp|ana")
	w.want("unlinked", w.groups("partner|anna"), nil)
	w.want("unlinked, by id", w.groups(q.ID), nil)
	w.want("the other side", w.groups("corp|ana"), []string{"group:data-owners"})
	w.pass(people.LinkMemory - time.Hour)
	w.want("29 days later", w.groups("partner|anna"), nil)
	w.excludes(p.ID, "partner|anna")
	w.pass(time.Hour)
	if now, _ := w.Person(p.ID); slices.Contains(now.IDs(), "partner|anna") {
		t.Error("remembered for ever")
	}
}

func TestLinkingRefuses(t *testing.T) {
	w := newTown(t, config())
	p, q, eve := w.signIn("corp", "ana", "00g1"), w.signIn("partner", "anna"), w.signIn("corp", "eve")
	sam, _ := w.Person("person:sam")
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s was let through", what)
		}
	}
	l, code, err := w.BeginLink(ctx, p)
	must(t, err)
	_, err = w.ConfirmLink(ctx, l.ID, p)
	refused("confirming what nobody offered", err)
	_, err = w.OfferLink(ctx, code, p)
	refused("linking an account to itself", err)
	_, err = w.OfferLink(ctx, code, &sam)
	refused("offering without an account", err)
	_, err = w.OfferLink(ctx, code+"x", q)
	refused("another code", err)
	_, err = w.OfferLink(ctx, code, q)
	must(t, err)
	_, err = w.OfferLink(ctx, code, eve)
	refused("a code that was used", err)
	_, err = w.ConfirmLink(ctx, l.ID, q)
	refused("confirming by the other side alone", err)
	_, err = w.ConfirmLink(ctx, l.ID, eve)
	refused("confirming by a stranger", err)
	refused("ending by a stranger", w.EndLink(ctx, l.ID, eve, false))
	now, _ := w.Person(p.ID)
	if slices.Contains(now.IDs(), q.ID) {
		t.Error("linked without a confirmation")
	}
	w.pass(11 * time.Minute)
	_, err = w.ConfirmLink(ctx, l.ID, p)
	refused("confirming too late", err)
	_, code, err = w.BeginLink(ctx, p)
	must(t, err)
	w.pass(11 * time.Minute)
	_, err = w.OfferLink(ctx, code, q)
	refused("offering too late", err)
	w.link(p, q)
	_, code, err = w.BeginLink(ctx, eve)
	must(t, err)
	linked, _ := w.Person("partner|anna")
	_, err = w.OfferLink(ctx, code, &linked)
	refused("an account of two people", err)
}

// What the configuration no longer says is a link that ended.
func TestAnAccountTakenOutOfTheConfiguration(t *testing.T) {
	w := newTown(t, config())
	w.signIn("corp", "mira", "00g1")
	w.want("configured", w.groups("corp|mira"), []string{"group:data-owners"})
	c := config()
	c.People[0].Accounts = nil
	w.restart(c)
	w.signIn("corp", "mira", "00g1")
	w.want("alone", w.groups("corp|mira"), nil)
	w.excludes("corp|mira", "person:mira")
	w.excludes("person:mira", "corp|mira")
	c.People = c.People[1:] // mira is gone altogether
	w.restart(c)
	w.excludes("corp|mira", "person:mira")
	w.restart(config()) // edited back
	w.signIn("corp", "mira")
	p, _ := w.Person("corp|mira")
	if p.ID != "person:mira" || p.Since.IsZero() {
		t.Errorf("edited back: %+v", p)
	}
}

func TestStandIns(t *testing.T) {
	w := newTown(t, config())
	mira, _ := w.Person("person:mira")
	until := w.clock().Add(48 * time.Hour)
	s, err := w.Appoint(ctx, &mira, "person:sam", nil, until, "away")
	must(t, err)
	sam, _ := w.Person("person:sam")
	if len(sam.StandsFor) != 1 || sam.StandsFor[0].Person != "person:mira" || sam.In("group:data-owners") {
		t.Errorf("sam is %+v", sam)
	}
	w.want("who is asked", w.members("group:data-owners"), []string{"person:ivo", "person:mira", "person:sam"})
	ivo, _ := w.Person("person:ivo")
	for name, fn := range map[string]func() error{
		"for oneself": func() error { _, err := w.Appoint(ctx, &mira, "person:mira", nil, until, ""); return err },
		"for a group not one's": func() error {
			_, err := w.Appoint(ctx, &mira, "person:ivo", []string{"group:security"}, until, "")
			return err
		},
		"of a stand-in": func() error { _, err := w.Appoint(ctx, &sam, "person:ivo", nil, until, ""); return err },
		"of a stand-in's group": func() error {
			_, err := w.Appoint(ctx, &sam, "person:ivo", []string{"group:data-owners"}, until, "")
			return err
		},
		"for two months": func() error {
			_, err := w.Appoint(ctx, &mira, "person:ivo", nil, w.clock().Add(61*24*time.Hour), "")
			return err
		},
		"until yesterday": func() error {
			_, err := w.Appoint(ctx, &mira, "person:ivo", nil, w.clock().Add(-time.Hour), "")
			return err
		},
		"of nobody":           func() error { _, err := w.Appoint(ctx, &mira, "person:nobody", nil, until, ""); return err },
		"ended by a stranger": func() error { return w.EndStandIn(ctx, s.ID, &ivo, false) },
	} {
		if err := fn(); !errors.Is(err, people.ErrRefused) && !errors.Is(err, people.ErrUnknown) && !errors.Is(err, people.ErrNotYours) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.restart(config())
	if sam, _ = w.Person("person:sam"); len(sam.StandsFor) != 1 {
		t.Error("forgotten by a restart")
	}
	c := config()
	c.People[0].Groups = nil
	w.restart(c)
	if sam, _ = w.Person("person:sam"); len(sam.StandsFor) != 0 {
		t.Errorf("a seat that is gone is lent: %+v", sam.StandsFor)
	}
	w.restart(config())
	w.pass(48 * time.Hour)
	if sam, _ = w.Person("person:sam"); len(sam.StandsFor) != 0 {
		t.Error("stands in for ever")
	}
	s, err = w.Appoint(ctx, &mira, "person:sam", nil, w.clock().Add(time.Hour), "")
	must(t, err)
	must(t, w.EndStandIn(ctx, s.ID, &mira, false))
	if sam, _ = w.Person("person:sam"); len(sam.StandsFor) != 0 {
		t.Error("ended, and stands in")
	}
}

func TestOnCall(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	c := config()
	c.OnCall = []people.Rotation{{
		Group: "group:night", People: []string{"person:mira", "person:ivo"}, Days: 1, Zone: zone,
		Start: time.Date(2026, 3, 27, 9, 0, 0, 0, zone),
	}}
	w := newTown(t, c)
	at := func(when time.Time, want ...string) {
		t.Helper()
		w.mu.Lock()
		w.now = when
		w.mu.Unlock()
		w.restart(c)
		w.want("on call at "+when.String(), w.members("group:night"), want)
	}
	at(time.Date(2026, 3, 27, 8, 59, 0, 0, zone))
	at(time.Date(2026, 3, 27, 9, 0, 0, 0, zone), "person:mira")
	at(time.Date(2026, 3, 28, 8, 59, 0, 0, zone), "person:mira")
	at(time.Date(2026, 3, 28, 9, 0, 0, 0, zone), "person:ivo")
	at(time.Date(2026, 3, 29, 8, 59, 0, 0, zone), "person:ivo") // the clocks went forward in this night
	at(time.Date(2026, 3, 29, 9, 0, 0, 0, zone), "person:mira")
	at(time.Date(2026, 10, 25, 8, 59, 0, 0, zone), "person:ivo") // and back in this one
	at(time.Date(2026, 10, 25, 9, 0, 0, 0, zone), "person:mira")
	w.pass(24 * time.Hour) // without a restart
	w.want("a day later", w.members("group:night"), []string{"person:ivo"})

	swap, err := w.Swap(ctx, "group:night", "person:mira", "person:ops", time.Time{}, w.clock().Add(time.Hour))
	must(t, err)
	w.want("swapped", w.members("group:night"), []string{"person:mira"})
	if _, err := w.Swap(ctx, "group:night", "person:sam", "person:ops", time.Time{}, w.clock().Add(time.Hour)); !errors.Is(err, people.ErrRefused) {
		t.Errorf("somebody whom the rotation doesn't name: %v", err)
	}
	if _, err := w.Swap(ctx, "group:data-owners", "person:mira", "person:ops", time.Time{}, w.clock().Add(time.Hour)); !errors.Is(err, people.ErrUnknown) {
		t.Errorf("a group without a rotation: %v", err)
	}
	must(t, w.EndSwap(ctx, swap.ID, "person:ops"))
	w.want("ended", w.members("group:night"), []string{"person:ivo"})
}

func TestConfigurationsWithHolesAreRefused(t *testing.T) {
	for name, edit := range map[string]func(*people.Config){
		"a person twice":        func(c *people.Config) { c.People = append(c.People, c.People[0]) },
		"a person without id":   func(c *people.Config) { c.People[0].ID = "" },
		"an account of two":     func(c *people.Config) { c.People[1].Accounts = []string{"corp|mira"} },
		"an id as an account":   func(c *people.Config) { c.People[1].Accounts = []string{"person:mira"} },
		"an unknown issuer":     func(c *people.Config) { c.Groups[0].From = []string{"evil|1"} },
		"a group twice":         func(c *people.Config) { c.Groups = append(c.Groups, c.Groups[0]) },
		"a stranger in a group": func(c *people.Config) { c.Groups[0].People = []string{"person:eve"} },
		"a rotation of nobody":  func(c *people.Config) { c.OnCall = []people.Rotation{{Group: "group:n"}} },
		"an actor twice":        func(c *people.Config) { c.Actors = append(c.Actors, c.Actors[0]) },
		"an actor without type": func(c *people.Config) { c.Actors[0].Type = "" },
		"an unknown owner":      func(c *people.Config) { c.Actors[0].Owner = "person:eve" },
		"an unknown relation":   func(c *people.Config) { c.Actors[0].Related = []string{"person:eve"} },
		"a person as an agent":  func(c *people.Config) { c.Actors[0].ID = "person:sam" },
	} {
		c := config()
		edit(&c)
		if _, err := people.Open(ctx, people.Options{Config: c}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Another replica hears of a change by the log's hint.
func TestAnotherReplicaFollows(t *testing.T) {
	w := newTown(t, config())
	other, err := people.Open(ctx, people.Options{Config: config(), Box: w.box, Clock: w.clock})
	must(t, err)
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { other.Run(run); close(done) }()
	defer func() { stop(); <-done }()
	p := w.signIn("corp", "ana", "00g1")
	for range 1000 {
		if _, ok := other.Person(p.ID); ok {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the other replica never heard")
}

// A row that is edited, taken away or put back is found at the next start.
func TestAnIntrudersRowsAreFound(t *testing.T) {
	w := newTown(t, config())
	p, q := w.signIn("corp", "ana", "00g1"), w.signIn("partner", "anna", "00g1")
	w.link(p, q)
	must(t, w.store.UpdateSealed(ctx, func(tx sealed.Tx) error {
		rows, err := tx.ListSealed(ctx, sealed.Selection{Kind: "link"})
		must(t, err)
		i := slices.IndexFunc(rows, func(r sealed.Row) bool { return strings.Contains(string(r.Body), `"counts":"2026-11-23`) })
		r := rows[i]
		r.Body = []byte(strings.Replace(string(r.Body), `"counts":"2026-11-23`, `"counts":"2026-11-22`, 1))
		return tx.PutSealed(ctx, r, r.Revision)
	}))
	if _, err := people.Open(ctx, people.Options{Config: config(), Box: w.box, Clock: w.clock}); !errors.Is(err, sealed.ErrTampered) {
		t.Errorf("opened on an edited row: %v", err)
	}
}

// A row that is edited while the server runs: nobody is in any group from then
// on, and who is whose second account stays known.
func TestAnIntrudersRowStopsReviewing(t *testing.T) {
	w := newTown(t, config())
	p, q := w.signIn("corp", "ana", "00g1"), w.signIn("partner", "anna", "00g1")
	l := w.link(p, q)
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { w.Run(run); close(done) }()
	defer func() { stop(); <-done }()
	must(t, w.store.UpdateSealed(ctx, func(tx sealed.Tx) error {
		r, err := tx.SealedByID(ctx, "link", l.ID)
		must(t, err)
		r.Body = []byte(strings.Replace(string(r.Body), `"counts":"2026-11-23`, `"counts":"2026-11-22`, 1))
		return tx.PutSealed(ctx, r, r.Revision)
	}))
	w.box.Told("link/" + l.ID)
	for range 1000 {
		if w.Check(ctx) != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := w.Check(ctx); !errors.Is(err, sealed.ErrTampered) {
		t.Errorf("the directory says %v", err)
	}
	w.want("groups", w.groups("corp|ana"), nil)
	w.want("members", w.members("group:data-owners"), nil)
	w.excludes(p.ID, "partner|anna")
}

func FuzzClaims(f *testing.F) {
	w := newTown(f, config())
	f.Add("corp", corp, "ana", "00g1")
	f.Add("corp|x", corp, "ana|b", "corp|00g1")
	f.Add("", "", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, issuer, url, subject, group string) {
		p, err := w.SignedIn(ctx, people.Claims{Issuer: issuer, URL: url, Subject: subject, Groups: []string{group}, Until: w.clock().Add(time.Hour)})
		if err != nil {
			return
		}
		if p.In("group:data-owners") != (issuer == "corp" && (group == "00g1" || subject == "mira")) {
			t.Errorf("%q %q %q is in %v", issuer, subject, group, p.Groups)
		}
		if p.ID == "person:mira" && (issuer != "corp" || subject != "mira") {
			t.Errorf("%q %q is mira", issuer, subject)
		}
	})
}
