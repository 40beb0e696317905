package scim

import (
	"net/http"

	"github.com/assenthq/assent/internal/people"
)

func (h *handler) createUser(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	kept, err := users.keep(in)
	if err != nil {
		return nil, err
	}
	u, err := r.by.CreateUser(r.Context(), userFrom(kept))
	if err != nil {
		return nil, err
	}
	return h.user(r, u, http.StatusCreated)
}

// user answers with one, and the groups it is in.
func (h *handler) user(r *request, u *people.ProvisionedUser, status int) (*answer, error) {
	q := r.URL.Query()
	pick, err := picking(q.Get("attributes"), q.Get("excludedAttributes"))
	if err != nil {
		return nil, err
	}
	o := h.userObject(u)
	h.memberships(r, map[string]object{u.ID: o})
	a := &answer{status: status, body: pick(o)}
	if status == http.StatusCreated {
		a.at = h.base + "Users/" + u.ID
	}
	return a, nil
}

// memberships adds to each user the groups it is in.
func (h *handler) memberships(r *request, of map[string]object) {
	for _, g := range r.by.Groups() {
		for _, m := range g.Members {
			if o := of[m]; o != nil {
				list, _ := o["groups"].([]any)
				o["groups"] = append(list, object{"value": g.ID, "display": g.Display, "$ref": h.base + "Groups/" + g.ID})
			}
		}
	}
}

func (h *handler) getUser(r *request) (*answer, error) {
	u, err := r.by.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return h.user(r, u, http.StatusOK)
}

func (h *handler) putUser(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	kept, err := users.keep(in)
	if err != nil {
		return nil, err
	}
	u, err := r.by.ChangeUser(r.Context(), r.PathValue("id"), func(old *people.ProvisionedUser) (people.ProvisionedUser, error) {
		next := userFrom(kept)
		if _, told := kept["active"]; !told {
			next.Active = old.Active // what isn't said lets nobody back in
		}
		return next, nil
	})
	if err != nil {
		return nil, err
	}
	return h.user(r, u, http.StatusOK)
}

func (h *handler) patchUser(r *request) (*answer, error) {
	in, err := r.body()
	if err != nil {
		return nil, err
	}
	u, err := r.by.ChangeUser(r.Context(), r.PathValue("id"), func(old *people.ProvisionedUser) (people.ProvisionedUser, error) {
		o := userKept(old)
		if err := users.patch(o, in); err != nil {
			return people.ProvisionedUser{}, err
		}
		if _, told := o["active"]; !told {
			o["active"] = false // what was removed lets nobody in
		}
		return userFrom(o), nil
	})
	if err != nil {
		return nil, err
	}
	return h.user(r, u, http.StatusOK)
}

func (h *handler) deleteUser(r *request) (*answer, error) {
	if err := r.by.DeleteUser(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// addUsers adds the users to a query.
func (h *handler) addUsers(r *request, l *page) {
	all := r.by.Users()
	of := map[string]object{}
	for i := range all {
		o := h.userObject(&all[i])
		of[all[i].ID] = o
		l.all = append(l.all, o)
	}
	if l.filter != nil && mentions(l.filter, "groups") {
		h.memberships(r, of)
		return
	}
	l.more = append(l.more, func(shown []object) {
		of := map[string]object{}
		for _, o := range shown {
			id, _ := o["id"].(string)
			of[id] = o
		}
		h.memberships(r, of)
	})
}
