package kubernetes

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/assenthq/assent/gate"
	classify "github.com/assenthq/assent/internal/classify/kubernetes"
	"github.com/assenthq/assent/internal/jsontext"
)

// maxDocument is how long one object, list or watch event of an answer may be.
const maxDocument = 64 << 20

// mask makes resp one that shows what p lets it show.
func (g *Gate) mask(resp *http.Response, p gate.Permit, r *classify.Reading) error {
	resp.Trailer = nil
	for _, h := range []string{"Audit-Id", "Set-Cookie", "Etag"} {
		resp.Header.Del(h)
	}
	for i, v := range resp.Header["Warning"] { // admission controllers say in it what they like
		resp.Header["Warning"][i] = string(p.Text([]byte(v)))
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead || resp.ContentLength == 0 {
		return nil
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return withheld("its answer is compressed, which nobody asked for")
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	resp.ContentLength = -1
	resp.Header.Del("Content-Length")
	switch media {
	case "application/json":
		resp.Body = &documents{from: resp.Body, m: newMasker(p, r)}
	case "text/plain":
		resp.Body = newText(resp.Body, p)
	default:
		return withheld("its answer is of a type that can't be looked into")
	}
	return nil
}

func withheld(why string) error {
	return &gate.Denied{Status: gate.StatusLimit, Reason: "the request was sent, and " + why + ", so it is withheld", Hint: "ask for JSON"}
}

// A documents reads JSON values one after the other, a list or the events of a watch, and
// hands each on once it is masked.
type documents struct {
	from  io.ReadCloser
	m     *masker
	in    []byte // not yet one whole value
	split splitter
	out   []byte
	err   error
}

func (d *documents) Close() error { return d.from.Close() }

func (d *documents) Read(b []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil {
		d.fill()
	}
	n := copy(b, d.out)
	d.out = d.out[n:]
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

func (d *documents) fill() {
	var chunk [32 << 10]byte
	n, err := d.from.Read(chunk[:])
	rest := chunk[:n]
	for len(rest) > 0 && d.err == nil {
		end := d.split.feed(rest)
		if end < 0 {
			d.in = append(d.in, rest...)
			if len(d.in) > maxDocument {
				d.err = errors.New("one object of the answer is too long to be looked into")
			}
			break
		}
		d.in = append(d.in, rest[:end]...)
		rest = rest[end:]
		d.pass()
	}
	if err == nil || d.err != nil {
		return
	}
	if errors.Is(err, io.EOF) && len(strings.TrimSpace(string(d.in))) > 0 {
		d.err = errors.New("the answer ends in the middle of an object")
		return
	}
	d.err = err
}

func (d *documents) pass() {
	masked, err := d.m.document(d.in)
	if err == nil {
		err = d.m.p.Count(d.m.objects, int64(len(d.in)))
		d.m.objects = 0
	}
	if err != nil {
		d.err = err
		return
	}
	d.out = append(d.out, masked...)
	if masked[len(masked)-1] == '}' {
		d.out = append(d.out, '\n') // as the API server ends each event
	}
	d.in = d.in[:0]
}

// A splitter finds where a JSON object or array ends, however it is cut.
type splitter struct {
	depth           int
	quoted, escaped bool
}

// feed returns the offset behind the value's end, or -1.
func (s *splitter) feed(b []byte) int {
	for i, c := range b {
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped, s.quoted = c == '\\', c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth <= 0 {
				s.depth = 0
				return i + 1
			}
		}
	}
	return -1
}

// A masker masks the objects of one answer.
type masker struct {
	p       gate.Permit
	secrets bool // it is asked for Secrets
	own     bool // of Kubernetes' own groups: its numbers are figures
	rows    map[string]gate.Rows
	name    string // of the variable whose value comes next
	objects int64
	hidden  map[string]bool // what stands for Secrets' values, in base64 and not
}

func newMasker(p gate.Permit, r *classify.Reading) *masker {
	return &masker{p: p, secrets: r.Resource == "secrets" && r.Group == "", own: r.Group == "" || !strings.Contains(r.Group, ".") || strings.HasSuffix(r.Group, ".k8s.io"), rows: map[string]gate.Rows{}}
}

func (m *masker) document(b []byte) ([]byte, error) {
	text := b[:len(b):len(b)]
	m.hidden = map[string]bool{}
	out, err := classify.Secrets(text, m.secrets, func(plain []byte) []byte {
		shown := slices.Clone(m.value("secret", plain))
		if string(shown) != string(plain) {
			m.hidden[base64.StdEncoding.EncodeToString(shown)], m.hidden[string(shown)] = true, true
		}
		return shown
	})
	if err != nil {
		return nil, err
	}
	return jsontext.Replace(out, m.replace)
}

// structural are members that clients send back or find objects by.
var structural = []string{"apiVersion", "kind", "uid", "resourceVersion", "creationTimestamp", "continue", "selfLink", "namespace", "generateName", "name", "fieldsV1", "manager", "operation", "time"}

// addresses are members that hold the cluster's own addresses.
var addresses = []string{"podIP", "podIPs", "hostIP", "hostIPs", "clusterIP", "clusterIPs", "address", "addresses", "ip", "nodeName"}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func (m *masker) replace(v *jsontext.Value) ([]byte, bool, error) {
	key := v.Key()
	switch {
	case v.Kind == jsontext.Name:
		return m.changed(v.Text, m.p.Text(v.Text))
	case m.hidden[string(v.Text)]: // masked again it would be no base64
		return nil, false, nil
	case v.Kind == jsontext.Number:
		if m.own || m.p.Clear(key, v.Text) {
			return nil, false, nil
		}
		return m.changed(v.Text, m.value(key, v.Text))
	case key == "uid" && among(v.Path, "metadata"):
		m.objects++
		return nil, false, nil
	case key == lastApplied && len(v.Text) > 0 && v.Text[0] == '{':
		inner, err := jsontext.Replace(slices.Clone(v.Text), (&masker{p: m.p, own: m.own, rows: m.rows}).replace)
		if err != nil {
			return m.changed(v.Text, m.p.Text(v.Text))
		}
		return m.changed(v.Text, inner)
	case key == "name" && !among(v.Path, "metadata"):
		m.name = string(v.Text)
		return m.changed(v.Text, m.p.Text(v.Text))
	case key == "value" && m.name != "":
		name := m.name
		m.name = ""
		return m.changed(v.Text, m.value(name, v.Text))
	case slices.Contains(structural, key) && !among(v.Path, "data") && !among(v.Path, "annotations") && !among(v.Path, "labels"):
		return nil, false, nil
	case slices.Contains(addresses, key) && m.own && plainAddress(v.Text), key == "cells" && m.own && plainAddress(v.Text):
		return nil, false, nil
	case key == "":
		return m.changed(v.Text, m.p.Text(v.Text))
	}
	return m.changed(v.Text, m.value(key, v.Text))
}

func among(path []string, name string) bool { return slices.Contains(path[:max(0, len(path)-1)], name) }

// plainAddress says that b is one or more addresses and nothing else.
func plainAddress(b []byte) bool {
	for one := range strings.SplitSeq(string(b), ",") {
		if _, err := netip.ParseAddr(one); err != nil {
			return false
		}
	}
	return true
}

// maxNames is how many names of members are looked up one by one in an answer; the rest is free text.
const maxNames = 500

func (m *masker) value(name string, v []byte) []byte {
	if m.p.Clear(name, v) {
		return v
	}
	rows, is := m.rows[name]
	if !is {
		if len(m.rows) >= maxNames {
			return m.p.Text(v)
		}
		rows = m.p.Rows([]gate.Column{{Name: name}})
		m.rows[name] = rows
	}
	out, err := rows.Value(0, v)
	if err != nil {
		return []byte("[not shown]")
	}
	return out
}

func (m *masker) changed(was, now []byte) ([]byte, bool, error) {
	if string(was) == string(now) {
		return nil, false, nil
	}
	return slices.Clone(now), true, nil
}
