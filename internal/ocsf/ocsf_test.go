package ocsf

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
)

// What schema 1.8.0 says of the classes we use: what an event must have, what it may, and which activities there are.
type facts struct {
	required, may string
	activities    []int
	oneOf         string // at least one of them
}

const (
	everyRequired = "activity_id category_uid class_uid metadata severity_id time type_uid"
	everyMay      = "activity_name message status status_code status_detail status_id unmapped"
	guard         = "action action_id authorizations disposition disposition_id is_alert policy" // profile security_control
)

func schema() map[int]facts {
	return map[int]facts{
		0:    {"", "", []int{0, 99}, ""},
		1008: {"", "actor device dst_endpoint file log_name log_provider log_type log_type_id src_endpoint", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99}, "log_file log_name log_provider log_type log_type_id"},
		2004: {"finding_info", "resources is_alert evidences confidence_id", []int{0, 1, 2, 3, 99}, ""},
		3001: {"user", "actor src_endpoint user_result", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99}, ""},
		3002: {"user", "actor src_endpoint dst_endpoint service session", []int{0, 1, 2, 3, 4, 5, 6, 7, 99}, "service dst_endpoint"},
		3004: {"entity", "actor src_endpoint comment entity_result", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99}, ""},
		6003: {"actor api src_endpoint", "dst_endpoint resources", []int{0, 1, 2, 3, 4, 99}, ""},
	}
}

// valid holds an event, as it is written, to the schema.
func valid(b []byte) error {
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	num := func(name string) int { n, _ := e[name].(float64); return int(n) }
	uid := num("class_uid")
	f, known := schema()[uid]
	meta, _ := e["metadata"].(map[string]any)
	product, _ := meta["product"].(map[string]any)
	profiles, _ := meta["profiles"].([]any)
	may := strings.Fields(everyRequired + " " + everyMay + " " + f.required + " " + f.may)
	if len(profiles) == 1 && profiles[0] == "security_control" {
		may = append(may, strings.Fields(guard)...)
	}
	switch {
	case !known:
		return fmt.Errorf("class %d", uid)
	case num("category_uid") != uid/1000 || num("type_uid") != uid*100+num("activity_id") || !slices.Contains(f.activities, num("activity_id")):
		return fmt.Errorf("category %v, type %v, activity %v of class %d", e["category_uid"], e["type_uid"], e["activity_id"], uid)
	case num("activity_id") == 99 && e["activity_name"] == nil:
		return fmt.Errorf("an activity without a name")
	case num("severity_id") < 0 || num("severity_id") > 6 || !slices.Contains([]int{0, 1, 2, 99}, num("status_id")):
		return fmt.Errorf("severity %v, status %v", e["severity_id"], e["status_id"])
	case num("status_id") == 99 && e["status"] == nil:
		return fmt.Errorf("a status without a name")
	case meta["version"] != "1.8.0" || product["name"] == nil || product["vendor_name"] == nil:
		return fmt.Errorf("metadata %v", meta)
	case num("time") < 0 || e["time"] != float64(num("time")):
		return fmt.Errorf("time %v", e["time"])
	}
	for _, name := range strings.Fields(everyRequired + " " + f.required) {
		if e[name] == nil {
			return fmt.Errorf("class %d without %s", uid, name)
		}
	}
	for name := range e {
		if !slices.Contains(may, name) {
			return fmt.Errorf("class %d has no %s", uid, name)
		}
	}
	if f.oneOf != "" && !slices.ContainsFunc(strings.Fields(f.oneOf), func(n string) bool { return e[n] != nil }) {
		return fmt.Errorf("class %d has none of %s", uid, f.oneOf)
	}
	return objects(e)
}

