// Command assent stands between agents and the systems they act on.
package main

import (
	"os"

	"github.com/assenthq/assent/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
