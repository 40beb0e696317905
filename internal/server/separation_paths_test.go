package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// A path is how somebody may try to come by a seat.
type path struct {
	name  string
	kind  action.Kind // data.write unless it says otherwise
	never bool        // nobody gets through by it: it is too late for everyone
	// before and after the asking; hand is the key of who answers. With control,
	// r is the unrelated person, who does it in time.
	before func(x *site, r *relation, control bool) (hand string, undo func())
	after  func(x *site, r *relation, hand string) string
}

func nothing() {}

func (p *path) walk(x *site, r *relation) (string, *held, func()) {
	return p.take(x, r, false)
}

func (p *path) control(x *site) (string, *held, func()) { return p.take(x, &unrelated, true) }

func (p *path) take(x *site, r *relation, control bool) (string, *held, func()) {
	x.t.Helper()
	hand, undo := personID(r.who), nothing
	if p.before != nil {
		hand, undo = p.before(x, r, control)
	}
	kind := p.kind
	if kind == "" {
		kind = action.DataWrite
	}
	h := x.hold(r, kind)
	if p.after != nil && !control {
		hand = p.after(x, r, hand)
	}
	return hand, h, undo
}

var paths = []path{
	{name: "review"},
	{name: "by an account", before: func(x *site, r *relation, _ bool) (string, func()) {
		return x.signIn(r.who), nothing
	}},
	{name: "a stand-in of theirs", before: func(x *site, r *relation, _ bool) (string, func()) {
		if r.who == "late" { // in no group: there is no seat to lend
			return "person:h", nothing
		}
		return "person:h", x.appoint(r.who, "h")
	}},
	{name: "as a stand-in", before: func(x *site, r *relation, control bool) (string, func()) {
		if control {
			return "person:h", x.appoint("u2", "h")
		}
		if r.who == "late" {
			return "person:late", nothing
		}
		return personID(r.who), x.appoint("u2", r.who)
	}},
	{name: "a stand-in appointed late", never: true, after: func(x *site, r *relation, _ string) string {
		x.t.Cleanup(x.appoint("u2", "h"))
		return "person:h"
	}},
	{name: "a second account, linked", before: func(x *site, r *relation, control bool) (string, func()) {
		second := x.link(r)
		if control {
			return x.signIn(r.who), nothing // the first one reviews, as it did
		}
		return second, nothing
	}},
	{name: "a second account, linked and unlinked", before: func(x *site, r *relation, control bool) (string, func()) {
		second := x.link(r)
		x.unlink(second)
		if control {
			return x.signIn(r.who), nothing
		}
		return second, nothing
	}},
	// The other way round: a reviewer who was asked turns out to be the same
	// human being. They begin the link, so that their own account stays whole.
	{name: "found out by a link after the asking", before: func(x *site, _ *relation, _ bool) (string, func()) {
		return x.signIn(x.fresh("other"), "g-owners"), nothing
	}, after: func(x *site, r *relation, hand string) string {
		x.join(hand, x.signIn(r.who))
		return hand
	}},
	{name: "found out by a link that ended again", before: func(x *site, _ *relation, _ bool) (string, func()) {
		return x.signIn(x.fresh("other"), "g-owners"), nothing
	}, after: func(x *site, r *relation, hand string) string {
		if r.who == "late" { // to whom nobody is related: the other one may answer
			return "person:late"
		}
		x.join(hand, x.signIn(r.who))
		x.unlink("corp|" + r.who)
		return hand
	}},
	{name: "a token minted by an administrator", before: func(x *site, r *relation, _ bool) (string, func()) {
		delete(x.tokens, personID(r.who))
		x.tokens[personID(r.who)] = x.mintByAPI(personID(r.who))
		return personID(r.who), nothing
	}},
	{name: "the issuer's group, joined late", before: func(x *site, _ *relation, control bool) (string, func()) {
		subject := x.fresh("joiner")
		if control {
			return x.signIn(subject, "g-owners"), nothing
		}
		return x.signIn(subject), nothing
	}, after: func(x *site, _ *relation, hand string) string {
		return x.signIn(strings.TrimPrefix(hand, "corp|"), "g-owners")
	}},
	{name: "provisioned after the asking", before: func(x *site, _ *relation, control bool) (string, func()) {
		if control {
			return x.signIn(x.fresh("new"), "g-owners"), nothing
		}
		return "", nothing
	}, after: func(x *site, _ *relation, _ string) string { return x.signIn(x.fresh("new"), "g-owners") }},
	{name: "provisioned into the group, never signed in", never: true, after: func(x *site, r *relation, _ string) string {
		hand := x.fresh("ghost")
		x.provision(hand)
		return "corp|" + hand
	}},
	{name: "provisioned into the group after the asking, and signed in", before: func(x *site, _ *relation, control bool) (string, func()) {
		subject := x.fresh("joiner")
		if control {
			x.provision(subject)
		}
		return x.signIn(subject), nothing
	}, after: func(x *site, _ *relation, hand string) string {
		x.provision(strings.TrimPrefix(hand, "corp|"))
		return x.signIn(strings.TrimPrefix(hand, "corp|"))
	}},
	{name: "their own account, provisioned into the group", before: func(x *site, r *relation, control bool) (string, func()) {
		if r.who == "late" { // nobody related: the group gained in time is theirs
			return "person:late", nothing
		}
		x.provision(r.who)
		return x.signIn(r.who), nothing
	}},
	{name: "put on call by an administrator", kind: action.MessageSend, before: func(x *site, r *relation, control bool) (string, func()) {
		if control {
			return "person:u1", x.swap("u1")
		}
		return personID(r.who), nothing
	}, after: func(x *site, r *relation, hand string) string {
		x.t.Cleanup(x.swap(r.who))
		return hand
	}},
}