// objects holds the objects of an event to their constraints.
func objects(e map[string]any) error {
	for path, oneOf := range map[string]string{
		"user": "name uid account", "actor": "user", "actor.user": "name uid account", "api": "operation", "src_endpoint": "ip uid name hostname svc_name",
		"service": "name uid", "api.service": "name uid", "entity": "name uid", "finding_info": "uid", "policy": "name uid type",
	} {
		at := any(e)
		for _, p := range strings.Split(path, ".") {
			m, _ := at.(map[string]any)
			at = m[p]
		}
		if m, is := at.(map[string]any); is && !slices.ContainsFunc(strings.Fields(oneOf), func(n string) bool { return m[n] != nil && m[n] != "" }) {
			return fmt.Errorf("%s has none of %s: %v", path, oneOf, m)
		}
	}
	return nil
}

// types are the record types, as the package audit declares them.
func types(t interface{ Fatal(...any) }) (out []string) {
	src, err := os.ReadFile("../audit/audit.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Type[A-Z]\w+ += "([^"]+)"`).FindAllSubmatch(src, -1) {
		out = append(out, string(m[1]))
	}
	if len(out) < 35 {
		t.Fatal("only", len(out), "types were read")
	}
	return out
}

// Every record, whatever is in it or missing, is an event of the schema, and loses nothing but its salt.
func TestEventsFollowTheSchema(t *testing.T) {
	all := append(types(t), "of tomorrow", "")
	kinds := []string{"", "?"}
	for _, k := range action.Kinds() {
		kinds = append(kinds, string(k))
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"", "person:mira", "agent:a", "allow", "deny", "review", "opened", "closed", "ended", "left", "registered", "retired", "revoked", "minted", "executed", "failed", "unknown",
			"10.0.0.1:99", "::1", "fe80::1%eth0", "\xff", "\u202e",
		}))
		s := func(name string) string { return words.Draw(t, name) }
		r := &audit.Record{
			Index: rapid.Int64Range(0, 1<<50).Draw(t, "index"), Time: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(), Salt: "planted-salt",
			Type: rapid.SampledFrom(all).Draw(t, "type"), Actor: s("actor"), Subject: s("subject"), Person: s("person"), Session: s("session"), Gate: s("gate"), Resource: s("resource"),
			Kinds: rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 3).Draw(t, "kinds"), Verb: s("verb"), Target: s("target"), Title: s("title"), Decision: s("decision"),
			Policy: s("policy"), Approval: s("approval"), Outcome: s("outcome"),
			Detail: map[string]string{"what": s("what"), "event": s("event"), "from": s("from"), "why": s("why"), "code": s("code")},
		}
		b, err := json.Marshal(Event(r, rapid.SampledFrom([]string{"", "traffic"}).Draw(t, "lane"), "v1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(b); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if strings.Contains(string(b), "planted-salt") {
			t.Fatal("the salt is in it")
		}
	})
}

// Nothing of a record is lost but its salt, and what is mapped says the same.
func TestEventsSayWhatRecordsSay(t *testing.T) {
	rows := int64(7)
	full := &audit.Record{
		Index: 12, Time: time.Date(2026, 11, 3, 12, 0, 0, 5000, time.UTC), Salt: "s1", Type: audit.TypeRequest, Actor: "agent:a", Subject: "person:ana", Chain: []string{"agent:a", "agent:b"},
		Person: "person:ben", Session: "s_1", Gate: "shop", Resource: "postgres:shop/prod", Env: "prod", Kinds: []string{"data.delete"}, Verb: "DELETE", Target: "orders", Title: "Delete orders",
		Shape: "abc", Digest: "sha256:1", Decision: "deny", Rules: []string{"p.r"}, Policy: "sha256:2", Approval: "apr_1", About: "x/1", Revision: 3, Grant: "gnt_1", Outcome: "o", Rows: &rows,
		Findings: map[string]int64{"card": 2}, Masked: map[string]int64{"email": 3}, Detail: map[string]string{"risk": "40"}, Previous: 4,
	}
	b, err := json.Marshal(Event(full, "", "v1"))
	if err != nil {
		t.Fatal(err)
	}
	var record, event map[string]any
	was, _ := json.Marshal(full)
	_ = json.Unmarshal(was, &record)
	_ = json.Unmarshal(b, &event)
	kept := event["unmapped"].(map[string]any)
	for name, v := range record {
		switch name {
		case "index", "time", "type", "title", "salt":
		default:
			if fmt.Sprint(kept[name]) != fmt.Sprint(v) {
				t.Errorf("%s was %v and is %v", name, v, kept[name])
			}
		}
	}
	for _, x := range []struct {
		r    audit.Record
		want string
	}{
		{*full, `"class_uid":6003`},
		{*full, `"activity_id":4`},
		{*full, `"action_id":2`},
		{*full, `"disposition_id":2`},
		{*full, `"message":"request: deny: o: Delete orders"`},
		{*full, `"original_time":"2026-11-03T12:00:00.000005Z"`},
		{audit.Record{Type: audit.TypeRequest, Decision: "review", Kinds: []string{"data.read", "data.export"}}, `"disposition_id":14`},
		{audit.Record{Type: audit.TypeRequest, Decision: "review", Kinds: []string{"data.read", "data.export"}}, `"activity_id":2`},
		{audit.Record{Type: audit.TypeRequest, Decision: "allow", Kinds: []string{"data.write", "infra.create"}}, `"activity_id":3`},
		{audit.Record{Type: audit.TypeRequest, Decision: "allow"}, `"action_id":1`},
		{audit.Record{Type: audit.TypeRequest, Decision: "of tomorrow"}, `"status_id":0`},
		{audit.Record{Type: audit.TypeOutcome, Outcome: "executed"}, `"status_id":1`},
		{audit.Record{Type: audit.TypeOutcome, Outcome: "failed"}, `"status_id":2`},
		{audit.Record{Type: audit.TypeOutcome, Outcome: "unknown"}, `"status_id":0`},
		{audit.Record{Type: audit.TypeReview, Person: "person:ben"}, `"actor":{"user":{"type_id":1,"uid":"person:ben"}}`},
		{audit.Record{Type: audit.TypeSignIn, Decision: "opened", Person: "person:ben"}, `"type_uid":300201`},
		{audit.Record{Type: audit.TypeSession, Actor: "agent:a", Detail: map[string]string{"event": "closed", "from": "10.0.0.1:99"}}, `"type_uid":300202`},
		{audit.Record{Type: audit.TypeSession, Detail: map[string]string{"event": "opened", "from": "10.0.0.1:99"}}, `"src_endpoint":{"ip":"10.0.0.1","port":99}`},
		{audit.Record{Type: audit.TypePerson, Decision: "left", Person: "person:ben"}, `"type_uid":300105`},
		{audit.Record{Type: audit.TypePasskey, Decision: "registered", Person: "person:ben"}, `"type_uid":300110`},
		{audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "it burns"}}, `"title":"it burns"`},
		{audit.Record{Type: audit.TypeAlarm}, `"severity_id":4`},
		{audit.Record{Type: audit.TypePolicy, Policy: "sha256:2"}, `"type_uid":300403`},
		{audit.Record{Type: audit.TypeEvidence, Person: "person:ben"}, `"type_uid":100803`},
		{audit.Record{Type: audit.TypeBeat}, `"class_uid":0`},
	} {
		if b, _ := json.Marshal(Event(&x.r, "", "")); !strings.Contains(string(b), x.want) {
			t.Errorf("%s: %s is not in %s", x.r.Type, x.want, b)
		}
	}
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"index":1,"time":"2026-11-03T12:00:00Z","type":"request","decision":"deny"}`))
	f.Add([]byte(`{"type":"session","detail":{"from":"[::1%x]:1"}}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		var r audit.Record
		if json.Unmarshal(leaf, &r) != nil || r.Time.UnixMilli() < 0 {
			return
		}
		b, err := json.Marshal(Event(&r, "", "v"))
		if err == nil {
			err = valid(b)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	})
}
