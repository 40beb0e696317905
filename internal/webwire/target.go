package webwire

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Rules let a protocol take targets that are plain to its own upstream and ambiguous in general. The zero value takes
// none of them.
type Rules struct {
	EncodedSlash    bool // %2f, which some servers read as a slash
	Backslash       bool // \ and %5c, which some read as a slash too
	EmptySegments   bool // a//b, which some shorten
	DotSegments     bool // . and .. as parts of a name: the upstream must not resolve them
	DoubleEncoding  bool // %252f: what one decoding more would turn into a slash, a dot, a backslash or NUL
	Params          bool // a;b in the path, which some cut off
	Controls        bool // %01 to %1f and %7f in the path. NUL is never taken
	RawText         bool // bytes from 0x80 up that are not encoded
	AnyBytes        bool // what is not UTF-8 when it is decoded
	QuerySemicolons bool // a=1;b=2, which is one parameter or two
	AnySNI          bool // a Host other than the name that TLS was asked for
}

// Target refuses a request that asks for a thing that two servers may take for two things. It reads the target as it
// came, so it must be asked before anything is changed.
func Target(r *http.Request, rules Rules) error {
	if bad := target(r, rules); bad != nil {
		return bad
	}
	return nil
}

func target(r *http.Request, rules Rules) *Refusal {
	for i := range len(r.Method) {
		if b := r.Method[i]; (b < 'A' || b > 'Z') && b != '-' {
			return refuse("a method that is not in capitals")
		}
	}
	if bad := host(r, rules); bad != nil {
		return bad
	}
	raw := r.RequestURI
	switch {
	case r.Method == http.MethodConnect && r.ProtoMajor == 1:
		if _, port, err := net.SplitHostPort(raw); err != nil || port == "" || raw[0] == '/' {
			return refuse("a CONNECT without a host and a port")
		}
		return nil
	case raw == "*":
		if r.Method != http.MethodOptions {
			return refuse("a target * of another method than OPTIONS")
		}
		return nil
	case raw == "":
		return refuse("no target")
	case raw[0] != '/':
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.User != nil || r.URL.Opaque != "" {
			return refuse("a target that is neither a path nor an address")
		}
		at := strings.Index(raw, "://")
		if at < 0 {
			return refuse("a target that is neither a path nor an address")
		}
		if raw = raw[at+3:]; strings.IndexByte(raw, '/') < 0 {
			raw = raw + "/"
		}
		end := strings.IndexAny(raw, "/?#")
		if !strings.EqualFold(raw[:end], r.Host) {
			return refuse("a target and a Host that disagree")
		}
		if raw = raw[end:]; raw[0] != '/' {
			return refuse("an address without a path")
		}
	}
	path, query, asked := strings.Cut(raw, "?")
	if bad := pathOf(path, rules); bad != nil {
		return bad
	}
	if asked {
		return queryOf(query, rules)
	}
	return nil
}

// host sees that Host is a host, the only one, and the one that TLS was asked for.
func host(r *http.Request, rules Rules) *Refusal {
	if r.Host == "" {
		return refuse("no Host")
	}
	for i := range len(r.Host) {
		if class[r.Host[i]]&isHost == 0 {
			return refuse("a host with a character that no host has")
		}
	}
	for _, other := range r.Header["Host"] { // HTTP/2 beside :authority
		if !strings.EqualFold(other, r.Host) {
			return refuse("two hosts")
		}
	}
	if r.TLS == nil || r.TLS.ServerName == "" || rules.AnySNI || r.Method == http.MethodConnect {
		return nil
	}
	name := hostname(r.Host)
	if _, err := netip.ParseAddr(name); err == nil { // TLS asks for names only: kubectl has tls-server-name beside an address
		return nil
	}
	if !strings.EqualFold(strings.TrimSuffix(name, "."), strings.TrimSuffix(r.TLS.ServerName, ".")) {
		return &Refusal{Status: http.StatusMisdirectedRequest, Why: "a Host other than the name that TLS was asked for"}
	}
	return nil
}

// hostname is a host without its port.
func hostname(host string) string {
	if host[0] == '[' {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return host[1:end]
		}
		return host
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}