// provision puts an account into the issuer's group, as its SCIM client does.
func (x *site) provision(subject string) {
	x.t.Helper()
	if x.tokens["scim"] == "" {
		text, err := x.Mint(x.t.Context(), identity.MintRequest{Kind: identity.KindProvision, Subject: "corp", TTL: time.Hour, By: "test"})
		x.must(err)
		x.tokens["scim"] = text
	}
	user := x.provisioned("Users", "externalId", subject, map[string]any{"userName": subject, "externalId": subject, "active": true})
	group := x.provisioned("Groups", "externalId", "g-owners", map[string]any{"displayName": "owners", "externalId": "g-owners"})
	status, body := x.call("PATCH", "/scim/v2/Groups/"+group, x.tokens["scim"], map[string]any{"Operations": []any{
		map[string]any{"op": "Add", "path": "members", "value": []any{map[string]any{"value": user}}},
	}})
	if status != http.StatusOK {
		x.t.Fatalf("provisioning %s: %d %s", subject, status, body)
	}
}

// provisioned is the id of a resource, which is made unless it is there.
func (x *site) provisioned(path, key, value string, fresh map[string]any) string {
	x.t.Helper()
	var found struct{ Resources []struct{ ID string } }
	_, body := x.call("GET", "/scim/v2/"+path+"?filter="+url.QueryEscape(key+` eq "`+value+`"`), x.tokens["scim"], nil)
	x.must(json.Unmarshal(body, &found))
	if len(found.Resources) == 1 {
		return found.Resources[0].ID
	}
	var made struct{ ID string }
	status, body := x.call("POST", "/scim/v2/"+path, x.tokens["scim"], fresh)
	x.must(json.Unmarshal(body, &made))
	if status != http.StatusCreated {
		x.t.Fatalf("provisioning %s: %d %s", value, status, body)
	}
	return made.ID
}

// appoint makes to a stand-in of from.
func (x *site) appoint(from, to string) (undo func()) {
	x.t.Helper()
	p := x.found(personID(from))
	s, err := x.Server.dir.Appoint(x.t.Context(), p, personID(to), nil, time.Now().Add(time.Hour), "away")
	x.must(err)
	return func() { x.must(x.Server.dir.EndStandIn(context.Background(), s.ID, p, false)) }
}

// link makes a fresh account of the issuer's group one with the person's own.
func (x *site) link(r *relation) string {
	x.t.Helper()
	first, second := x.signIn(r.who), x.signIn(x.fresh(r.who), "g-owners")
	x.join(first, second)
	return second
}

// join makes a link in the session of first, to the account second.
func (x *site) join(first, second string) {
	x.t.Helper()
	_, code, err := x.Server.dir.BeginLink(x.t.Context(), x.found(first))
	x.must(err)
	l, err := x.Server.dir.OfferLink(x.t.Context(), code, x.found(second))
	x.must(err)
	_, err = x.Server.dir.ConfirmLink(x.t.Context(), l.ID, x.found(first))
	x.must(err)
}

