package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

func TestAuditIsSearchedByEveryField(t *testing.T) {
	h := newHouse(t)
	rows := int64(3)
	for i, r := range []*audit.Record{
		{Type: audit.TypeRequest, Actor: "agent:one", Subject: "person:dana", Resource: "postgres:shop/prod", Kinds: []string{"data.read"}, Title: "Read Orders", Decision: "allow", Session: "s1", Detail: map[string]string{"note": "needle in detail"}},
		{Type: audit.TypeRequest, Actor: "agent:two", Resource: "postgres:flags/staging", Kinds: []string{"data.write"}, Title: "=cmd|' /C calc'!A0", Decision: "deny", Session: "s2"},
		{Type: audit.TypeReview, Person: "person:mira", Title: "An answer", Decision: "approve", Approval: "apr_1"},
		{Type: audit.TypeOutcome, Actor: "agent:one", Outcome: "executed", Rows: &rows, Title: "Read Orders"},
	} {
		h.back = time.Duration(4-i) * time.Hour
		h.records(r)
	}
	h.back = 0
	c := newClient(h).signIn(sam)
	for query, want := range map[string]string{
		"text=ORDERS": "0 3", "text=needle": "0", "actor=two": "1", "actor=agent:one": "0 3", "person=mira": "2", "kind=data.write": "1",
		"resource=postgres:shop/prod": "0", "decision=deny": "1", "decision=executed": "3", "approval=apr_1": "2", "session=s2": "1",
		"type=request": "0 1", "text=orders&type=request": "0", "text=nothing": "",
		"from=" + time.Now().UTC().Add(-210*time.Minute).Format(inputTime) + "&to=" + time.Now().UTC().Add(-90*time.Minute).Format(inputTime): "1 2",
	} {
		code, body := c.send("GET", "/audit/export?"+query, nil)
		var got []string
		for line := range strings.Lines(body) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v in %q", query, err, line)
			}
			if r.Index < 4 {
				got = append([]string{fmt.Sprint(r.Index)}, got...)
			}
		}
		if code != http.StatusOK || strings.Join(got, " ") != want {
			t.Errorf("%s: %d, records %v, want %s", query, code, got, want)
		}
		if _, page := c.send("GET", "/audit?"+query, nil); want != "" && !strings.Contains(page, `data-key="`+got[0]+`"`) || want == "" && !strings.Contains(page, "No record matches") {
			t.Errorf("%s: the page doesn't show the same", query)
		}
	}
	if code, body := c.send("GET", "/audit?from=yesterday", nil); code != http.StatusOK || !strings.Contains(body, "From is a time such as") || strings.Contains(body, "Read Orders") {
		t.Errorf("a time that can't be read: %d", code)
	}
	if code, _ := c.send("GET", "/audit/export?to=x", nil); code != http.StatusUnprocessableEntity {
		t.Errorf("exporting by a time that can't be read: %d", code)
	}
	_, sheet := c.send("GET", "/audit/export?format=csv&actor=two", nil)
	if !strings.Contains(sheet, `'=cmd|' /C calc'!A0`) {
		t.Errorf("a spreadsheet would run an agent's words: %s", sheet)
	}
	if code, _ := newClient(h).send("GET", "/audit/export", nil); code != http.StatusSeeOther {
		t.Errorf("without a session: %d", code)
	}
}

