package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/pprof"
	"testing"

	"github.com/assenthq/assent/internal/cli"
)

// procVar names what this test binary is when it starts itself: what a
// measurement needs in a process of its own, and what no user's binary has.
const procVar = "ASSENT_E2E_PROC"

var procs = map[string]func(args []string) int{
	"splice":   func(args []string) int { return hop(args, splice) },
	"proxy":    func(args []string) int { return hop(args, relay) },
	"profiled": profiled,
}

// proc is the command that runs one of procs.
func proc(name string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), procVar+"="+name)
	return c
}

// hop listens, prints its address, and copies between each client and the
// address in args with two goroutines.
func hop(args []string, copyHalf func(to, from net.Conn)) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "hop:", err)
		return 1
	}
	fmt.Println(l.Addr())
	for {
		client, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", args[0])
			if err != nil {
				return
			}
			go copyHalf(server, client)
			copyHalf(client, server)
		}()
	}
}

// splice is what a hop costs that reads nothing: on Linux io.Copy between TCP
// connections is splice(2), and the bytes stay in the kernel.
func splice(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// relay is what a hop costs that has each byte in its hands, as whoever looks
// at them must, and looks at none.
func relay(to, from net.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	_ = to.Close()
	_ = from.Close()
}

// startHop runs a hop before upstream until the test ends.
func startHop(t testing.TB, name, upstream string) (addr string, pid int) {
	t.Helper()
	c := proc(name, upstream)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line := bufio.NewScanner(out)
	if !line.Scan() {
		t.Fatalf("the %s did not say where it listens", name)
	}
	return line.Text(), c.Process.Pid
}

// profiled is assent itself, a CPU profile of its whole life written to args[0].
// The product has no such switch: whoever could turn it on would watch it work.
func profiled(args []string) int {
	f, err := os.Create(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return 1
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return 1
	}
	defer pprof.StopCPUProfile()
	return cli.Main(args[1:], os.Stdin, os.Stdout, os.Stderr)
}