// pathOf looks at a path that begins with a slash, as it came.
func pathOf(path string, rules Rules) *Refusal {
	plain := true // letters, digits and single slashes: nothing to look at
	for i := range len(path) {
		switch b := path[i]; {
		case b <= ' ' || b == 0x7f || b == '#':
			return refuse("a target with a character that no target has")
		case b >= 0x80 && !rules.RawText:
			return refuse("a target that is not encoded")
		case b == '\\' && !rules.Backslash:
			return refuse("a backslash in the target")
		case b == ';' && !rules.Params:
			return refuse("a parameter in the path")
		case b == '%' || b == '.' || b >= 0x80 || b == ';':
			plain = false
		case b == '/' && i > 0 && path[i-1] == '/' && !rules.EmptySegments:
			return refuse("an empty segment in the path")
		}
	}
	if plain {
		return nil
	}
	return segments(path, rules)
}

// segments decodes a path once, and looks at each segment as a server would see it.
func segments(path string, rules Rules) *Refusal {
	var buf [512]byte
	decoded := buf[:0] // one segment
	ascii := true
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if bad := segment(decoded, ascii, rules); bad != nil {
				return bad
			}
			decoded, ascii = decoded[:0], true
			continue
		}
		b := path[i]
		if b == '%' {
			if i+2 >= len(path) || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
				return refuse("an escape that is none")
			}
			b = byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
			switch {
			case b == 0:
				return refuse("an encoded NUL")
			case (b < ' ' || b == 0x7f) && !rules.Controls:
				return refuse("an encoded control character")
			case b == '/' && !rules.EncodedSlash:
				return refuse("an encoded slash")
			case b == '\\' && !rules.Backslash:
				return refuse("an encoded backslash")
			case b == '%' && !rules.DoubleEncoding && twice(path[i+3:]):
				return refuse("a target that is encoded twice")
			}
			i += 2
		}
		ascii = ascii && b < 0x80
		decoded = append(decoded, b)
	}
	return nil
}

// twice says whether what follows an encoded percent sign would make it the escape of something that matters.
func twice(after string) bool {
	if len(after) < 2 {
		return false
	}
	if after[0] == '2' && after[1] == '5' { // %25 again
		return true
	}
	hi, lo := unhex(after[0]), unhex(after[1])
	if hi < 0 || lo < 0 {
		return false
	}
	switch b := byte(hi<<4 | lo); b {
	case '/', '\\', '.', ';', '%':
		return true
	default:
		return b < ' ' || b == 0x7f
	}
}

// segment looks at one decoded segment. With encoded slashes taken, each of its parts is one.
func segment(s []byte, ascii bool, rules Rules) *Refusal {
	if !ascii && !rules.AnyBytes && !utf8.Valid(s) {
		return refuse("a target that is not UTF-8")
	}
	if rules.DotSegments {
		return nil
	}
	for from, i := 0, 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '/' && s[i] != '\\' {
			continue
		}
		part := s[from:i]
		from = i + 1
		dots, param := 0, false
		for _, b := range part {
			if b == ';' { // what a parameter hides
				param = true
				break
			}
			if b != '.' && b != ' ' {
				dots = -1
				break
			}
			if b == '.' {
				dots++
			}
		}
		if dots > 0 {
			return refuse("a dot segment")
		}
		if dots == 0 && param && !rules.EmptySegments {
			return refuse("an empty segment in the path")
		}
	}
	return nil
}

func queryOf(query string, rules Rules) *Refusal {
	var text [512]byte
	decoded, raw := text[:0], false // what is not ASCII, run by run
	for i := 0; i < len(query); i++ {
		b := query[i]
		switch {
		case b <= ' ' || b == 0x7f || b == '#':
			return refuse("a target with a character that no target has")
		case b >= 0x80 && !rules.RawText:
			return refuse("a target that is not encoded")
		case b == ';' && !rules.QuerySemicolons:
			return refuse("a semicolon in the query")
		case b == '%':
			if i+2 >= len(query) || unhex(query[i+1]) < 0 || unhex(query[i+2]) < 0 {
				return refuse("an escape that is none")
			}
			if b = byte(unhex(query[i+1])<<4 | unhex(query[i+2])); b == 0 {
				return refuse("an encoded NUL")
			}
			i += 2
		}
		if b >= 0x80 {
			decoded, raw = append(decoded, b), true
		} else if raw {
			if !rules.AnyBytes && !utf8.Valid(decoded) {
				return refuse("a target that is not UTF-8")
			}
			decoded, raw = decoded[:0], false
		}
	}
	if raw && !rules.AnyBytes && !utf8.Valid(decoded) {
		return refuse("a target that is not UTF-8")
	}
	return nil
}
