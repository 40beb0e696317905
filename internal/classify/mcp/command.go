package mcp

import (
	"path"
	"strings"

	"github.com/assenthq/assent/action"
)

// script judges a command line that a tool hands to a shell.
func (j *judge) script(string) {
	j.add("it runs a command", action.Execute, action.Unknown)
}

// argv judges a command without a shell.
func (j *judge) argv(name string, _ any) {
	j.add("it runs the command in "+name, action.Execute, action.Unknown)
}

func readKinds(p string) []action.Kind {
	p = strings.ToLower(path.Clean("/" + p))
	for _, s := range []string{"/.ssh/", "/.aws/", "/.gnupg/", "/.kube/", "/.netrc", "/.env", "/etc/shadow", "/.docker/config.json", "/.git-credentials", "/id_rsa", "/id_ed25519"} {
		if strings.Contains(p, s) {
			return []action.Kind{action.SecretAccess}
		}
	}
	return nil
}

func writeKinds(p string) []action.Kind {
	return readKinds(p)
}
