package action_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

func sample() action.Action {
	return action.Action{
		Kinds: []action.Kind{action.DataRead, action.DataExport}, Verb: "copy", Target: "public.customers",
		Resource: action.Resource{URN: "postgres:shop/shop", Type: "postgres", Env: "prod"},
		Data:     action.Data{Destination: "client"},
		Subject:  "person:dana", Actors: []action.Link{{ID: "agent:nightly-exporter", Type: "agent"}},
		Payload: []byte("Q\x00\x00\x00\x20COPY customers TO STDOUT\x00"),
		State:   map[string]string{"database": "shop", "role": "shop_app", "search_path": "\"$user\", public"},
	}
}

func digest(t *testing.T, a action.Action) action.Digest {
	t.Helper()
	d, err := a.Digest(action.Salt{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What an attacker would like to be one action must be two.
func TestDigestTellsApart(t *testing.T) {
	base := sample()
	for name, change := range map[string]func(*action.Action){
		"payload 2^53 and 2^53+1":   func(a *action.Action) { a.Payload = []byte("9007199254740993") },
		"payload 20 digits":         func(a *action.Action) { a.Payload = []byte("12345678901234567891") },
		"payload invalid UTF-8 e8":  func(a *action.Action) { a.Payload = []byte("\xe8") },
		"payload invalid UTF-8 e9":  func(a *action.Action) { a.Payload = []byte("\xe9") },
		"payload 1 and 1.0":         func(a *action.Action) { a.Payload = []byte("1.0") },
		"payload with NUL":          func(a *action.Action) { a.Payload = append(bytes.Clone(a.Payload), 0) },
		"role":                      func(a *action.Action) { a.State = map[string]string{"role": "admin"} },
		"search_path":               func(a *action.Action) { a.State["search_path"] = "evil, public" },
		"one kind fewer":            func(a *action.Action) { a.Kinds = a.Kinds[:1] },
		"subject":                   func(a *action.Action) { a.Subject = "person:mira" },
		"actor":                     func(a *action.Action) { a.Actors[0].ID = "agent:other" },
		"a longer chain":            func(a *action.Action) { a.Actors = append(a.Actors, action.Link{ID: "service:ci", Type: "service"}) },
		"destination":               func(a *action.Action) { a.Data.Destination = "s3://elsewhere" },
		"environment":               func(a *action.Action) { a.Resource.Env = "dev" },
		"text moved between fields": func(a *action.Action) { a.Verb, a.Target = "copy\",\"target\":\"x", "" },
	} {
		a := sample()
		change(&a)
		if digest(t, a) == digest(t, base) {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	same := sample()
	same.Kinds = []action.Kind{action.DataExport, action.DataRead}
	same.Claims = action.Claims{Reason: "please"}
	same.Statement = "shown"
	if digest(t, same) != digest(t, base) {
		t.Error("the order of kinds, claims and what is shown must not enter the digest")
	}
	salted, err := base.Digest(action.NewSalt())
	if err != nil || salted == digest(t, base) {
		t.Errorf("the salt must enter the digest (%v)", err)
	}
}

func TestNoCanonicalForm(t *testing.T) {
	for name, change := range map[string]func(*action.Action){
		"invalid UTF-8 in the verb":  func(a *action.Action) { a.Verb = "\xff" },
		"invalid UTF-8 in the state": func(a *action.Action) { a.State["x"] = "\xff" },
		"a kind on no list":          func(a *action.Action) { a.Kinds = []action.Kind{"data.teleport"} },
	} {
		a := sample()
		change(&a)
		if _, err := a.Digest(action.Salt{}); err == nil {
			t.Errorf("%s: a digest was made", name)
		}
	}
	for _, v := range []any{1.5, int64(1) << 53, -(int64(1) << 53), nil, struct{}{}, []byte("x")} {
		if b, err := action.Canonical(v); err == nil {
			t.Errorf("Canonical(%v) = %s", v, b)
		}
	}
}

// Our canonical JSON is RFC 8785's, as another implementation writes it.
func TestCanonicalAgainstJCS(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := map[string]any{}
		for _, k := range rapid.SliceOfN(rapid.String(), 0, 6).Draw(t, "keys") {
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				m[k] = rapid.String().Draw(t, "string")
			case 1:
				m[k] = rapid.Int64Range(-(1<<53)+1, (1<<53)-1).Draw(t, "int")
			case 2:
				m[k] = []string{rapid.String().Draw(t, "item")}
			}
		}
		ours, err := action.Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := jcs.Transform(plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Fatalf("ours   %s\ntheirs %s", ours, theirs)
		}
	})
}

// The vectors of docs/action.md: whoever implements the digest elsewhere starts here.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Salt, PayloadHex, Envelope, Digest string
		Kinds                                    []string
		State                                    map[string]string
		Verb                                     string
	}
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) < 3 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		a := sample()
		a.Verb, a.State, a.Kinds = v.Verb, v.State, nil
		for _, k := range v.Kinds {
			a.Kinds = append(a.Kinds, action.Kind(k))
		}
		if a.Payload, err = hex.DecodeString(v.PayloadHex); err != nil {
			t.Fatal(err)
		}
		var salt action.Salt
		if _, err := hex.Decode(salt[:], []byte(v.Salt)); err != nil {
			t.Fatal(err)
		}
		env, err := a.Envelope()
		if err != nil || string(env) != v.Envelope {
			t.Errorf("%s: envelope\n got %s\nwant %s (%v)", v.Name, env, v.Envelope, err)
		}
		d, err := a.Digest(salt)
		if err != nil || d.String() != v.Digest {
			t.Errorf("%s: digest %s, want %s (%v)", v.Name, d, v.Digest, err)
		}
		if back, err := action.ParseDigest(v.Digest); err != nil || back != d {
			t.Errorf("%s: ParseDigest: %v", v.Name, err)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("ab", 32))
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := action.ParseDigest(s); err == nil && !strings.EqualFold(d.String(), s) {
			t.Errorf("%q became %s", s, d)
		}
	})
}
