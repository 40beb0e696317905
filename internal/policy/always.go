package policy

import "strings"

// everywhere reports that no line of match rules out any action whose facts are known.
func (r *rule) everywhere() bool {
	known := everyKind &^ (kindUnknown | noKind)
	if r.kinds&known != known {
		return false
	}
	for _, l := range r.lines {
		if !l.everything() {
			return false
		}
	}
	return true
}

// everything reports a line that holds whatever its fact is: all values of a closed
// list, or a pattern of wildcards alone.
func (l *line) everything() bool {
	switch l.name {
	case "actor":
		return len(l.values) == len(actorTypes())
	case "resource", "destination":
		for _, v := range l.values {
			if strings.Contains(v, "*") && strings.Trim(v, "*?:") == "" {
				return true
			}
		}
	}
	return false
}

// blind is what a condition says when every fact is unknown, also those that can't be:
// Yes and No are what it says of any action, as 1 == 1 and true || data.rows > 5 do.
func (c *compiler) blind(source string, calendars map[string]*calendar) Tri {
	x, err := c.compileTwisted(source, false, calendars, &twist{id: -1, blind: true})
	if err != nil {
		return DontKnow
	}
	return x.test(nil, "")
}

// unknownOf is a value of v's type that nobody knows.
func unknownOf(v *variable) *value {
	out := &value{from: v}
	switch {
	case v.str != nil:
		out.str = func(*Input, string) (string, bool) { return "", false }
	case v.num != nil:
		out.num = func(*Input, string) (int64, bool) { return 0, false }
	case v.truth != nil:
		out.truth = func(*Input, string) Tri { return DontKnow }
	case v.list != nil:
		out.list = &listGetter{size: func(*Input) (int, bool) { return 0, false }, at: func(*Input, int) string { return "" }}
	default: // an entry of a map
		out.count = func(*Input, string) (int64, bool) { return 0, false }
		if v.texts != nil {
			out.count, out.texts, out.hidden = nil, func(*Input, string) string { return "" }, true
		}
	}
	return out
}
