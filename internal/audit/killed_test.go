package audit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// spoolVar names the directory of the spool that this test binary, started by
// TestKilledProcess, writes to until it is killed.
const spoolVar = "ASSENT_TEST_SPOOL"

func writeUntilKilled(dir string) error {
	s, err := OpenSpool(SpoolOptions{Dir: dir, Node: "n1", SegmentBytes: 1 << 20})
	if err != nil {
		return err
	}
	for {
		seq, err := s.Append(record("x"))
		if err != nil {
			return err
		}
		if _, err := fmt.Println(seq); err != nil {
			return err
		}
	}
}

// kills is how often a process is killed: ASSENT_KILLS times, in CI a few.
func kills(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("ASSENT_KILLS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ASSENT_KILLS=%q is no number of kills", text)
	}
	return n
}

// What Append has returned for is there after kill -9, whether it was synced or not.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	next := int64(0)
	for round := range kills(t, 4) {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), spoolVar+"="+dir)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		for in := bufio.NewReader(out); ; {
			line, err := in.ReadString('\n')
			if err != nil { // it was killed, in the middle of a line perhaps
				break
			}
			n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if last < 0 && n < next {
				t.Errorf("round %d begins with record %d, after %d were written", round, n, next)
			}
			if last = n; n == next+2000+int64(round)*500 {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait() // killed
		got, _ := texts(t, dir)
		if last < next || int64(len(got)) <= last {
			t.Fatalf("round %d: record %d was acknowledged, %d are there", round, last, len(got))
		}
		next = int64(len(got))
	}
}
