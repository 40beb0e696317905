// Command opa is Open Policy Agent as its makers wrote it, for the tests of decision
// points: scripts/install builds it from the modules that go.sum pins.
package main

import (
	"os"

	"github.com/open-policy-agent/opa/cmd"
)

func main() {
	if err := cmd.RootCommand.Execute(); err != nil {
		os.Exit(1)
	}
}
