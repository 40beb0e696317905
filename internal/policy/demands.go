package policy

// A Demand is whom a rule asks for, with the place where it says so.
type Demand struct {
	Requirement
	at place
}

// Problem is an error at the demand's place.
func (d *Demand) Problem(msg, remedy string) *Error { return d.at.error(msg, remedy) }

// Demands lists whom the rules of s ask for, those of rules in shadow mode among
// them: they act one day.
func (s *Set) Demands() []Demand {
	var out []Demand
	for _, r := range s.rules {
		for _, q := range []*Requirement{r.approval, r.unless} {
			if q == nil || r.mode == off {
				continue
			}
			d := Demand{Requirement: *q, at: r.at}
			d.Rule, d.Pack = r.id, r.pack
			out = append(out, d)
		}
	}
	return out
}