func (x *site) unlink(account string) {
	x.t.Helper()
	for _, l := range x.Server.dir.Links() {
		if l.Account == account && l.State == "young" {
			x.must(x.Server.dir.EndLink(x.t.Context(), l.ID, x.found(account), false))
			return
		}
	}
	x.t.Fatalf("no link of %s", account)
}

// call is one request to the API, with a token.
func (x *site) call(method, path, token string, body any) (int, []byte) {
	x.t.Helper()
	b, err := json.Marshal(body)
	x.must(err)
	req, err := http.NewRequestWithContext(x.t.Context(), method, x.URL()+path, bytes.NewReader(b))
	x.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	x.must(err)
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	x.must(err)
	return resp.StatusCode, out
}

func (x *site) admin() string {
	x.t.Helper()
	o, err := ReadOperator(x.cfg.path(x.cfg.Data))
	x.must(err)
	return o.Token
}

func (x *site) mintByAPI(person string) string {
	x.t.Helper()
	status, body := x.call("POST", "/v1/tokens", x.admin(), map[string]any{"kind": "person", "subject": person, "scopes": []string{"review"}})
	var out struct{ Token string }
	x.must(json.Unmarshal(body, &out))
	if status != http.StatusCreated || out.Token == "" {
		x.t.Fatalf("minting: %d %s", status, body)
	}
	return out.Token
}

// swap puts somebody on call, as the administrators may; one of them, whom nobody
// else is left to allow it, by the directory itself.
func (x *site) swap(who string) (undo func()) {
	x.t.Helper()
	until := time.Now().Add(time.Hour).UTC()
	before := len(x.Server.dir.Swaps())
	status, body := x.call("POST", "/v1/oncall/swaps", x.admin(), map[string]any{"group": "group:night", "person": personID(who), "until": until})
	var out struct{ ID, Approval string }
	x.must(json.Unmarshal(body, &out))
	switch status {
	case http.StatusAccepted:
		for _, admin := range []string{"root", "r-admin"} {
			x.must(x.allow(out.Approval, admin))
		}
		x.settled(out.ID)
	case http.StatusForbidden:
		_, err := x.Server.dir.Swap(context.Background(), "group:night", personID(who), "person:root", time.Now(), until)
		x.must(err)
	}
	list := x.Server.dir.Swaps()
	for end := time.Now().Add(10 * time.Second); len(list) != before+1 && time.Now().Before(end); list = x.Server.dir.Swaps() {
		time.Sleep(5 * time.Millisecond) // the directory follows a moment after it is on record
	}
	if len(list) != before+1 {
		x.t.Fatalf("on call: %d %s", status, body)
	}
	return func() { x.must(x.Server.dir.EndSwap(context.Background(), list[0].ID, "person:root")) }
}

// channels are the ways to answer. Each returns nil when the answer was taken.
var channels = map[string]func(x *site, hand string, a *approval.Approval) error{
	"api": func(x *site, hand string, a *approval.Approval) error { return x.post(x.token(hand), a) },
	"terminal": func(x *site, hand string, a *approval.Approval) error {
		c, err := client.New(x.URL(), x.token(hand), http.DefaultTransport)
		x.must(err)
		_, err = c.Review(x.t.Context(), &client.Approval{ID: a.ID, Digest: a.Digest.String(), Version: a.Version}, approval.Approve, "")
		return err
	},
	"slack": func(x *site, hand string, a *approval.Approval) error { return x.bySlack(hand, a) },
	// The agents' own tools, and what their tokens may send besides.
	"mcp": func(x *site, _ string, a *approval.Approval) error {
		for name, token := range x.tokens {
			if !strings.HasPrefix(name, "agent of ") {
				continue
			}
			if err := x.post(token, a); err == nil || !strings.Contains(err.Error(), "403") {
				return err
			}
			if err := x.byTools(token, a); err != nil {
				return err
			}
		}
		return fmt.Errorf("403 to each agent")
	},
	"console": func(x *site, hand string, a *approval.Approval) error {
		b := x.browser(hand)
		return b.send("/approvals/"+a.ID+"/review", url.Values{
			"decision": {approval.Approve}, "digest": {a.Digest.String()}, "version": {strconv.FormatInt(a.Version, 10)}, "confirmed": {"yes"},
		})
	},
	// The engine itself, told a higher assurance than anybody had.
	"engine": func(x *site, hand string, a *approval.Approval) error {
		p := x.found(hand)
		_, err := x.engine.Answer(x.t.Context(), approval.Answer{
			Approval: a.ID, Person: *p, Decision: approval.Approve, Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version,
		})
		return err
	},
}

