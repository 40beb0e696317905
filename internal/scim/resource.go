package scim

import (
	"time"

	"github.com/assenthq/assent/internal/people"
)

// userObject is a user as clients see it, without the groups.
func (h *handler) userObject(u *people.ProvisionedUser) object {
	o := userKept(u)
	o["schemas"], o["id"] = []any{userSchema}, u.ID
	o["meta"] = h.meta(users, u.ID, u.Created, u.Changed)
	return o
}

// userKept is what PATCH works on.
func userKept(u *people.ProvisionedUser) object {
	o := object{"userName": u.UserName, "active": u.Active}
	put(o, "externalId", u.External)
	put(o, "displayName", u.Display)
	name := object{}
	put(name, "formatted", u.Name.Formatted)
	put(name, "familyName", u.Name.Family)
	put(name, "givenName", u.Name.Given)
	if len(name) > 0 {
		o["name"] = name
	}
	if len(u.Emails) > 0 {
		list := []any{}
		for _, m := range u.Emails {
			e := object{"value": m.Value, "primary": m.Primary}
			put(e, "type", m.Type)
			list = append(list, e)
		}
		o["emails"] = list
	}
	return o
}

func put(o object, name, v string) {
	if v != "" {
		o[name] = v
	}
}

// userFrom reads what keep or patch left. A user of whom it isn't said is active.
func userFrom(o object) (u people.ProvisionedUser) {
	str := func(o object, name string) string { s, _ := o[name].(string); return s }
	u.UserName, u.External, u.Display, u.Active = str(o, "userName"), str(o, "externalId"), str(o, "displayName"), true
	if active, told := o["active"].(bool); told {
		u.Active = active
	}
	if name, ok := o["name"].(object); ok {
		u.Name = people.ProvName{Formatted: str(name, "formatted"), Family: str(name, "familyName"), Given: str(name, "givenName")}
	}
	list, _ := o["emails"].([]any)
	for _, e := range list {
		if eo, ok := e.(object); ok && str(eo, "value") != "" {
			primary, _ := eo["primary"].(bool)
			u.Emails = append(u.Emails, people.Email{Value: str(eo, "value"), Type: str(eo, "type"), Primary: primary})
		}
	}
	return u
}

// groupObject is a group as clients see it; its members only where they are asked for.
func (h *handler) groupObject(g *people.ProvisionedGroup, members bool) object {
	o := groupKept(g, members)
	o["schemas"], o["id"] = []any{groupSchema}, g.ID
	o["meta"] = h.meta(groups, g.ID, g.Created, g.Changed)
	if list, ok := o["members"].([]any); ok {
		for _, e := range list {
			if eo, ok := e.(object); ok {
				id, _ := eo["value"].(string)
				eo["$ref"], eo["type"] = h.base+"Users/"+id, "User"
			}
		}
	}
	return o
}

func groupKept(g *people.ProvisionedGroup, members bool) object {
	o := object{"displayName": g.Display}
	put(o, "externalId", g.External)
	if members && len(g.Members) > 0 {
		list := make([]any, 0, len(g.Members))
		for _, id := range g.Members {
			list = append(list, object{"value": id})
		}
		o["members"] = list
	}
	return o
}

// groupFrom reads what keep or patch left. A member that is a group is refused: none is nested here.
func groupFrom(o object) (g people.ProvisionedGroup, err error) {
	g.Display, _ = o["displayName"].(string)
	g.External, _ = o["externalId"].(string)
	list, _ := o["members"].([]any)
	for _, e := range list {
		eo, _ := e.(object)
		id, _ := eo["value"].(string)
		if kind, _ := eo["type"].(string); kind == "Group" || id == "" {
			return g, wrong("invalidValue", "a member is a user's id; groups in groups are not taken")
		}
		g.Members = append(g.Members, id)
	}
	return g, nil
}

func (h *handler) meta(k *kind, id string, created, changed time.Time) object {
	return object{
		"resourceType": k.name, "location": h.base + k.endpoint + "/" + id,
		"created": created.UTC().Format(time.RFC3339Nano), "lastModified": changed.UTC().Format(time.RFC3339Nano),
	}
}
