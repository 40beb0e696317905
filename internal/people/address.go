package people

import "time"

// Address is where a person is written to: the one of the configuration,
// otherwise the newest that an issuer has verified of an account of theirs; ""
// when none is known. It is no key: nobody is found by it.
func (d *Directory) Address(person string) string {
	p, ok := d.Person(person)
	if !ok || p.Gone {
		return ""
	}
	if a := d.cfg.Addresses[p.ID]; a != "" {
		return a
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return ""
	}
	found, newest := "", time.Time{}
	for _, id := range append([]string{p.ID}, p.Accounts...) {
		e := d.accounts[rowID(id)]
		if e == nil || e.Value.Account != id || e.Value.Email == "" || !e.Value.Left.IsZero() || e.Value.Refreshed.Before(newest) {
			continue
		}
		found, newest = e.Value.Email, e.Value.Refreshed
	}
	return found
}
