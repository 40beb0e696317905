package scim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/scim"
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

// bearers are the credentials of a site, by their text.
type bearers map[string]*identity.Caller

func (b bearers) Check(_ context.Context, bearer string) (*identity.Caller, error) {
	if c := b[bearer]; c != nil {
		return c, nil
	}
	return nil, identity.ErrBadToken
}

func provisioner(issuer string) *identity.Caller {
	return &identity.Caller{Token: "tok-" + issuer, Kind: identity.KindProvision, Scopes: []string{identity.ScopeSCIM}, Issuer: issuer, Expires: time.Now().Add(time.Hour)}
}

// A site is the handler on a real directory, store and log.
type site struct {
	tb    testing.TB
	dir   *people.Directory
	store *sqlite.Store
	url   string
	as    string // bearer
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	data := tb.TempDir()
	store, err := sqlite.Open(ctx, data)
	must(tb, err)
	tb.Cleanup(func() { must(tb, store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(data, "key"), "test/log")
	must(tb, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(tb, err)
	must(tb, log.Open(ctx, store))
	box, err := sealed.NewBox(store, log, []byte(strings.Repeat("k", 32)))
	must(tb, err)
	dir, err := people.Open(ctx, people.Options{Box: box, Config: people.Config{
		People:      []identity.Person{{ID: "person:mira", Groups: []string{"group:ops"}, Accounts: []string{"corp|00umira"}}, {ID: "person:chats", Groups: []string{"group:ops"}, Accounts: []string{"corp|00uchats", "slack|T1/U1"}}, {ID: "person:two", Groups: []string{"group:ops"}, Accounts: []string{"corp|00utwo", "partner|two"}}},
		Groups:      []people.Group{{Name: "group:owners", From: []string{"corp|00gowners", "partner|00gowners"}}},
		Issuers:     map[string]string{"corp": "https://corp.example", "partner": "https://partner.example", "still": "https://still.example", "slack": "https://slack.com/T1"},
		SignIns:     map[string]string{"corp": "https://corp.example", "partner": "https://partner.example", "still": "https://still.example"},
		Provisioned: map[string]bool{"corp": true, "partner": true},
	}})
	must(tb, err)
	callers := bearers{
		"corp": provisioner("corp"), "partner": provisioner("partner"), "still": provisioner("still"),
		"admin": {Token: "a", Kind: identity.KindPerson, Scopes: []string{identity.ScopeAdmin}, Person: &identity.Person{ID: "person:mira"}, Expires: time.Now().Add(time.Hour)},
		"agent": {Token: "b", Kind: identity.KindActor, Scopes: []string{identity.ScopeAct, identity.ScopeSCIM}, Expires: time.Now().Add(time.Hour)},
		"old":   {Token: "c", Kind: identity.KindProvision, Scopes: []string{identity.ScopeSCIM}, Issuer: "corp", Expires: time.Now().Add(-time.Hour)},
	}
	web := httptest.NewServer(scim.New(scim.Options{Credentials: callers, Directory: dir, PublicURL: "https://assent.example"}))
	tb.Cleanup(web.Close)
	return &site{tb: tb, dir: dir, store: store, url: web.URL + scim.Prefix, as: "corp"}
}

type object = map[string]any

// send makes one request; body may be a string or a value.
func (x *site) send(method, path string, body any) (int, object) {
	x.tb.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		must(x.tb, err)
		text = string(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, x.url+path, bytes.NewReader([]byte(text)))
	must(x.tb, err)
	r.Header.Set("Authorization", "Bearer "+x.as)
	if text != "" {
		r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	res, err := http.DefaultClient.Do(r)
	must(x.tb, err)
	defer func() { _ = res.Body.Close() }()
	var out object
	if res.StatusCode != http.StatusNoContent {
		if t := res.Header.Get("Content-Type"); t != "application/scim+json" {
			x.tb.Errorf("%s %s: content type %q", method, path, t)
		}
		must(x.tb, json.NewDecoder(res.Body).Decode(&out))
	}
	return res.StatusCode, out
}

// want makes one request that must be answered so.
func (x *site) want(status int, method, path string, body any) object {
	x.tb.Helper()
	got, out := x.send(method, path, body)
	if got != status {
		x.tb.Fatalf("%s %s %v: %d %v, want %d", method, path, body, got, out, status)
	}
	if status >= 400 && (fmt.Sprint(out["status"]) != fmt.Sprint(status) || fmt.Sprint(out["schemas"]) != "[urn:ietf:params:scim:api:messages:2.0:Error]") {
		x.tb.Errorf("%s %s: no SCIM error: %v", method, path, out)
	}
	return out
}

func (x *site) user(name, external string) string {
	x.tb.Helper()
	return x.want(201, "POST", "Users", object{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name, "externalId": external, "active": true})["id"].(string)
}

func (x *site) group(name, external string, members ...string) string {
	x.tb.Helper()
	list := []object{}
	for _, m := range members {
		list = append(list, object{"value": m})
	}
	return x.want(201, "POST", "Groups", object{"displayName": name, "externalId": external, "members": list})["id"].(string)
}

func (x *site) patch(path string, ops ...object) (int, object) {
	x.tb.Helper()
	return x.send("PATCH", path, object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": ops})
}

func (x *site) members(group string) (out []string) {
	for _, p := range x.dir.Members(group) {
		out = append(out, p.ID)
	}
	return out
}

func (x *site) signIn(issuer, subject string, claimed ...string) (identity.Person, error) {
	return x.dir.SignedIn(ctx, people.Claims{Issuer: issuer, URL: "https://" + issuer + ".example", Subject: subject, Groups: claimed, Until: time.Now().Add(time.Hour)})
}

// What Okta sends: its tests before anything else, a user, a change, a group without an id of its own.
func TestOkta(t *testing.T) {
	x := newSite(t)
	if out := x.want(200, "GET", "Users?startIndex=1&count=2", nil); out["totalResults"] != 0.0 {
		t.Errorf("an empty list: %v", out)
	}
	x.want(404, "GET", "Users/none", nil)
	filter := "Users?filter=userName%20eq%20%22ANA%40corp.example%22&startIndex=1&count=100"
	if out := x.want(200, "GET", filter, nil); out["totalResults"] != 0.0 {
		t.Errorf("before: %v", out)
	}
	made := x.want(201, "POST", "Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana@corp.example","name":{"givenName":"Ana","familyName":"Ruiz"},
		"emails":[{"primary":true,"value":"ana@corp.example","type":"work"}],"displayName":"Ana Ruiz","locale":"en-US","externalId":"00uana","groups":[],"password":"1mz050nq","active":true}`)
	id := made["id"].(string)
	if made["password"] != nil || made["locale"] != nil {
		t.Errorf("kept what isn't ours: %v", made)
	}
	if out := x.want(200, "GET", filter, nil); out["totalResults"] != 1.0 {
		t.Errorf("after: %v", out)
	}
	x.want(409, "POST", "Users", `{"userName":"ANA@corp.example","externalId":"00uother"}`)
	x.want(409, "POST", "Users", `{"userName":"else","externalId":"00uana"}`)
	whole := x.want(200, "GET", "Users/"+id, nil)
	whole["displayName"] = "Ana R"
	if out := x.want(200, "PUT", "Users/"+id, whole); out["displayName"] != "Ana R" || out["active"] != true {
		t.Errorf("replaced: %v", out)
	}

	g := x.want(201, "POST", "Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Owners","members":[]}`)["id"].(string)
	x.patch("Groups/"+g, object{"op": "replace", "value": object{"id": g, "displayName": "Data owners"}})
	x.patch("Groups/"+g, object{"op": "add", "path": "members", "value": []object{{"value": id, "display": "ana@corp.example"}}})
	if out := x.want(200, "GET", "Groups/"+g, nil); out["displayName"] != "Data owners" || len(out["members"].([]any)) != 1 {
		t.Errorf("the group: %v", out)
	}
	if groups := x.want(200, "GET", "Users/"+id, nil)["groups"].([]any); len(groups) != 1 {
		t.Errorf("the user's groups: %v", groups)
	}
	x.patch("Groups/"+g, object{"op": "remove", "path": `members[value eq "` + id + `"]`})
	if out := x.want(200, "GET", "Groups/"+g, nil); out["members"] != nil {
		t.Errorf("after the removal: %v", out)
	}
	if status, out := x.patch("Users/"+id, object{"op": "replace", "value": object{"active": false}}); status != 200 || out["active"] != false {
		t.Errorf("deactivated: %d %v", status, out)
	}
	x.want(204, "DELETE", "Groups/"+g, nil)
	x.want(404, "GET", "Groups/"+g, nil)
	if again := x.group("Data owners", ""); again == g {
		t.Error("a group that was deleted lent its id to another one of its name")
	}
}

// What Entra sends: operations in capitals, booleans as strings, paths with
// filters, and attributes of extensions that nobody here keeps.
func TestEntra(t *testing.T) {
	x := newSite(t)
	id := x.user("bo@corp.example", "7b39475a")
	status, out := x.patch("Users/"+id,
		object{"op": "Add", "path": `emails[type eq "work"].value`, "value": "bo@corp.example"},
		object{"op": "Replace", "path": "name.givenName", "value": "Bo"},
		object{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "Ops"},
		object{"op": "Add", "path": "manager", "value": "someone"},
		object{"op": "Replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:displayName", "value": "Bo K"},
	)
	emails, _ := out["emails"].([]any)
	if status != 200 || len(emails) != 1 || out["displayName"] != "Bo K" || out["name"].(object)["givenName"] != "Bo" {
		t.Fatalf("%d %v", status, out)
	}
	if m := emails[0].(object); m["value"] != "bo@corp.example" || m["type"] != "work" {
		t.Errorf("the address: %v", m)
	}
	_, out = x.patch("Users/"+id, object{"op": "Replace", "path": `emails[type eq "work"].value`, "value": "b@corp.example"})
	if m := out["emails"].([]any); len(m) != 1 || m[0].(object)["value"] != "b@corp.example" {
		t.Errorf("changed: %v", m)
	}
	_, out = x.patch("Users/"+id, object{"op": "Replace", "value": object{"name.familyName": "Kim", `emails[type eq "home"].value`: "h@x.example"}})
	if out["name"].(object)["familyName"] != "Kim" || len(out["emails"].([]any)) != 2 {
		t.Errorf("without a path: %v", out)
	}
	if _, out = x.patch("Users/"+id, object{"op": "Replace", "path": "active", "value": "False"}); out["active"] != false {
		t.Errorf("active: %v", out)
	}
	if _, out = x.patch("Users/"+id, object{"op": "Add", "path": "active", "value": "True"}); out["active"] != true {
		t.Errorf("active: %v", out)
	}

	other := x.user("cy@corp.example", "8c")
	g := x.group("Owners", "00gowners")
	x.patch("Groups/"+g, object{"op": "Add", "path": "members", "value": []object{{"$ref": nil, "value": id}, {"$ref": nil, "value": other}}})
	if out := x.want(200, "GET", "Groups?excludedAttributes=members&filter=displayName%20eq%20%22owners%22", nil); out["totalResults"] != 1.0 || out["Resources"].([]any)[0].(object)["members"] != nil {
		t.Errorf("without members: %v", out)
	}
	if out := x.want(200, "GET", "Groups?filter="+strings.ReplaceAll(`id eq "`+g+`" and members eq "`+id+`"`, " ", "%20"), nil); out["totalResults"] != 1.0 {
		t.Errorf("is it a member: %v", out)
	}
	x.patch("Groups/"+g, object{"op": "Remove", "path": "members", "value": []object{{"value": id}}})
	if m := x.want(200, "GET", "Groups/"+g, nil)["members"].([]any); len(m) != 1 || m[0].(object)["value"] != other {
		t.Errorf("the wrong one was removed: %v", m)
	}
	if status, _ := x.patch("Groups/"+g, object{"op": "Remove", "path": "members", "value": []object{}}); status != 400 {
		t.Errorf("removing nobody in particular: %d", status)
	}
}

// What a request can't say changes nothing.
func TestWrongRequestsChangeNothing(t *testing.T) {
	x := newSite(t)
	id := x.user("ana", "00uana")
	before, _ := json.Marshal(x.want(200, "GET", "Users/"+id, nil))
	for name, body := range map[string]string{
		"no operations":                     `{}`,
		"an unknown op":                     `{"Operations":[{"op":"move","path":"active","value":true}]}`,
		"remove without path":               `{"Operations":[{"op":"remove"}]}`,
		"an unknown path":                   `{"Operations":[{"op":"replace","path":"superuser","value":true}]}`,
		"the id":                            `{"Operations":[{"op":"replace","path":"id","value":"x"}]}`,
		"the groups":                        `{"Operations":[{"op":"add","path":"groups","value":[{"value":"x"}]}]}`,
		"half of it is wrong":               `{"Operations":[{"op":"replace","path":"active","value":false},{"op":"replace","path":"userName"}]}`,
		"active as a number":                `{"Operations":[{"op":"replace","path":"active","value":1}]}`,
		"two spellings":                     `{"Operations":[{"op":"replace","OP":"remove","path":"active","value":false}]}`,
		"two spellings in another alphabet": `{"Operationſ":[{"op":"replace","path":"active","value":true}],"OPERATIONS":[{"op":"replace","path":"active","value":false}]}`,
		"twice":                             `{"Operations":[{"op":"replace","path":"active","value":true,"value":false}]}`,
		"a tail":                            `{"Operations":[{"op":"replace","path":"active","value":false}]}{}`,
		"no filter's end":                   `{"Operations":[{"op":"replace","path":"emails[type eq \"work\"","value":"x"}]}`,
		"control characters":                `{"Operations":[{"op":"replace","path":"displayName","value":"a\u0007b"}]}`,
		"too long":                          `{"Operations":[{"op":"replace","path":"displayName","value":"` + strings.Repeat("a", 600) + `"}]}`,
		"too deep":                          `{"Operations":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"not JSON":                          `active=false`,
	} {
		if status, _ := x.send("PATCH", "Users/"+id, body); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if after, _ := json.Marshal(x.want(200, "GET", "Users/"+id, nil)); !bytes.Equal(before, after) {
		t.Errorf("changed:\n%s\n%s", before, after)
	}
	for _, f := range []string{"userName", "userName eq", "userName is %22a%22", "(userName pr", "userName eq %22a%22 garbage", strings.Repeat("(", 100)} {
		x.want(400, "GET", "Users?filter="+strings.ReplaceAll(f, " ", "%20"), nil)
	}
	x.want(400, "POST", "Groups", object{"displayName": "g", "members": []object{{"value": "nobody"}}})
	x.want(400, "POST", "Groups", object{"displayName": "g", "members": []object{{"value": id, "type": "Group"}}})
	x.want(400, "POST", "Users", object{"externalId": "1"})
	x.want(501, "GET", "Me", nil)
	x.want(405, "DELETE", "Users", nil)
	x.want(404, "GET", "elsewhere", nil)
}

// A credential of another kind, or of another issuer, reaches nothing.
func TestWhoMayProvision(t *testing.T) {
	x := newSite(t)
	id := x.user("ana", "00uana")
	for as, status := range map[string]int{"": 401, "nobody": 401, "old": 401, "admin": 403, "agent": 403, "still": 403} {
		x.as = as
		for _, path := range []string{"Users", "Users/" + id, "Groups", "ServiceProviderConfig", "elsewhere"} {
			x.want(status, "GET", path, nil)
		}
		x.want(status, "PATCH", "Users/"+id, object{"Operations": []object{{"op": "replace", "path": "active", "value": false}}})
	}
	x.as = "partner"
	x.want(404, "GET", "Users/"+id, nil)
	x.want(404, "PATCH", "Users/"+id, object{"Operations": []object{{"op": "replace", "path": "active", "value": false}}})
	x.want(404, "DELETE", "Users/"+id, nil)
	x.want(400, "POST", "Groups", object{"displayName": "g", "members": []object{{"value": id}}})
	if x.dir.Gone("corp|00uana") {
		t.Error("another issuer disabled it")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, x.url+"Users", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer corp")
	r.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a browser: %d", res.StatusCode)
	}
}

// A provisioned group makes its members ones that may be asked; to answer takes a sign-in too.
func TestAProvisionedGroup(t *testing.T) {
	x := newSite(t)
	id := x.user("ana", "00uana")
	g := x.group("Owners", "00gowners")
	unmapped := x.group("Admins", "00gelse", id)
	if got := x.members("group:owners"); got != nil {
		t.Fatalf("members before: %v", got)
	}
	x.patch("Groups/"+g, object{"op": "add", "path": "members", "value": []object{{"value": id}}})
	if got := x.members("group:owners"); len(got) != 1 {
		t.Fatalf("members: %v", got)
	}
	if p, ok := x.dir.Person("corp|00uana"); !ok || len(p.Groups) != 0 {
		t.Errorf("without a sign-in: %v %v", p.Groups, ok)
	}
	p, err := x.signIn("corp", "00uana")
	must(t, err)
	if !slices.Equal(p.Groups, []string{"group:owners"}) {
		t.Errorf("signed in: %v", p.Groups)
	}
	x.patch("Groups/"+g, object{"op": "remove", "path": "members"})
	if p, _ := x.dir.Person("corp|00uana"); len(p.Groups) != 0 {
		t.Errorf("removed: %v", p.Groups)
	}
	// Nobody's claim can say a name of ours.
	p, err = x.signIn("corp", "00uana", "scim:"+unmapped, "scim:"+g)
	must(t, err)
	if len(p.Groups) != 0 {
		t.Errorf("claimed: %v", p.Groups)
	}
}

// An id that this server gave is no other group's, by whatever name it comes.
func TestAnIDOfOursIsNoExternalId(t *testing.T) {
	x := newSite(t)
	id := x.user("ana", "00uana")
	g := x.group("Owners", "")
	if code, _ := x.send("POST", "Groups", object{"displayName": "Alias", "externalId": "scim:" + g, "members": []object{{"value": id}}}); code != 400 {
		t.Errorf("another group is called %s: %d", g, code)
	}
	other := x.group("Others", "00gothers", id)
	if code, _ := x.send("PATCH", "Groups/"+other, object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []object{{"op": "replace", "path": "externalId", "value": "scim:" + g}}}); code != 400 {
		t.Errorf("another group comes to be called %s: %d", g, code)
	}
}

// Whom provisioning disables doesn't get in, leaves every group, and stays known.
func TestDisabled(t *testing.T) {
	x := newSite(t)
	id := x.user("ana", "00uana")
	x.group("Owners", "00gowners", id)
	was, err := x.signIn("corp", "00uana", "00gowners")
	must(t, err)
	for _, how := range []string{"inactive", "deleted"} {
		if how == "inactive" {
			x.patch("Users/"+id, object{"op": "replace", "path": "active", "value": "False"})
		} else {
			x.want(204, "DELETE", "Users/"+id, nil)
		}
		p, ok := x.dir.Person("corp|00uana")
		if !ok || p.ID != was.ID || !p.Gone || len(p.Groups) != 0 || x.members("group:owners") != nil {
			t.Errorf("%s: %v %+v %v", how, ok, p, x.members("group:owners"))
		}
		if _, err := x.signIn("corp", "00uana", "00gowners"); err == nil {
			t.Errorf("%s, and signed in", how)
		}
		if how == "inactive" {
			x.patch("Users/"+id, object{"op": "replace", "path": "active", "value": "True"})
			if _, err := x.signIn("corp", "00uana"); err != nil {
				t.Errorf("active again: %v", err)
			}
		}
	}
	id = x.user("ana", "00uana") // made again: another entry of the same account
	if _, err := x.signIn("corp", "00uana"); err != nil || x.dir.Gone("corp|00uana") {
		t.Errorf("provisioned anew: %v", err)
	}
	// A configured person goes with the last of their accounts.
	mira, two, chats := x.user("mira", "00umira"), x.user("two", "00utwo"), x.user("chats", "00uchats")
	for _, id := range []string{id, mira, two, chats} {
		x.patch("Users/"+id, object{"op": "replace", "value": object{"active": false}})
	}
	if p, _ := x.dir.Person("person:mira"); !p.Gone || len(p.Groups) != 0 {
		t.Errorf("mira: %+v", p)
	}
	if p, _ := x.dir.Person("slack|T1/U1"); !p.Gone || len(p.Groups) != 0 {
		t.Errorf("by a chat, which is no sign-in: %+v", p)
	}
	if p, _ := x.dir.Person("person:two"); p.Gone || !slices.Equal(p.Groups, []string{"group:ops"}) {
		t.Errorf("one with another issuer's account: %+v", p)
	}
	if p, _ := x.dir.Person("corp|00utwo"); !p.Gone || len(p.Groups) != 0 {
		t.Errorf("the account itself: %+v", p)
	}
}

func TestPages(t *testing.T) {
	x := newSite(t)
	for i := range 7 {
		x.user(fmt.Sprintf("u%d", i), fmt.Sprintf("e%d", i))
	}
	seen := map[string]bool{}
	for start := 1; start <= 7; start += 3 {
		out := x.want(200, "GET", fmt.Sprintf("Users?startIndex=%d&count=3", start), nil)
		if out["totalResults"] != 7.0 {
			t.Errorf("total: %v", out["totalResults"])
		}
		for _, r := range out["Resources"].([]any) {
			seen[r.(object)["userName"].(string)] = true
		}
	}
	if len(seen) != 7 {
		t.Errorf("pages show %v", seen)
	}
	for query, n := range map[string]int{"startIndex=0&count=2": 2, "startIndex=-5": 7, "startIndex=8": 0, "count=0": 0, "count=-1": 0, "startIndex=9000&count=9000": 0, `filter=externalId%20eq%20"E1"`: 0, `filter=externalId%20eq%20"e1"`: 1, `filter=userName%20sw%20"U"%20and%20not%20(userName%20eq%20"u3")`: 6} {
		if out := x.want(200, "GET", "Users?"+strings.ReplaceAll(query, `"`, "%22"), nil); len(out["Resources"].([]any)) != n {
			t.Errorf("%s shows %d", query, len(out["Resources"].([]any)))
		}
	}
	x.want(400, "GET", "Users?count=many", nil)
	out := x.want(200, "GET", "Users?attributes=userName&count=1", nil)["Resources"].([]any)[0].(object)
	if out["userName"] == nil || out["id"] == nil || out["active"] != nil {
		t.Errorf("attributes: %v", out)
	}
}
