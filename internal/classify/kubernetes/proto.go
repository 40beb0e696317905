package kubernetes

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/jsontext"
	"google.golang.org/protobuf/encoding/protowire"
)

// schemaText is the fields of Kubernetes' own objects, one message a line, written by tools/kubernetes/schema.
//
//go:embed schema.txt
var schemaText string

// A schema knows messages by name: "core.v1.Pod".
type schema struct {
	messages map[string]map[protowire.Number]protoField
}

type protoField struct {
	name, of string
	many     bool // repeated
	byKey    bool // a map from text
}

func readSchema(text string) (*schema, error) {
	s := &schema{messages: map[string]map[protowire.Number]protoField{}}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		m := map[protowire.Number]protoField{}
		for _, one := range f[1:] {
			p := strings.SplitN(one, ":", 3)
			n, err := strconv.Atoi(p[0])
			if err != nil || len(p) != 3 {
				return nil, fmt.Errorf("schema of Kubernetes: %s of %s", one, f[0])
			}
			of := strings.TrimLeft(p[2], "*%")
			m[protowire.Number(n)] = protoField{p[1], of, p[2][0] == '*', p[2][0] == '%'}
		}
		s.messages[f[0]] = m
	}
	return s, nil
}

// magic begins every object in protobuf
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding).
const magic = "k8s\x00"

// read decodes an object in its envelope: a TypeMeta, and the object's own bytes.
func (s *schema) read(body []byte, out *Reading) (any, error) {
	rest, is := strings.CutPrefix(string(body), magic)
	if !is {
		return nil, unreadable("it does not begin with k8s and a zero byte")
	}
	envelope := map[protowire.Number][]byte{}
	if err := each([]byte(rest), func(n protowire.Number, t protowire.Type, v []byte, _ uint64) error {
		if _, twice := envelope[n]; twice || t != protowire.BytesType || n > 4 {
			return unreadable("its envelope has a field twice, or one on no list")
		}
		envelope[n] = v
		return nil
	}); err != nil {
		return nil, err
	}
	if len(envelope[3])+len(envelope[4]) > 0 && string(envelope[4]) != mediaProtobuf {
		return nil, unreadable("its envelope names another encoding")
	}
	var kind [3]string
	if err := each(envelope[1], func(n protowire.Number, t protowire.Type, v []byte, _ uint64) error {
		if n > 2 || t != protowire.BytesType || kind[n] != "" || !utf8.Valid(v) {
			return unreadable("its type has a field twice, or one on no list")
		}
		kind[n] = string(v)
		return nil
	}); err != nil {
		return nil, err
	}
	name := messageOf(kind[1], kind[2])
	if s.messages[name] == nil {
		return nil, refuse(http.StatusUnsupportedMediaType, "a %s of %s can't be read in protobuf here; send it as %s", clip(kind[2], 60), clip(kind[1], 60), mediaJSON)
	}
	d := &protoReader{schema: s, out: out}
	tree, err := d.message(name, envelope[2], 0)
	if err != nil {
		return nil, err
	}
	tree["apiVersion"], tree["kind"] = kind[1], kind[2]
	if d.strange {
		out.add("it has fields on no list", action.Unknown)
	}
	return tree, nil
}

// messageOf is "rbac.v1.Role" for a Role of rbac.authorization.k8s.io/v1.
func messageOf(version, kind string) string {
	if kind == "DeleteOptions" {
		return "meta.v1.DeleteOptions"
	}
	group, v, is := strings.Cut(version, "/")
	if !is {
		group, v = "core", version
	} else if g, rest, dotted := strings.Cut(group, "."); dotted {
		if !strings.HasSuffix(rest, "k8s.io") {
			return ""
		}
		group = g
	}
	return group + "." + v + "." + kind
}

func unreadable(why string) error {
	return refuse(http.StatusBadRequest, "the protobuf can't be read in one way only: %s; send it as %s", why, mediaJSON)
}

type protoReader struct {
	schema  *schema
	out     *Reading
	fields  int
	strange bool
}

const (
	maxProtoDepth  = 60
	maxProtoFields = 200_000
)

