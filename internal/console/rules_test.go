package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/rules"
)

// ruledHouse is a house whose groups and settings may be changed; dba administer.
func ruledHouse(t *testing.T) (*house, *change.Engine, *people.Directory, map[string]int64) {
	t.Helper()
	h := newHouse(t)
	_, changes := controls(t, h)
	dir, err := people.Open(t.Context(), people.Options{Box: h.box, Config: people.Config{
		People: []identity.Person{sam, mira, ivo, dana, omar},
		OnCall: []people.Rotation{{Group: "group:night", People: []string{sam.ID, omar.ID}, Start: time.Now().Add(-time.Hour), Days: 300, Zone: time.UTC}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	holds := map[string]int64{}
	r, err := rules.New(rules.Options{
		Box: h.box, Changes: changes, Directory: dir, Admins: []string{"group:dba"}, ReadsGroups: func() bool { return false },
		Settings: []rules.Setting{{Name: "limits.pending_per_actor", Doc: "Approvals one actor may have pending.", Default: 20, Least: 1, Most: 1000}, {Name: "limits.approval_window", Doc: "How long an approval stays usable.", Span: true, Default: 900, Least: 60, Most: 86400}},
		Apply: func(v map[string]int64) error {
			for k, x := range v {
				holds[k] = x
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	with := h.change
	h.change = func(o *Options) {
		with(o)
		o.Rules, o.Directory = r, dir
		o.Administers = func(p *identity.Person) bool { return p.In("group:dba") }
	}
	h.serve()
	return h, changes, dir, holds
}

func TestTheRulesPage(t *testing.T) {
	h, changes, dir, holds := ruledHouse(t)
	add := url.Values{"do": {"add"}, "member": {"omar"}, "group": {"data-owners"}, "reason": {"<i>joins</i> them"}}
	all := map[string]url.Values{
		"/control/groups": add, "/control/oncall": {"who": {"group:night person:omar"}, "hours": {"2"}}, "/control/settings": {"name": {"limits.pending_per_actor"}, "value": {"3"}, "reason": {"x"}},
	}
	mc := newClient(h).signIn(mira)
	if _, body := mc.send("GET", "/control/rules", nil); !strings.Contains(body, "group:data-owners") || strings.Contains(body, "<form class=\"newkey\"") {
		t.Error("who doesn't administer is shown how to change the rules, or not who is in a group")
	}
	token := newClient(h).pasted()
	sc := newClient(h).signIn(sam)
	for path, form := range all {
		if code, _ := sc.send("POST", path, form); code != http.StatusForbidden {
			t.Errorf("%s without the page's token: %d", path, code)
		}
		for name, c := range map[string]*client{"no administrator": mc, "a pasted token": token} {
			f := url.Values{"csrf": {c.csrf}}
			for k, v := range form {
				f[k] = v
			}
			if code, _ := c.send("POST", path, f); code != http.StatusForbidden {
				t.Errorf("%s by %s: %d", path, name, code)
			}
		}
	}
	if list, err := changes.List(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	for name, f := range map[string]url.Values{
		"/control/groups": {"do": {"add"}, "member": {"nobody"}, "group": {"data-owners"}, "reason": {"x"}}, "/control/oncall": {"who": {"group:night person:omar"}, "hours": {"0"}},
		"/control/settings": {"name": {"limits.pending_per_actor"}, "value": {"many"}, "reason": {"x"}},
	} {
		f.Set("csrf", sc.csrf)
		if code, body := sc.send("POST", name, f); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}

	// More waits for another; less holds.
	for path, form := range all {
		form.Set("csrf", sc.csrf)
		if code, body := sc.send("POST", path, form); code != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", path, code, body)
		}
	}
	if holds["limits.pending_per_actor"] != 3 {
		t.Errorf("less doesn't hold: %v", holds)
	}
	list, err := changes.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	ic := newClient(h).signIn(ivo)
	for _, e := range list {
		if e.State != change.Proposed {
			continue
		}
		confirmed := func(f url.Values) { f.Set("confirmed", "yes") }
		if code, _ := sc.answer(h.get(e.Approval), approval.Approve, confirmed); code != http.StatusForbidden {
			t.Errorf("%s: its author allows it: %d", e.Title, code)
		}
		if _, body := ic.send("GET", "/approvals/"+e.Approval, nil); strings.Contains(body, "<i>joins") || !strings.Contains(body, "person:omar") {
			t.Errorf("%s: the card doesn't show what changes, or takes its text for markup", e.Title)
		}
		if code, body := ic.answer(h.get(e.Approval), approval.Approve, confirmed); code != http.StatusOK {
			t.Errorf("%s: another administrator: %d %s", e.Title, code, body)
		}
	}
	if err := changes.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, _ := dir.Person(omar.ID); !p.In("group:data-owners") || !p.In("group:night") {
		t.Errorf("omar is in %v", p.Groups)
	}
	if _, body := sc.send("GET", "/control", nil); !strings.Contains(body, "at once: it permits nothing more") {
		t.Error("the page of changes doesn't tell what was applied at once")
	}
}

func TestTheRulesPageInDarkLightAndOnAPhone(t *testing.T) {
	h, changes, _, holds := ruledHouse(t)
	b := openBrowser(t)
	b.signIn(h, sam)
	axe := axeSource(t)
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		b.do(chromedp.EmulateViewport(1440, 900, chromedp.EmulateScale(1.5)))
		b.goTo(h.url + "/control/rules")
		b.until(`document.fonts.status === "loaded" && document.querySelector("h1")`)
		b.shot("rules-" + scheme)
		b.accessible(axe, "rules in "+scheme)
		b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > 390 {
			t.Errorf("in %s it is %d px wide on a phone of 390: %s", scheme, w, eval[string](b, widest))
		}
		b.shot("rules-phone-" + scheme)
	}
	b.do(chromedp.EmulateViewport(1440, 900))
	b.goTo(h.url + "/control/rules")
	row := `[data-key="limits.pending_per_actor"] `
	b.do(chromedp.SetValue(row+`[name=value]`, "4"), chromedp.SetValue(row+`[name=reason]`, "it floods us"), chromedp.Click(row+`button`))
	b.until(`document.querySelector('` + row + `b')?.textContent === "4"`)
	if holds["limits.pending_per_actor"] != 4 {
		t.Errorf("it doesn't hold: %v", holds)
	}
	b.do(chromedp.SetValue(`#editgroup [name=member]`, "person:omar"), chromedp.SetValue(`#editgroup [name=group]`, "group:data-owners"), chromedp.SetValue(`#editgroup [name=reason]`, "joins them"), chromedp.Click(`#editgroup button`))
	b.until(`location.pathname.startsWith("/approvals/") && document.querySelector("#dt")?.textContent.includes("Who is in group:data-owners")`)
	b.shot("rules-asked")
	if list, err := changes.List(t.Context()); err != nil || len(list) != 2 || list[0].State != change.Proposed {
		t.Errorf("%+v, %v", list, err)
	}
	b.clean()
}
