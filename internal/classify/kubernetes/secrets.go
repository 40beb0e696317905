package kubernetes

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/jsontext"
)

// lastApplied is where kubectl keeps what was applied last: the whole object, as text.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Secrets returns the JSON of a reply or a body with the values of Secrets replaced by hide, which is
// given the plain value. secrets says that the objects are Secrets; otherwise they are where the
// text says so of one anywhere in it: in a list, a watch event, a table, or kubectl's annotation.
func Secrets(data []byte, secrets bool, hide func(plain []byte) []byte) ([]byte, error) {
	if !secrets {
		var err error
		if secrets, err = hasSecrets(data); err != nil || !secrets {
			return data, err
		}
	}
	return jsontext.Replace(data, func(v *jsontext.Value) ([]byte, bool, error) {
		if v.Kind == jsontext.Name {
			return nil, false, nil
		}
		if v.Key() == lastApplied {
			return []byte("{}"), true, nil
		}
		at := slices.IndexFunc(v.Path, func(p string) bool { return strings.EqualFold(p, "data") || strings.EqualFold(p, "stringData") })
		switch {
		case at < 0 || slices.ContainsFunc(v.Path[:at], func(p string) bool { return p == "metadata" || p == "managedFields" }):
			return nil, false, nil
		case at == len(v.Path)-1: // what stands for all of it, as in a patch
			return hide(slices.Clone(v.Text)), true, nil
		}
		if strings.EqualFold(v.Path[at], "data") {
			if plain, err := base64.StdEncoding.DecodeString(string(v.Text)); err == nil {
				return []byte(base64.StdEncoding.EncodeToString(hide(plain))), true, nil
			}
		}
		return hide(slices.Clone(v.Text)), true, nil
	})
}

// hasSecrets says that a Secret, or a list of them, stands somewhere in data.
func hasSecrets(data []byte) (found bool, err error) {
	_, err = jsontext.Replace(data, func(v *jsontext.Value) ([]byte, bool, error) {
		if v.Kind == jsontext.String && strings.EqualFold(v.Key(), "kind") {
			if s := string(v.Text); strings.EqualFold(s, "Secret") || strings.EqualFold(s, "SecretList") {
				found = true
			}
		}
		return nil, false, nil
	})
	return found, err
}
