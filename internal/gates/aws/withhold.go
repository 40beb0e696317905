package aws

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
)

// instead stands where a credential was.
const instead = "[withheld]"

// withhold returns a document with the values of the named members replaced, and the
// rest of it as it was. What it can't read is an error.
func withhold(doc []byte, kind string, names []string) ([]byte, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		return doc, nil
	}
	if strings.Contains(kind, "json") {
		// A member that is an object or a list has its own names inside: whatever is under a name that
		// is withheld is too.
		return withholdJSON(doc, names)
	}
	if strings.Contains(kind, "xml") || kind == "" {
		return withholdXML(doc, names)
	}
	return nil, errors.New("neither JSON nor XML")
}

func withholdJSON(doc []byte, names []string) ([]byte, error) {
	return jsontext.Replace(doc, func(v *jsontext.Value) ([]byte, bool, error) {
		if slices.ContainsFunc(v.Path, func(part string) bool { return slices.Contains(names, part) }) && v.Kind != jsontext.Name {
			return []byte(instead), true, nil
		}
		return nil, false, nil
	})
}

func withholdXML(doc []byte, names []string) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var out []byte
	last, inside := int64(0), 0
	var begin int64
	for {
		before := d.InputOffset()
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if inside > 0 || slices.Contains(names, tok.Name.Local) {
				if inside == 0 {
					begin = d.InputOffset()
				}
				inside++
			}
		case xml.EndElement:
			if inside > 0 {
				inside--
				if inside == 0 && before > begin {
					out = append(out, doc[last:begin]...)
					out = append(out, instead...)
					last = before
				}
			}
		case xml.Directive:
			return nil, errors.New("a document type")
		}
	}
	return append(out, doc[last:]...), nil
}

// setBody puts another body in the place of an answer's.
func setBody(resp *http.Response, b []byte) {
	resp.Body = io.NopCloser(bytes.NewReader(b))
	resp.ContentLength = int64(len(b))
	resp.TransferEncoding = nil
	resp.Header.Set("Content-Length", strconv.Itoa(len(b)))
}