func channelNames() []string { return slices.Sorted(maps.Keys(channels)) }

func (x *site) post(token string, a *approval.Approval) error {
	status, body := x.call("POST", "/v1/approvals/"+a.ID+"/review", token, map[string]any{"decision": "approve", "digest": a.Digest.String(), "version": a.Version})
	if status != http.StatusOK {
		return fmt.Errorf("%d %s", status, body)
	}
	return nil
}

// A browser is a signed-in console session.
type browser struct {
	x    *site
	http *http.Client
	csrf string
}

var csrfAttr = regexp.MustCompile(`data-csrf="([^"]*)"`)

// browser signs in with a reviewer's token, once for each.
func (x *site) browser(key string) *browser {
	x.t.Helper()
	if b := x.sessions[x.token(key)]; b != nil {
		return b
	}
	jar, err := cookiejar.New(nil)
	x.must(err)
	b := &browser{x: x, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	x.must(b.send("/signin", url.Values{"token": {x.token(key)}}))
	req, err := http.NewRequestWithContext(x.t.Context(), "GET", x.URL()+"/approvals", nil)
	x.must(err)
	req.Host = "localhost:8720"
	resp, err := b.http.Do(req)
	x.must(err)
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	x.must(err)
	m := csrfAttr.FindSubmatch(page)
	if m == nil {
		x.t.Fatalf("%s is not signed in: %d", key, resp.StatusCode)
	}
	b.csrf = html.UnescapeString(string(m[1]))
	x.sessions[x.token(key)] = b
	return b
}

func (b *browser) send(path string, form url.Values) error {
	b.x.t.Helper()
	req, err := http.NewRequestWithContext(b.x.t.Context(), "POST", b.x.URL()+path, strings.NewReader(form.Encode()))
	b.x.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Host = "localhost:8720"
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("X-CSRF-Token", b.csrf)
	resp, err := b.http.Do(req)
	b.x.must(err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	b.x.must(err)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	return nil
}

// twoSeats: one human being fills one of them, however they come.
func (x *site) twoSeats(t *testing.T) {
	shared := x
	between := func() {} // the first answer and the second
	human := map[string]func() (first, again string, undo func()){
		"linked and unlinked meanwhile": func() (string, string, func()) {
			other := x.signIn(x.fresh("other"), "g-owners")
			x.signIn("u3")
			between = func() {
				x.join(other, "corp|u3")
				x.unlink("corp|u3")
				between = func() {}
			}
			return "person:u3", other, nothing
		},
		"group twice": func() (string, string, func()) { return "person:u1", "person:u1", nothing },
		"two accounts": func() (string, string, func()) {
			return "person:u1", x.signIn("u1", "g-owners"), nothing
		},
		"a linked account": func() (string, string, func()) { return "person:u1", x.link(&unrelated), nothing },
		"an unlinked account": func() (string, string, func()) {
			second := x.link(&unrelated)
			x.unlink(second)
			return "person:u1", second, nothing
		},
		"their stand-in": func() (string, string, func()) { return "person:u1", "person:h", x.appoint("u1", "h") },
		"stood in for":   func() (string, string, func()) { return "person:h", "person:u1", x.appoint("u1", "h") },
		"two stand-ins of one": func() (string, string, func()) {
			a, b := x.appoint("u1", "h"), x.appoint("u1", "dana2")
			return "person:h", "person:dana2", func() { a(); b() }
		},
	}
	for _, name := range slices.Sorted(maps.Keys(human)) {
		for _, c := range channelNames() {
			t.Run(name+"/"+c, func(t *testing.T) {
				if x = shared; strings.HasPrefix(name, "linked and") {
					x = newSite(t) // its link would be remembered
				}
				x.t = t
				first, again, undo := human[name]()
				h := x.hold(&unrelated, action.DataDelete)
				if err := channels["api"](x, first, h.Approval); err != nil {
					t.Fatalf("the first seat: %v", err)
				}
				between()
				h.Approval = x.now(h.ID)
				if name == "stood in for" { // may answer, and fills the seat that was lent
					_ = channels[c](x, again, h.Approval)
					if a := x.now(h.ID); a.State != approval.Pending {
						t.Errorf("%s by a person and their stand-in", a.State)
					}
				} else {
					x.refused(t, c, again, h, 1)
				}
				x.drop(h)
				undo()
			})
		}
	}
	x = shared
	for _, c := range channelNames() {
		if c == "mcp" {
			continue
		}
		// Else an owner could shut out a reviewer by naming them as stand-in.
		t.Run("a stand-in keeps their own seat/"+c, func(t *testing.T) {
			x.t = t
			owner := relations[1]
			undo := x.appoint(owner.who, "u1")
			h := x.hold(&owner, action.DataWrite)
			x.passed(t, c, "person:u1", h)
			h.cancel()
			undo()
		})
	}
	for range 20 {
		t.Run("two replicas at once", func(t *testing.T) {
			x.t = t
			h := x.hold(&unrelated, action.DataDelete)
			x.race(h, "person:u1", "person:u1")
			if a := x.now(h.ID); a.State != approval.Pending || len(a.Reviews) != 1 {
				t.Errorf("%s with %d reviews", a.State, len(a.Reviews))
			}
			x.drop(h)
		})
	}
	for _, c := range channelNames() {
		if c == "mcp" {
			continue
		}
		t.Run("two people/"+c, func(t *testing.T) {
			x.t = t
			h := x.hold(&unrelated, action.DataDelete)
			if err := channels["api"](x, "person:u2", h.Approval); err != nil {
				t.Fatal(err)
			}
			h.Approval = x.now(h.ID)
			x.passed(t, c, "person:u1", h)
			h.cancel()
		})
	}
}

func (x *site) now(id string) *approval.Approval {
	x.t.Helper()
	a, err := x.engine.Get(x.t.Context(), id)
	x.must(err)
	return a
}

// race answers on two engines over one store at the same moment.
func (x *site) race(h *held, hands ...string) {
	x.t.Helper()
	k, err := loadKeys(x.cfg.path(x.cfg.Data)+"/keys", false)
	x.must(err)
	other, err := approval.New(approval.Options{Store: x.store, Log: x.auditLog, Minter: x.minter, Directory: x.Server.dir, MatchKey: k.match, SealKey: k.seal})
	x.must(err)
	var work sync.WaitGroup
	for i, e := range []*approval.Engine{x.engine, other} {
		work.Go(func() {
			p, _ := x.Server.dir.Person(hands[i])
			_, _ = e.Answer(x.t.Context(), approval.Answer{Approval: h.ID, Person: p, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: h.Digest, Version: h.Version})
		})
	}
	work.Wait()
}

// restarted: agents are given away and the group is edited while actions wait,
// and the server starts on that. Then everything is as it was when it was asked.
func (x *site) restarted(t *testing.T) {
	waiting := map[string]*held{}
	for _, r := range relations {
		waiting[r.name] = x.hold(&r, action.DataWrite)
	}
	x.appoint("u2", "h") // u2 takes the agent over meanwhile
	handed := x.hold(&unrelated, action.DataWrite)
	free := map[string]*held{}
	for _, c := range channelNames() {
		free[c] = x.hold(&unrelated, action.DataWrite)
	}
	x.must(x.Close(context.Background()))
	for _, h := range waiting {
		h.cancel()
	}
	handed.cancel()
	x.start(true)
	for _, hand := range []string{"person:u2", "person:h", "corp|u2"} {
		for _, c := range channelNames() {
			t.Run("took the agent over/"+hand+"/"+c, func(t *testing.T) {
				x.t = t
				x.refused(t, c, hand, &held{Approval: handed.Approval, answer: make(chan error)}, 0)
			})
		}
	}
	for _, r := range relations {
		x.t = t
		for _, hand := range []string{personID(r.who), "person:late", x.signIn(r.who, "g-owners")} {
			for _, c := range channelNames() {
				t.Run(r.name+"/"+hand+"/"+c, func(t *testing.T) {
					x.t = t
					h := &held{Approval: waiting[r.name].Approval, answer: make(chan error)}
					x.refused(t, c, hand, h, 0)
				})
			}
		}
	}
	for _, c := range channelNames() {
		if c == "mcp" {
			continue
		}
		t.Run("unrelated/"+c, func(t *testing.T) {
			x.t = t
			if err := channels[c](x, "person:u1", free[c].Approval); err != nil {
				t.Errorf("an unrelated person was refused: %v", err)
			}
			if a := x.now(free[c].ID); a.State != approval.Approved {
				t.Errorf("it is %s", a.State)
			}
		})
	}
}
