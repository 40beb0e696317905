package console

// A Room is one line of the rail. Key names its page, Go the key after G that leads there.
type Room struct{ Key, Label, Href, Icon, Go string }

// rooms are the pages that this deployment has, in the order of the rail; the settings
// stand below. A page
// whose source is not configured has no room, rather than an empty one.
func (c *Console) rooms() []Room {
	rooms := []struct {
		Room
		there bool
	}{
		{Room{"approvals", "Approvals", "/approvals", "inbox", "a"}, true},
		{Room{"activity", "Activity", "/activity", "pulse", "t"}, true},
		{Room{"agents", "Agents", "/agents", "bot", "n"}, c.o.Actors != nil},
		{Room{"grants", "Grants", "/grants", "key", "g"}, c.o.Freezes != nil && c.o.Changes != nil && c.o.Standings != nil},
		{Room{"policies", "Policies", "/policies", "shield", "p"}, c.o.Policies != nil},
		{Room{"tools", "Tools", "/tools", "tool", "o"}, c.o.Pins != nil},
		{Room{"people", "People", "/settings/people", "people", "e"}, c.o.Directory != nil},
		{Room{"reviewers", "Reviewers", "/settings/reviewing", "check", "r"}, c.o.Quality != nil},
		{Room{"audit", "Audit log", "/audit", "log", "l"}, true},
		{Room{"control", "Control", "/control", "halt", "c"}, c.o.Freezes != nil && c.o.Changes != nil && c.o.Standings != nil},
	}
	var out []Room
	for _, r := range rooms {
		if r.there {
			out = append(out, r.Room)
		}
	}
	return out
}
