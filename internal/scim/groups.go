package scim

import (
	"net/http"

	"github.com/assenthq/assent/internal/people"
)

func (h *handler) createGroup(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	fresh, err := wholeGroup(in)
	if err != nil {
		return nil, err
	}
	g, err := r.by.CreateGroup(r.Context(), fresh)
	if err != nil {
		return nil, err
	}
	return h.group(r, g, http.StatusCreated)
}

func wholeGroup(in object) (people.ProvisionedGroup, error) {
	kept, err := groups.keep(in)
	if err != nil {
		return people.ProvisionedGroup{}, err
	}
	return groupFrom(kept)
}

func (h *handler) group(r *request, g *people.ProvisionedGroup, status int) (*answer, error) {
	q := r.URL.Query()
	pick, err := picking(q.Get("attributes"), q.Get("excludedAttributes"))
	if err != nil {
		return nil, err
	}
	a := &answer{status: status, body: pick(h.groupObject(g, true))}
	if status == http.StatusCreated {
		a.at = h.base + "Groups/" + g.ID
	}
	return a, nil
}

func (h *handler) getGroup(r *request) (*answer, error) {
	g, err := r.by.Group(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return h.group(r, g, http.StatusOK)
}

func (h *handler) putGroup(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	next, err := wholeGroup(in)
	if err != nil {
		return nil, err
	}
	g, err := r.by.ChangeGroup(r.Context(), r.PathValue("id"), func(*people.ProvisionedGroup) (people.ProvisionedGroup, error) {
		return next, nil
	})
	if err != nil {
		return nil, err
	}
	return h.group(r, g, http.StatusOK)
}

func (h *handler) patchGroup(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	g, err := r.by.ChangeGroup(r.Context(), r.PathValue("id"), func(old *people.ProvisionedGroup) (people.ProvisionedGroup, error) {
		o := groupKept(old, true)
		if err := groups.patch(o, in); err != nil {
			return people.ProvisionedGroup{}, err
		}
		return groupFrom(o)
	})
	if err != nil {
		return nil, err
	}
	return h.group(r, g, http.StatusOK)
}

func (h *handler) deleteGroup(r *request) (*answer, error) {
	if err := r.by.DeleteGroup(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// addGroups adds the groups to a query.
func (h *handler) addGroups(r *request, l *page) {
	all := r.by.Groups()
	byID := map[string]*people.ProvisionedGroup{}
	asked := l.filter != nil && mentions(l.filter, "members")
	for i := range all {
		byID[all[i].ID] = &all[i]
		l.all = append(l.all, h.groupObject(&all[i], asked))
	}
	l.more = append(l.more, func(shown []object) {
		for _, o := range shown {
			id, _ := o["id"].(string)
			if g := byID[id]; g != nil && len(g.Members) > 0 {
				o["members"] = h.groupObject(g, true)["members"]
			}
		}
	})
}
