package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/jsontext"
)

// params are the parameters of a request, flat: "Filter.1.Name", of JSON "filters.0.name".
type params struct {
	list []param
	body []byte
	raw  bool // body is no list of parameters, but XML or somebody's payload
}

type param struct{ name, value string }

const maxParams = 20_000

// get is the value of the parameter of exactly this name, whatever its case: services
// differ in whether they care.
func (p *params) get(name string) (string, bool) {
	for i := range p.list {
		if strings.EqualFold(p.list[i].name, name) {
			return p.list[i].value, true
		}
	}
	return "", false
}

// values are those of a parameter that may be a list.
func (p *params) values(name string) []string {
	var out []string
	for i := range p.list {
		if rest, is := strings.CutPrefix(p.list[i].name, name); is && (rest == "" || rest[0] == '.' && number(strings.TrimPrefix(rest[1:], "member."))) {
			out = append(out, p.list[i].value)
		}
	}
	return out
}

func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// leaf is the innermost name of a parameter: "Name" of "Filter.1.Name", "ids" of "ids.0".
func leaf(name string) string {
	parts := strings.Split(name, ".")
	for len(parts) > 1 && (number(parts[len(parts)-1]) || parts[len(parts)-1] == "member") {
		parts = parts[:len(parts)-1]
	}
	return parts[len(parts)-1]
}

// form adds the parameters of a query string or a form, each of which may stand once.
func (p *params) form(text string, seen map[string]bool) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, "&") {
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return refuse("a parameter's name holds a broken escape")
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return refuse("the value of a parameter holds a broken escape")
		}
		if part == "" { // "a&&b"
			continue
		}
		if strings.ContainsAny(part, ";\x00") || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return refuse("parameters hold ';', NUL or bytes that are not UTF-8")
		}
		fold := strings.ToLower(name)
		if seen[fold] {
			return refuse("a parameter stands twice")
		}
		seen[fold] = true
		if p.list = append(p.list, param{name, value}); len(p.list) > maxParams {
			return refuse("more than %d parameters", maxParams)
		}
	}
	return nil
}

// object adds the members of a JSON object.
func (p *params) object(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	members, err := jsontext.Members(body)
	if err != nil {
		return refuse("the body is no JSON object that everybody reads alike: %v", err)
	}
	p.body = body
	for _, m := range members {
		d := json.NewDecoder(bytes.NewReader(m.Value))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return refuse("the body is no JSON object")
		}
		if err := p.flatten(m.Name, v); err != nil {
			return err
		}
	}
	return nil
}

func (p *params) flatten(name string, v any) error {
	if len(p.list) >= maxParams {
		return refuse("more than %d parameters", maxParams)
	}
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if err := p.flatten(name+"."+k, v[k]); err != nil {
				return err
			}
		}
	case []any:
		for i, e := range v {
			if err := p.flatten(name+"."+strconv.Itoa(i), e); err != nil {
				return err
			}
		}
	case string:
		p.list = append(p.list, param{name, v})
	case json.Number:
		p.list = append(p.list, param{name, v.String()})
	case bool:
		p.list = append(p.list, param{name, strconv.FormatBool(v)})
	}
	return nil
}

// xml adds the text of the elements of a document, by their paths below its root.
func (p *params) xml(body []byte) error {
	p.body, p.raw = body, true
	d := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	var text strings.Builder
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(p.list) > maxParams || len(path) > 100 {
			return refuse("the body is no XML document that can be read")
		}
		switch tok := tok.(type) {
		case xml.Directive:
			return refuse("the body is XML with a document type")
		case xml.StartElement:
			path = append(path, tok.Name.Local)
			text.Reset()
		case xml.CharData:
			text.Write(tok)
		case xml.EndElement:
			if v := strings.TrimSpace(text.String()); v != "" && len(path) > 1 {
				p.list = append(p.list, param{strings.Join(path[1:], "."), v})
			}
			path = path[:len(path)-1]
			text.Reset()
		}
	}
	return nil
}

// single are headers that say which operation it is, or how the body is read: once, or not at all.
var single = []string{"X-Amz-Target", "X-Amz-Copy-Source", "Content-Type", "Content-Encoding", "X-Amz-Account-Id", "Smithy-Protocol", "X-Amz-Bypass-Governance-Retention", "X-Amz-Acl"}

func plainHeaders(h http.Header) error {
	for _, name := range single {
		if len(h[name]) > 1 {
			return refuse("the header %s stands twice", strings.ToLower(name))
		}
	}
	for name := range h {
		if strings.Contains(strings.ToLower(name), "method-override") || strings.EqualFold(name, "X-Http-Method") {
			return refuse("a header that changes the method")
		}
	}
	return nil
}

// media is the type of the body, in lower case.
func media(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return strings.ToLower(strings.TrimSpace(h.Get("Content-Type")))
	}
	return t
}

// guess is the protocol of a request to a service that nobody knows, for the answer.
func guess(r *Request) string {
	switch {
	case r.Scope == "s3" || r.Scope == "s3express" || r.Scope == "route53":
		return RestXML
	case r.Scope == "ec2":
		return EC2
	case r.Header.Get("X-Amz-Target") != "":
		return JSON
	case media(r.Header) == "application/x-www-form-urlencoded":
		return Query
	}
	return RestJSON
}

func lower(s string) string { return strings.ToLower(s) }

// clean keeps what may stand in a title for a name that a request made up.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return -1
	}, s)
}

// clip cuts s to n characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
