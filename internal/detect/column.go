package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// edition changes whenever the detectors find something else than before.
const edition = "detect-1"

func versionOf(o Options) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(o.Columns)) {
		fmt.Fprintf(h, "column %q %q\n", strings.ToLower(k), o.Columns[k])
	}
	off := slices.Clone(o.Off)
	slices.Sort(off)
	for _, c := range slices.Compact(off) {
		fmt.Fprintf(h, "off %q\n", c)
	}
	if o.Names != nil {
		fmt.Fprintf(h, "names %s %t\n", o.Names.Version(), o.AllNames)
	}
	return edition + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// named lists what column and key names say, as words in a row. The first match
// wins, so the longer and surer come first. sure is the score of the prior.
var named = []struct {
	words string
	class Class
	sure  float32
}{
	{"aws secret", AWSKey, 1},
	{"aws access key", AWSKey, 1},
	{"secret access key", AWSKey, 1},
	{"secretaccesskey", AWSKey, 1},
	{"access key id", AWSKey, 1},
	{"accesskeyid", AWSKey, 1},
	{"github token", GitHubToken, 1},
	{"gh token", GitHubToken, 1},
	{"private key", PEM, 1},
	{"privatekey", PEM, 1},
	{"pem", PEM, 1},
	{"jwt", JWT, 1},
	{"id token", JWT, 0.9},
	{"dsn", DSNPassword, 1},
	{"connection string", DSNPassword, 1},
	{"connectionstring", DSNPassword, 1},
	{"conn str", DSNPassword, 1},
	{"database url", DSNPassword, 1},
	{"social security", USSSN, 1},
	{"ssn", USSSN, 1},
	{"iban", IBAN, 1},
	{"card number", Card, 1},
	{"card no", Card, 1},
	{"card num", Card, 1},
	{"cardnumber", Card, 1},
	{"cardno", Card, 1},
	{"cc number", Card, 1},
	{"cc num", Card, 1},
	{"cc no", Card, 1},
	{"ccnumber", Card, 1},
	{"ccnum", Card, 1},
	{"credit card", Card, 1},
	{"creditcard", Card, 1},
	{"debit card", Card, 1},
	{"primary account number", Card, 1},
	{"pan", Card, 0.9},
	{"email", Email, 1},
	{"emails", Email, 1},
	{"e mail", Email, 1},
	{"emailaddress", Email, 1},
	{"mail address", Email, 1},
	{"mailaddress", Email, 1},
	{"mail", Email, 0.8},
	{"ip addr", IP, 1},
	{"ip address", IP, 1},
	{"ipaddr", IP, 1},
	{"ipaddress", IP, 1},
	{"remote addr", IP, 1},
	{"client addr", IP, 1},
	{"ip", IP, 0.9},
	{"ipv4", IP, 1},
	{"ipv6", IP, 1},
	{"phone", Phone, 1},
	{"phones", Phone, 1},
	{"phonenumber", Phone, 1},
	{"telephone", Phone, 1},
	{"mobile", Phone, 0.9},
	{"mobilenumber", Phone, 1},
	{"cellphone", Phone, 1},
	{"cell", Phone, 0.7},
	{"tel", Phone, 0.9},
	{"msisdn", Phone, 1},
	{"fax", Phone, 0.9},
	{"password", Sensitive, 1},
	{"passwords", Sensitive, 1},
	{"passwd", Sensitive, 1},
	{"pwd", Sensitive, 1},
	{"passphrase", Sensitive, 1},
	{"secret", Sensitive, 1},
	{"secrets", Sensitive, 1},
	{"api key", Sensitive, 1},
	{"apikey", Sensitive, 1},
	{"access key", Sensitive, 1},
	{"accesskey", Sensitive, 1},
	{"token", Sensitive, 0.9},
	{"tokens", Sensitive, 0.9},
	{"credential", Sensitive, 0.9},
	{"credentials", Sensitive, 0.9},
	{"cvv", Sensitive, 1},
	{"cvc", Sensitive, 1},
	{"passport", Sensitive, 0.9},
	{"birth date", Sensitive, 0.9},
	{"birthdate", Sensitive, 0.9},
	{"birthday", Sensitive, 0.9},
	{"date of birth", Sensitive, 1},
	{"dob", Sensitive, 1},
	{"tax id", Sensitive, 0.9},
}

