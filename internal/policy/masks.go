package policy

import "strings"

// What a rule may say behind a method. A mask is linkable when every actor of the
// deployment gets the same for one value; a token has a vault when the value is
// kept, sealed, for who may read it back.
const (
	MaskLinkable = "linkable"
	MaskVault    = "vault"
)

// maskNames lists the methods, strictest first.
func maskNames() []string {
	var out []string
	for _, m := range []mask{
		{method: MaskRedact},
		{method: MaskHash},
		{method: MaskHash, linkable: true},
		{method: MaskToken},
		{method: MaskToken, vault: true},
		{method: MaskToken, linkable: true},
		{method: MaskToken, linkable: true, vault: true},
		{method: MaskFormat},
		{method: MaskFormat, linkable: true},
		{method: MaskPartial},
	} {
		out = append(out, m.String())
	}
	return out
}

// A mask is a method taken apart.
type mask struct {
	method          string
	linkable, vault bool
}

func readMask(s string) mask {
	var m mask
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
			m.method = word
		case word == MaskLinkable:
			m.linkable = true
		case word == MaskVault:
			m.vault = true
		}
	}
	return m
}

func (m mask) String() string {
	s := m.method
	if m.linkable {
		s += " " + MaskLinkable
	}
	if m.vault {
		s += " " + MaskVault
	}
	return s
}

// stricter is what holds when two rules mask one class: the stricter method, linkable only if
// each that could be is, with a vault only if each that could have one has. "" is none.
func stricter(a, b string) string {
	switch {
	case a == b || b == "":
		return a
	case a == "":
		return b
	}
	x, y := readMask(a), readMask(b)
	out := x
	for _, method := range []string{MaskPartial, MaskFormat, MaskToken, MaskHash, MaskRedact} {
		if x.method == method || y.method == method {
			out.method = method
		}
	}
	keyed := func(m mask) bool { return m.method != MaskRedact && m.method != MaskPartial }
	out.linkable = keyed(out) && (x.linkable || !keyed(x)) && (y.linkable || !keyed(y))
	out.vault = out.method == MaskToken && (x.vault || x.method != MaskToken) && (y.vault || y.method != MaskToken)
	return out.String()
}
