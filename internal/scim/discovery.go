package scim

import "net/http"

// discovery answers what this server can do (RFC 7644 section 4).
func (h *handler) discovery() {
	h.route("GET ServiceProviderConfig", func(*request) (*answer, error) {
		no := object{"supported": false}
		return &answer{status: http.StatusOK, body: object{
			"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
			"patch":   object{"supported": true},
			"bulk":    object{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
			"filter":  object{"supported": true, "maxResults": mostPage}, "changePassword": no, "sort": no, "etag": no,
			"authenticationSchemes": []any{object{
				"type": "oauthbearertoken", "name": "Bearer token", "description": "A provisioning credential: assent token mint --provision ISSUER", "primary": true,
			}},
			"meta": object{"resourceType": "ServiceProviderConfig", "location": h.base + "ServiceProviderConfig"},
		}}, nil
	})
	h.catalogue("ResourceTypes", h.resourceType)
	h.catalogue("Schemas", h.schema)
}

// catalogue answers a list of documents, one for each kind, and each by its id.
func (h *handler) catalogue(path string, document func(k *kind) (id string, doc object)) {
	h.route("GET "+path, func(r *request) (*answer, error) {
		if r.URL.Query().Has("filter") {
			return nil, failure(http.StatusForbidden, "", "%s can't be filtered", path) // RFC 7644 section 4
		}
		var all []any
		for _, k := range []*kind{users, groups} {
			_, doc := document(k)
			all = append(all, doc)
		}
		return &answer{status: http.StatusOK, body: object{"schemas": []any{listMessage}, "totalResults": len(all), "startIndex": 1, "itemsPerPage": len(all), "Resources": all}}, nil
	})
	h.route("GET "+path+"/{id}", func(r *request) (*answer, error) {
		for _, k := range []*kind{users, groups} {
			if id, doc := document(k); id == r.PathValue("id") {
				return &answer{status: http.StatusOK, body: doc}, nil
			}
		}
		return nil, failure(http.StatusNotFound, "", "there is nothing under this path")
	})
}

func (h *handler) resourceType(k *kind) (string, object) {
	return k.name, object{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": k.name, "name": k.name, "endpoint": "/" + k.endpoint, "schema": k.schema,
		"meta": object{"resourceType": "ResourceType", "location": h.base + "ResourceTypes/" + k.name},
	}
}

func (h *handler) schema(k *kind) (string, object) {
	var attrs []any
	for i := range k.attrs {
		attrs = append(attrs, h.described(&k.attrs[i]))
	}
	return k.schema, object{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": k.schema, "name": k.name, "description": k.name, "attributes": attrs,
		"meta": object{"resourceType": "Schema", "location": h.base + "Schemas/" + k.schema},
	}
}

func (h *handler) described(a *attribute) object {
	out := object{
		"name": a.name, "type": "string", "multiValued": a.multi, "description": a.about, "required": a.required, "caseExact": a.name == "externalId",
		"mutability": "readWrite", "returned": "default", "uniqueness": "none",
	}
	if a.readOnly {
		out["mutability"] = "readOnly"
	}
	if a.name == "userName" || a.name == "externalId" {
		out["uniqueness"] = "server"
	}
	switch {
	case a.boolean:
		out["type"] = "boolean"
	case a.subs != nil:
		out["type"] = "complex"
		var subs []any
		for _, s := range a.subs {
			sub := object{
				"name": s, "type": "string", "multiValued": false, "description": a.name + "'s " + s, "required": false, "caseExact": s == "value" && a.name != "emails",
				"mutability": out["mutability"], "returned": "default", "uniqueness": "none",
			}
			switch s {
			case "primary":
				sub["type"] = "boolean"
			case "$ref":
				sub["type"], sub["referenceTypes"], sub["caseExact"] = "reference", []any{map[string]string{"members": "User", "groups": "Group"}[a.name]}, true
			}
			if a.name == "members" {
				sub["mutability"] = "immutable"
				if s == "type" {
					sub["canonicalValues"] = []any{"User"}
				}
			}
			subs = append(subs, sub)
		}
		out["subAttributes"] = subs
	}
	return out
}