// about lists last words that make a name speak about a value instead of
// holding it: email_verified, token_count, password_changed_at.
var about = " at id ids count sent verified confirmed enabled status type kind length len expires expiry changed optin limit policy attempts "

// Column judges a column or key by its name and its sources ("customers.email").
// The deployment's catalogue comes first, then the sources' own names, then the
// name. It returns "" when nothing is known.
func (e *Engine) Column(name string, sources []string) (Class, float32) {
	for _, src := range sources {
		if c, ok := e.catalogued(src); ok {
			return c, 1
		}
	}
	for _, src := range sources {
		if c, sure := e.named(src[strings.LastIndexByte(src, '.')+1:]); c != "" {
			return c, sure
		}
	}
	if c, ok := e.catalogued(name); ok {
		return c, 1
	}
	return e.named(name)
}

// catalogued looks for "table.column" under every qualification it may have.
func (e *Engine) catalogued(source string) (Class, bool) {
	if len(e.catalogue) == 0 {
		return "", false
	}
	source = strings.ToLower(strings.ReplaceAll(source, `"`, ""))
	for strings.Contains(source, ".") {
		if c, ok := e.catalogue[source]; ok && !e.off[c] {
			return c, true
		}
		_, source, _ = strings.Cut(source, ".")
	}
	return "", false
}

// A verdict is what a name was found to say.
type verdict struct {
	class Class
	sure  float32
}

// Names that were judged are remembered, up to a number and a length of each:
// the same few columns and words come with every statement.
const (
	maxNames   = 16 << 10
	maxNameLen = 128
)

func (e *Engine) named(name string) (Class, float32) {
	if len(name) > maxNameLen {
		return e.judgeName(name)
	}
	e.mu.RLock()
	v, known := e.names[name]
	e.mu.RUnlock()
	if known {
		return v.class, v.sure
	}
	v.class, v.sure = e.judgeName(name)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.names) >= maxNames {
		clear(e.names)
	}
	e.names[strings.Clone(name)] = v
	return v.class, v.sure
}

func (e *Engine) judgeName(name string) (Class, float32) {
	words := splitWords(name)
	last := words[strings.LastIndexByte(words[:max(len(words)-1, 0)], ' ')+1:]
	if strings.TrimSpace(last) != "" && strings.Contains(about, " "+last) && !strings.HasSuffix(words, " access key id ") {
		return "", 0
	}
	for _, n := range named {
		if strings.Contains(words, " "+n.words+" ") && !e.off[n.class] {
			return n.class, n.sure
		}
	}
	return "", 0
}

// splitWords turns "billing.cardNumber_2" into " billing card number ".
func splitWords(name string) string {
	out := make([]byte, 1, len(name)+8)
	out[0] = ' '
	for i := 0; i < len(name) && i < 256; i++ {
		c := name[i]
		lowerBefore := i > 0 && isLower(name[i-1])
		upperRunEnds := i > 0 && isUpper(name[i-1]) && i+1 < len(name) && isLower(name[i+1])
		switch {
		case isUpper(c) && (lowerBefore || upperRunEnds) && out[len(out)-1] != ' ':
			out = append(out, ' ', c|0x20)
		case isUpper(c):
			out = append(out, c|0x20)
		case isLower(c), c >= 0x80, c >= '0' && c <= '9' && !digitsToEnd(name[i:]):
			out = append(out, c)
		case out[len(out)-1] != ' ':
			out = append(out, ' ')
		}
	}
	if out[len(out)-1] != ' ' {
		out = append(out, ' ')
	}
	return string(out)
}

// digitsToEnd tells a counter ("email2") from a part of the name ("ipv4").
func digitsToEnd(s string) bool {
	return strings.Trim(s, "0123456789") == "" && s != "4" && s != "6"
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
