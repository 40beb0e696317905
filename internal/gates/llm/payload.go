package llm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/assenthq/assent/internal/classify/llm"
)

// A payload is a request's body, taken apart.
type payload struct {
	raw       []byte
	mediaType string // as it came, with its parameters
	req       *llm.Request
	parts     []part
	isForm    bool
	text      *string // it is text of another kind
	unscanned string
	changed   bool
}

// A part is one of a form.
type part struct {
	header textproto.MIMEHeader
	name   string
	body   []byte
}

// maxParts bounds a form.
const maxParts = 100

// load takes a body apart. What it can't is unscanned, where the operation isn't known, and an error elsewhere.
func load(op llm.Op, mediaType string, body []byte) (*payload, error) {
	p := &payload{raw: body, mediaType: mediaType}
	if len(body) == 0 {
		if op.Billed {
			return nil, errors.New("there is no body")
		}
		return p, nil
	}
	kind, params, err := mime.ParseMediaType(mediaType)
	if err != nil {
		kind = ""
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return nil, errors.New("the body is not UTF-8")
	}
	known := op.Name != ""
	switch {
	case op.Body == llm.None:
		return nil, errors.New("a body, where none belongs")
	case kind == "application/json" && (op.Body == llm.JSON || op.Name == "images.edits"):
		p.req, err = llm.Read(op, body)
		return p, err
	case kind == "multipart/form-data" && (op.Body == llm.Form || !known):
		return p, p.form(params["boundary"])
	case known:
		return nil, fmt.Errorf("its Content-Type is not %s", map[llm.Body]string{llm.JSON: "application/json", llm.Form: "multipart/form-data"}[op.Body])
	case llm.Readable(body):
		text := string(body)
		p.text = &text
	default:
		p.unscanned = http.DetectContentType(body)
	}
	return p, nil
}

func (p *payload) form(boundary string) error {
	if boundary == "" {
		return errors.New("a form without a boundary")
	}
	p.isForm = true
	names := map[string]bool{}
	r := multipart.NewReader(bytes.NewReader(p.raw), boundary)
	for {
		one, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("the form can't be read")
		}
		if len(p.parts) == maxParts {
			return fmt.Errorf("a form of more than %d parts", maxParts)
		}
		if e := one.Header.Get("Content-Transfer-Encoding"); e != "" && !strings.EqualFold(e, "binary") && !strings.EqualFold(e, "8bit") && !strings.EqualFold(e, "7bit") {
			return errors.New("a part of the form is encoded")
		}
		name := one.FormName()
		if strings.Contains(one.Header.Get("Content-Disposition"), "*") || len(one.Header.Values("Content-Disposition")) != 1 || name == "" || names[name] && !strings.HasSuffix(name, "[]") {
			return errors.New("a part of the form is not named in one way")
		}
		names[name] = true
		body, err := io.ReadAll(one)
		if err != nil {
			return errors.New("the form can't be read")
		}
		head := textproto.MIMEHeader{"Content-Disposition": one.Header.Values("Content-Disposition")}
		if kind := one.Header.Get("Content-Type"); kind != "" {
			head.Set("Content-Type", kind)
		}
		p.parts = append(p.parts, part{head, name, body})
	}
}

// field is a value of a form.
func (p *payload) field(name string) string {
	for _, one := range p.parts {
		if one.name == name && llm.Readable(one.body) {
			return string(one.body)
		}
	}
	return ""
}

// model is which model is asked.
func (p *payload) model() string {
	if p.req != nil {
		return p.req.Model
	}
	return p.field("model")
}

// walk shows every text to look.
func (p *payload) walk(look llm.Look) {
	switch {
	case p.req != nil:
		p.req.Walk(look)
		p.unscanned, p.changed = p.req.Unscanned, p.req.Root.Changed()
	case p.text != nil:
		out, changed := llm.WalkText("body", *p.text, look)
		*p.text, p.changed = out, p.changed || changed
	}
	for i := range p.parts {
		one := &p.parts[i]
		at := fmt.Sprintf("part %d", i+1)
		if !llm.Readable(one.body) {
			p.unscanned = http.DetectContentType(one.body)
		} else if out, changed := llm.WalkText(at, string(one.body), look); changed {
			one.body, p.changed = []byte(out), true
		}
		for name, values := range one.header {
			for k, v := range values {
				if out, changed := llm.WalkText(at+", its head", v, look); changed {
					one.header[name][k], p.changed = out, true
				}
			}
		}
	}
}

// bytes is the body as it goes on, and its type. A form is written anew: what stood
// around its parts was shown to nobody.
func (p *payload) bytes() ([]byte, string, error) {
	switch {
	case p.isForm:
		return p.written()
	case p.req != nil && p.changed:
		return p.req.Root.Patched(p.raw), "application/json", nil
	case p.req != nil:
		return p.raw, "application/json", nil
	case p.text != nil && p.changed:
		return []byte(*p.text), p.mediaType, nil
	}
	return p.raw, p.mediaType, nil
}

func (p *payload) written() ([]byte, string, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, one := range p.parts {
		to, err := w.CreatePart(one.header)
		if err != nil {
			return nil, "", err
		}
		if _, err := to.Write(one.body); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}