func (d *protoReader) message(name string, b []byte, depth int) (map[string]any, error) {
	if depth > maxProtoDepth {
		return nil, unreadable("it is nested too deep")
	}
	fields := d.schema.messages[name]
	out := map[string]any{}
	err := each(b, func(n protowire.Number, t protowire.Type, v []byte, x uint64) error {
		if d.fields++; d.fields > maxProtoFields {
			return unreadable("it has too many fields")
		}
		f, known := fields[n]
		if !known {
			d.strange = true
			out["field "+strconv.Itoa(int(n))] = "[not read]"
			return nil
		}
		if f.byKey {
			return d.entry(out, f, t, v, depth)
		}
		one, err := d.one(f, t, v, x, depth)
		if err != nil {
			return err
		}
		if f.many {
			list, _ := out[f.name].([]any)
			if packed, is := one.([]any); is {
				out[f.name] = append(list, packed...)
			} else {
				out[f.name] = append(list, one)
			}
			return nil
		}
		if _, twice := out[f.name]; twice {
			return unreadable("it has a field twice")
		}
		out[f.name] = one
		return nil
	})
	return out, err
}

// entry reads one entry of a map.
func (d *protoReader) entry(out map[string]any, f protoField, t protowire.Type, b []byte, depth int) error {
	if t != protowire.BytesType {
		return unreadable("a field has another type than its name says")
	}
	m, _ := out[f.name].(map[string]any)
	if m == nil {
		m = map[string]any{}
		out[f.name] = m
	}
	var key string
	var value any
	seen := [3]bool{}
	if err := each(b, func(n protowire.Number, t protowire.Type, v []byte, x uint64) (err error) {
		if n > 2 || seen[n] {
			return unreadable("an entry of a map has a field twice, or one on no list")
		}
		seen[n] = true
		if n == 1 {
			if t != protowire.BytesType || !utf8.Valid(v) {
				return unreadable("a key of a map is no text")
			}
			key = string(v)
			return nil
		}
		value, err = d.one(f, t, v, x, depth)
		return err
	}); err != nil {
		return err
	}
	if _, twice := m[key]; twice {
		return unreadable("a map has a key twice")
	}
	m[key] = value
	return nil
}

func (d *protoReader) one(f protoField, t protowire.Type, v []byte, x uint64, depth int) (any, error) {
	wrong := unreadable("a field has another type than its name says")
	switch f.of {
	case "string":
		if t != protowire.BytesType || !utf8.Valid(v) {
			return nil, wrong
		}
		return string(v), nil
	case "bytes":
		if t != protowire.BytesType {
			return nil, wrong
		}
		if f.name == "status" {
			return map[string]any{}, nil
		}
		if len(v) > 0 && (f.name == "raw" || f.name == "Raw") { // JSON within
			if jsontext.Check(v) != nil {
				return nil, unreadable("it holds JSON that can't be read")
			}
			return parseJSON(v)
		}
		return base64.StdEncoding.EncodeToString(v), nil
	case "bool":
		if t != protowire.VarintType || x > 1 {
			return nil, wrong
		}
		return x == 1, nil
	case "int32", "int64":
		if t == protowire.BytesType && f.many {
			return packed(v)
		}
		if t != protowire.VarintType {
			return nil, wrong
		}
		return json.Number(strconv.FormatInt(int64(x), 10)), nil
	case "double":
		if n := math.Float64frombits(x); t == protowire.Fixed64Type && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
		return nil, wrong
	}
	if t != protowire.BytesType {
		return nil, wrong
	}
	m, err := d.message(f.of, v, depth+1)
	if err != nil {
		return nil, err
	}
	switch f.of { // as JSON writes them
	case "api.resource.Quantity":
		return m["string"], nil
	case "pkg.runtime.RawExtension", "apiextensions.v1.JSON":
		return m["raw"], nil
	case "meta.v1.FieldsV1":
		return m["Raw"], nil
	}
	return m, nil
}

func packed(v []byte) (any, error) {
	out := []any{}
	for len(v) > 0 {
		x, n := protowire.ConsumeVarint(v)
		if n < 0 {
			return nil, unreadable("it ends in mid-field")
		}
		out, v = append(out, json.Number(strconv.FormatInt(int64(x), 10))), v[n:]
	}
	return out, nil
}

// each hands the fields of b to f: bytes of those that have a length, the number of the others.
func each(b []byte, f func(n protowire.Number, t protowire.Type, v []byte, x uint64) error) error {
	for len(b) > 0 {
		n, t, l := protowire.ConsumeTag(b)
		if l < 0 {
			return unreadable("it ends in mid-field")
		}
		b = b[l:]
		var v []byte
		var x uint64
		switch t {
		case protowire.VarintType:
			x, l = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			x, l = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v, l = protowire.ConsumeBytes(b)
		default:
			return unreadable("it has a field of a type that Kubernetes doesn't use")
		}
		if l < 0 {
			return unreadable("it ends in mid-field")
		}
		b = b[l:]
		if err := f(n, t, v, x); err != nil {
			return err
		}
	}
	return nil
}
