package cli_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// terraform stands in for the program of that name: it plans and shows what the file
// plan.json of the working directory says, and applies a saved plan by writing it to
// applied. Its output has the form of Terraform 1.9 (format_version 1.2); it is not Terraform.
func terraform() {
	args := os.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-chdir=") {
		if err := os.Chdir(strings.TrimPrefix(args[0], "-chdir=")); err != nil {
			fail(err)
		}
		args = args[1:]
	}
	switch {
	case args[0] == "plan":
		i := slices.IndexFunc(args, func(w string) bool { return strings.HasPrefix(w, "-out=") })
		text, err := os.ReadFile("plan.json")
		if err != nil {
			fail(err)
		}
		if err := os.WriteFile(strings.TrimPrefix(args[i], "-out="), text, 0o600); err != nil {
			fail(err)
		}
		os.Exit(2) // there are changes
	case args[0] == "show":
		text, err := os.ReadFile(args[2])
		if err != nil {
			fail(err)
		}
		fmt.Print(string(text))
	case args[0] == "apply":
		text, err := os.ReadFile(args[len(args)-1])
		if err != nil {
			fail(err)
		}
		if err := os.WriteFile("applied", text, 0o600); err != nil {
			fail(err)
		}
		fmt.Println("Apply complete!")
	default:
		fail(fmt.Errorf("no subcommand %q", args[0]))
	}
	os.Exit(0)
}

// kubectl stands in for the program of that name, with the output of kubectl 1.31.
func kubectl() {
	args := os.Args[1:]
	switch {
	case args[0] == "diff":
		dir := fmt.Sprint(os.Getpid()) // another each time, as in the real one
		fmt.Printf("diff -u -N /tmp/LIVE-%s/v1.ConfigMap.default.app /tmp/MERGED-%s/v1.ConfigMap.default.app\n--- /tmp/LIVE-%s/v1.ConfigMap.default.app\t2026-01-01 00:00:00.%s +0000\n+++ /tmp/MERGED-%s/v1.ConfigMap.default.app\t2026-01-01 00:00:00.%s +0000\n@@ -1,3 +1,3 @@\n data:\n-  colour: red\n+  colour: blue\n", dir, dir, dir, dir, dir, dir)
		os.Exit(1) // there is a difference
	case slices.Contains(args, "--dry-run=server"):
		fmt.Println("namespace/shop")
	default:
		if err := os.WriteFile("applied", []byte(strings.Join(args, " ")), 0o600); err != nil {
			fail(err)
		}
		fmt.Println("done")
	}
	os.Exit(0)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
