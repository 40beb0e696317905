package hook

// Asks reports whether an agent asks by this document for more than harmless tools
// or a note, as far as its own lenient parser could tell.
func Asks(agent string, body []byte) bool {
	ad, ok := agents()[agent]
	if !ok {
		return false
	}
	e, err := read(agent, ad, body)
	if err != nil {
		return true
	}
	if t, ok := ad.tools[e.Tool]; ok && t.own {
		return false
	}
	return e.Phase == Ask || e.Phase == Confirm
}
