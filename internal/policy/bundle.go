package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/assenthq/assent/action"
)

// schemaVersion changes when the same pack would decide differently under new code.
const schemaVersion = "assent-policy/1"

// bundleDigest is SHA-256 over the canonical JSON (RFC 8785) of the packs in
// the order of their names, and of everything else that gives them meaning.
func bundleDigest(packs []*pack, o Options) (string, error) {
	raw := make([]any, len(packs))
	for i, p := range packs {
		raw[i] = p.raw
	}
	classes := map[string]any{}
	for _, class := range classNames() {
		classes[class] = groupsOf(class)
	}
	defaults := map[string]any{}
	for env, v := range o.Default {
		defaults[env] = v.String()
	}
	b, err := action.Canonical(map[string]any{
		"schema": schemaVersion, "taxonomy": taxonomyVersion, "classes": classes, "packs": raw,
		"default": defaults, "unsafe_default_allow": o.UnsafeDefaultAllow, "default_from": o.DefaultFrom,
		"versions": o.Versions,
	})
	if err != nil {
		return "", fmt.Errorf("computing the bundle's digest: %w", err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
