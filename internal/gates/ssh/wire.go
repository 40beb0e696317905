package ssh

import (
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// errMalformed says that a payload is not what its request type has. The text holds no payload.
var errMalformed = errors.New("malformed request")

// takeString takes one length-prefixed string (RFC 4251 section 5) off b.
func takeString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func putString[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// oneString reads a payload that is one string and nothing else: of exec,
// subsystem and signal (RFC 4254 sections 6.5 and 6.9).
func oneString(payload []byte) (string, error) {
	s, rest, ok := takeString(payload)
	if !ok || len(rest) != 0 {
		return "", errMalformed
	}
	return string(s), nil
}

// commandText is oneString for what a shell will read: UTF-8 without NUL, where other
// parsers would stop.
func commandText(payload []byte) (string, error) {
	s, err := oneString(payload)
	switch {
	case err != nil:
		return "", err
	case len(s) > maxCommand:
		return "", errors.New("the command is longer than 64 KiB")
	case !utf8.ValidString(s):
		return "", errors.New("the command is not UTF-8 text")
	case strings.IndexByte(s, 0) >= 0:
		return "", errors.New("the command has a NUL in it")
	}
	return s, nil
}

// A variable is what an env request asks to set (RFC 4254 section 6.4).
type variable struct{ name, value string }

func envOf(payload []byte) (variable, error) {
	name, rest, ok := takeString(payload)
	if !ok {
		return variable{}, errMalformed
	}
	value, rest, ok := takeString(rest)
	if !ok || len(rest) != 0 {
		return variable{}, errMalformed
	}
	return variable{string(name), string(value)}, nil
}

// permitted reports whether list names the variable, and its value is plain. A
// locale must be of UTF-8: in GBK a shell reads quotes and backslashes elsewhere
// than whoever judged the command.
func (v variable) permitted(list []string) bool {
	if v.name == "" || len(v.value) > 256 || strings.ContainsFunc(v.name+v.value, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r)
	}) {
		return false
	}
	if (v.name == "LANG" || strings.HasPrefix(v.name, "LC_")) && !plainLocale.MatchString(v.value) {
		return false
	}
	for _, p := range list {
		if stem, any := strings.CutSuffix(p, "*"); any && strings.HasPrefix(v.name, stem) || p == v.name {
			return true
		}
	}
	return false
}

var plainLocale = regexp.MustCompile(`^(|C|POSIX|[A-Za-z_]{1,20}\.(?i:utf-?8)(@[a-z]{1,20})?)$`)

// signals are those of RFC 4254 section 6.10.
var signals = map[string]bool{
	"ABRT": true, "ALRM": true, "FPE": true, "HUP": true, "ILL": true, "INT": true, "KILL": true,
	"PIPE": true, "QUIT": true, "SEGV": true, "TERM": true, "USR1": true, "USR2": true,
}

// statusOf is the status of an exit-status request.
func statusOf(payload []byte) uint32 { return binary.BigEndian.Uint32(payload) }

// signalOf is the signal of an exit-signal request, "" when it is none that is known.
func signalOf(payload []byte) string {
	name, rest, ok := takeString(payload)
	if !ok || !signals[string(name)] || len(rest) < 1 {
		return ""
	}
	return string(name)
}
