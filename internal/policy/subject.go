package policy

// ReadsGroups says whether any rule reads in which groups the subject is: then
// taking somebody out of a group may permit them more.
func (s *Set) ReadsGroups() bool {
	if s == nil {
		return true
	}
	for _, r := range s.rules {
		if r.when == nil {
			continue
		}
		for _, v := range r.when.reads {
			if v.name == "subject.groups" {
				return true
			}
		}
	}
	return false
}