// TestExportedLinesAreTheLeaves holds a file against the tree: its lines are what was hashed.
func TestExportedLinesAreTheLeaves(t *testing.T) {
	h := newHouse(t)
	h.ask(nil)
	h.records(&audit.Record{Type: audit.TypeRequest, Title: "<script>\u2028 & \"quotes\" é", Detail: map[string]string{"b": "2", "a": "1"}})
	c := newClient(h).signIn(sam)
	_, body := c.send("GET", "/audit/export", nil)
	for line := range strings.Lines(body) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		err := h.store.Leaves(t.Context(), r.Index, r.Index+1, func(_ int64, leaf []byte) error {
			if !bytes.Equal(bytes.TrimSuffix([]byte(line), []byte("\n")), leaf) {
				t.Errorf("record %d is exported as %s but stands in the log as %s", r.Index, line, leaf)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestProofFilesVerifyOffline takes the two files a page offers to the public verifier.
func TestProofFilesVerifyOffline(t *testing.T) {
	h := newHouse(t)
	h.ask(nil)
	c := newClient(h).signIn(sam)
	_, leaf := c.send("GET", "/audit/1/leaf", nil)
	_, proof := c.send("GET", "/audit/1/proof", nil)
	if _, i, err := evidence.VerifyProof([]byte(proof), []byte(leaf), h.log.Verifiers()...); err != nil || i != 1 {
		t.Errorf("record %d: %v", i, err)
	}
	if _, _, err := evidence.VerifyProof([]byte(proof), []byte(leaf+" "), h.log.Verifiers()...); err == nil {
		t.Error("another record verifies")
	}
	for _, path := range []string{"/audit/1/leaf", "/audit/1/proof"} {
		if code, _ := newClient(h).send("GET", path, nil); code != http.StatusSeeOther {
			t.Errorf("%s without a session: %d", path, code)
		}
	}
}

// otherLeaf is a store in which somebody edited one record.
type otherLeaf struct {
	audit.Reader
	edited int64
}

func (o otherLeaf) Leaves(ctx context.Context, from, to int64, fn func(int64, []byte) error) error {
	return o.Reader.Leaves(ctx, from, to, func(i int64, leaf []byte) error {
		if i == o.edited {
			leaf = bytes.Replace(leaf, []byte("customers"), []byte("c0stomers"), 1)
		}
		return fn(i, leaf)
	})
}

func TestTheBrowserChecksTheProofItself(t *testing.T) {
	h, a := furnished(t)
	const shown = `document.querySelectorAll("#verify .checks .ok, #verify .checks .bad, #verify .checks .warn").length`
	b := openBrowser(t)
	b.signIn(h, sam)
	for _, i := range []int64{0, 1, 63, 200} {
		b.goTo(fmt.Sprintf("%s/audit/%d", h.url, i))
		b.until(shown + " >= 4")
		if n := eval[int](b, `document.querySelectorAll("#verify .checks .bad").length`); n > 0 {
			t.Errorf("record %d: %s", i, eval[string](b, `document.querySelector("#verify").innerText`))
		}
	}
	if text := eval[string](b, `document.querySelector("#verify").innerText`); !strings.Contains(text, "has known since") {
		t.Errorf("the key isn't remembered: %s", text)
	}
	eval[bool](b, `localStorage.setItem("assent-log-key", JSON.stringify({vkey: "x+00000000+AAAA", since: "2020-01-01T00:00:00Z"})), true`)
	b.goTo(h.url + "/audit/1")
	b.until(`document.querySelector("#verify .bad")?.textContent.includes("another key")`)
	b.clean()

	// An edited record, and a checkpoint signed by a key that isn't the log's.
	head, err := h.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edited := int64(-1)
	if err := h.store.Leaves(t.Context(), 0, head.Size, func(i int64, leaf []byte) error {
		if edited < 0 && bytes.Contains(leaf, []byte("customers")) && bytes.Contains(leaf, []byte(a.ID)) {
			edited = i
		}
		return nil
	}); err != nil || edited < 0 {
		t.Fatal("no record to edit", err)
	}
	h.change = func(o *Options) { o.Log = otherLeaf{h.store, edited} }
	h.serve()
	b = openBrowser(t)
	b.signIn(h, sam)
	b.goTo(fmt.Sprintf("%s/audit/%d", h.url, edited))
	b.until(`document.querySelector("#verify .bad")?.textContent.includes("does not lead to the signed root")`)
	if !eval[bool](b, `document.querySelector(".rh").innerText.includes("does not hold")`) {
		t.Error("the server doesn't say so")
	}
	key, err := audit.LoadOrCreateKey(filepath.Join(t.TempDir(), "log.key"), "assent.test/log")
	if err != nil {
		t.Fatal(err)
	}
	h.change = func(o *Options) { o.Verifiers = func() []string { return []string{key.Verifier()} } }
	h.serve()
	b = openBrowser(t)
	b.signIn(h, sam)
	b.goTo(h.url + "/audit/1")
	b.until(`document.querySelector("#verify .bad")?.textContent.includes("No key of the log signed")`)
}
