package server

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// ConfigReference is docs/configuration.md, made from the types that are decoded.
func ConfigReference() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\nEvery key of `assent.yaml`. This page is made from the code: `assent config reference`.\n" +
		"Unknown keys, and anything after the first YAML document, are errors. A secret never stands in the file itself: it names a file, an environment variable or a command.\n\n" +
		"| key | type | default | meaning |\n|---|---|---|---|\n")
	writeKeys(&b, "", reflect.TypeFor[Config]())
	return b.String()
}

func writeKeys(b *strings.Builder, prefix string, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" {
			continue
		}
		def := f.Tag.Get("default")
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+key, typeName(f.Type), def, strings.ReplaceAll(f.Tag.Get("doc"), "|", "\\|"))
		if inner, sep := nested(f.Type); inner != nil {
			writeKeys(b, prefix+key+sep, inner)
		}
	}
}

// nested is the struct below a field, and how its keys continue the path.
func nested(t reflect.Type) (reflect.Type, string) {
	switch {
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return t.Elem(), "."
	case t.Kind() == reflect.Struct:
		return t, "."
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return t.Elem(), "[]."
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		return t.Elem(), ".NAME."
	}
	return nil, ""
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "map"
	case t.Kind() == reflect.Struct:
		return "section"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Float64:
		return "number"
	}
	return t.Kind().String()
}
