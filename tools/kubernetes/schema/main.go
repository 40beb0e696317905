// Command schema writes the numbers, names and types of the fields of Kubernetes'
// objects, from the generated.proto files of its modules, in the compact form that
// internal/classify/kubernetes reads:
//
//	go -C tools/kubernetes run ./schema > internal/classify/kubernetes/schema.txt
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// files are by module; a message's name here is that of its directory and its own.
var files = map[string][]string{
	"k8s.io/api": {
		"core/v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "policy/v1", "rbac/v1", "networking/v1", "storage/v1", "scheduling/v1",
		"scheduling/v1alpha3", "coordination/v1", "events/v1", "discovery/v1", "node/v1", "certificates/v1", "authentication/v1", "authorization/v1", "admissionregistration/v1", "flowcontrol/v1",
	},
	"k8s.io/apimachinery":            {"pkg/apis/meta/v1", "pkg/api/resource", "pkg/runtime", "pkg/util/intstr"},
	"k8s.io/apiextensions-apiserver": {"pkg/apis/apiextensions/v1"},
}

var (
	message = regexp.MustCompile(`^message (\w+) \{`)
	field   = regexp.MustCompile(`^  (optional|repeated|required) (\S+) (\w+) = (\d+)`)
	mapping = regexp.MustCompile(`^  map<(\S+), (\S+)> (\w+) = (\d+)`)
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func write() error {
	all := map[string][]string{} // message to fields
	for module, dirs := range files {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			return fmt.Errorf("finding %s: %w", module, err)
		}
		for _, dir := range dirs {
			if err := read(all, filepath.Join(strings.TrimSpace(string(out)), dir, "generated.proto"), short(dir)); err != nil {
				return err
			}
		}
	}
	// From each object on, what is reachable.
	want := map[string]bool{"meta.v1.DeleteOptions": true}
	for name, fields := range all {
		if !strings.HasSuffix(name, "List") && slices.ContainsFunc(fields, func(f string) bool { return strings.HasSuffix(f, ":metadata:meta.v1.ObjectMeta") }) {
			want[name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for name := range want {
			for _, f := range all[name] {
				t := f[strings.LastIndex(f, ":")+1:]
				t = strings.TrimLeft(t, "*%")
				if all[t] != nil && !want[t] {
					want[t], grown = true, true
				}
			}
		}
	}
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(strings.TrimSpace(name + " " + strings.Join(all[name], " ")))
	}
	return nil
}

// short is "core.v1" of "core/v1", and "meta.v1" of "pkg/apis/meta/v1".
func short(dir string) string {
	p := strings.Split(dir, "/")
	return strings.Join(p[max(0, len(p)-2):], ".")
}

func read(all map[string][]string, path, pkg string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if m := message.FindStringSubmatch(line); m != nil {
			in = pkg + "." + m[1]
			all[in] = []string{}
			continue
		}
		if m := mapping.FindStringSubmatch(line); m != nil {
			all[in] = append(all[in], m[4]+":"+m[3]+":%"+typed(m[2], pkg))
			continue
		}
		if m := field.FindStringSubmatch(line); m != nil {
			t := typed(m[2], pkg)
			if m[3] == "status" && strings.Contains(t, ".") {
				t = "bytes" // what the cluster says of itself is not what a writer asks for
			}
			if m[1] == "repeated" {
				t = "*" + t
			}
			all[in] = append(all[in], m[4]+":"+m[3]+":"+t)
		}
	}
	return nil
}

func typed(t, pkg string) string {
	if !strings.HasPrefix(t, ".") {
		if t[0] >= 'A' && t[0] <= 'Z' {
			return pkg + "." + t
		}
		return t
	}
	p := strings.Split(strings.TrimPrefix(t, "."), ".")
	return strings.Join(p[max(0, len(p)-3):], ".")
}
