package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tighten adds masks that a reviewer asks for to those in force. A name is a class
// or a group, which stands for each of its classes. What would loosen a mask, or
// change nothing, is an error: a reviewer can only take away.
func Tighten(masks, by map[string]string) (map[string]string, error) {
	out := maps.Clone(masks)
	if out == nil {
		out = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		method, classes := by[name], classesOf(name)
		switch {
		case len(classes) == 0:
			return nil, fmt.Errorf("'%s' is no class or group: docs/policy-reference.md lists them", clip(name))
		case !contains(maskNames(), method):
			return nil, fmt.Errorf("'%s' is no way to mask: write one of %s", clip(method), strings.Join(maskNames(), ", "))
		}
		changed := false
		for _, class := range classes {
			was := out[class]
			out[class] = stricter(was, method)
			changed = changed || out[class] != was
		}
		if !changed {
			return nil, fmt.Errorf("masking %s by %s is not stricter than what holds already", clip(name), method)
		}
	}
	return out, nil
}

// StricterMasks are both, the stricter method of each class; neither is changed.
func StricterMasks(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	for class, method := range b {
		out[class] = stricter(out[class], method)
	}
	return out
}

// ownGroup is the group that a class is of first.
func ownGroup(class string) string {
	if groups := groupsOf(class); len(groups) > 0 {
		return groups[0]
	}
	return ""
}

// FoldMasks names a group where all classes that are of it first are masked alike: for
// people to read. The groups it names stand for these classes only.
func FoldMasks(masks map[string]string) map[string]string {
	out := maps.Clone(masks)
	for _, group := range groupNames() {
		method, alike := "", true
		var classes []string
		for _, class := range classesOf(group) {
			if ownGroup(class) == group {
				classes = append(classes, class)
				alike = alike && (len(classes) == 1 || masks[class] == method)
				method = masks[class]
			}
		}
		if alike && method != "" {
			for _, class := range classes {
				delete(out, class)
			}
			out[group] = method
		}
	}
	return out
}

// classesOf is a class itself, or the classes of a group: of the many credentials that
// count as one class, that one.
func classesOf(name string) []string {
	if isClass(name) || isOwn(name) {
		return []string{name}
	}
	var out []string
	for _, class := range classNames() {
		if isCounted(class) && contains(groupsOf(class), name) {
			out = append(out, class)
		}
	}
	return out
}
