package kubernetes

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Info is what the method, the path and the query of a request say, as the API
// server reads them (https://kubernetes.io/docs/reference/using-api/api-concepts/).
type Info struct {
	Resourceful bool   // it names a resource; else Path is all there is
	Path        string // decoded
	Verb        string // get, list, watch, create, update, patch, delete, deletecollection, proxy
	Group       string // "" for the core group
	Version     string
	Namespace   string
	Resource    string // plural, "pods"
	Subresource string
	Name        string
	Rest        []string // what follows a sub-resource or a proxied name
}

// Errors of Read.
var (
	errMethod = errors.New("the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE")
	errPath   = errors.New("the path has an empty, dotted or encoded part that two servers may read in two ways")
)

// Read reads the path as it stands on the wire, still escaped. It refuses what
// two servers could read in two ways.
func Read(method, escaped string, query url.Values) (Info, error) {
	verb, known := verbs[method]
	if !known {
		return Info{}, errMethod
	}
	parts, err := split(escaped)
	if err != nil {
		return Info{}, err
	}
	i := Info{Path: "/" + strings.Join(parts, "/"), Verb: strings.ToLower(method)}
	var rest []string
	switch {
	case len(parts) < 3:
		return i.plain(escaped)
	case parts[0] == "api":
		rest = parts[1:]
	case parts[0] == "apis" && len(parts) < 4:
		return i.plain(escaped)
	case parts[0] == "apis":
		i.Group, rest = parts[1], parts[2:]
	default:
		return i.plain(escaped)
	}
	i.Resourceful, i.Verb, i.Version, rest = true, verb, rest[0], rest[1:]
	special := rest[0] == "watch" || rest[0] == "proxy"
	if special {
		if len(rest) < 2 || method != http.MethodGet && rest[0] == "watch" {
			return Info{}, fmt.Errorf("/%s/ is followed by nothing, or is not asked for by GET", rest[0])
		}
		i.Verb, rest = rest[0], rest[1:]
	}
	if rest[0] == "namespaces" && len(rest) > 1 {
		i.Namespace = rest[1]
		if len(rest) > 2 && rest[2] != "status" && rest[2] != "finalize" {
			rest = rest[2:]
		}
	}
	i.Resource = rest[0]
	if len(rest) > 1 {
		i.Name = rest[1]
	}
	if len(rest) > 2 && i.Verb != "proxy" {
		i.Subresource, i.Rest = rest[2], rest[3:]
	} else if len(rest) > 2 {
		i.Rest = rest[2:]
	}
	if trailing(escaped) && i.Verb != "proxy" && i.Subresource != "proxy" || i.Name == "" && i.Subresource != "" {
		return Info{}, errPath
	}
	if i.Name == "" {
		switch i.Verb {
		case "get":
			i.Verb = "list"
			if watches(query) {
				i.Verb = "watch"
			}
		case "delete":
			i.Verb = "deletecollection"
		}
	}
	return i, nil
}

func (i Info) plain(escaped string) (Info, error) {
	if trailing(escaped) && i.Path != "/" {
		if len(i.Path) > 1 && !slices.Contains([]string{"/api", "/apis", "/openapi/v3", "/logs"}, i.Path) {
			return Info{}, errPath
		}
	}
	return i, nil
}

var verbs = map[string]string{
	http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "create",
	http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

func trailing(escaped string) bool { return len(escaped) > 1 && strings.HasSuffix(escaped, "/") }

// split decodes the parts of a path. One slash may stand at the end.
func split(escaped string) ([]string, error) {
	if !strings.HasPrefix(escaped, "/") {
		return nil, errPath
	}
	trimmed := strings.TrimSuffix(escaped[1:], "/")
	if trimmed == "" {
		if escaped != "/" {
			return nil, errPath
		}
		return nil, nil
	}
	parts := strings.Split(trimmed, "/")
	for n, raw := range parts {
		p, err := url.PathUnescape(raw)
		if err != nil || p == "" || p == "." || p == ".." || strings.ContainsAny(p, `/\%;?#`) || !utf8.ValidString(p) || !plainlyEscaped(raw) {
			return nil, errPath
		}
		for _, c := range p {
			if !unicode.IsPrint(c) {
				return nil, errPath
			}
		}
		parts[n] = p
	}
	return parts, nil
}

// plainlyEscaped says that raw escapes nothing that needs no escape: %61 for a hides a word.
func plainlyEscaped(raw string) bool {
	for n := 0; n+2 < len(raw); n++ {
		if raw[n] != '%' {
			continue
		}
		c, err := url.PathUnescape(raw[n : n+3])
		if err == nil && (c[0] >= 'a' && c[0] <= 'z' || c[0] >= 'A' && c[0] <= 'Z' || c[0] >= '0' && c[0] <= '9' || strings.Contains("-._~", c)) {
			return false
		}
	}
	return true
}

// watches reads ?watch as the API server does: anything but false and 0.
func watches(q url.Values) bool {
	v, is := q["watch"]
	return is && len(v) > 0 && !strings.EqualFold(v[0], "false") && v[0] != "0"
}
