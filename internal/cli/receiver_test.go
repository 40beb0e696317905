package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdReceiver starts a web server that answers 410 until a file is there, and
// 204 from then on; its address is in an environment variable: receiver VAR FILE.
func cmdReceiver(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[1])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(map[bool]int{true: http.StatusNoContent, false: http.StatusGone}[exists(file)])
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
	ts.Check(os.WriteFile(ts.MkAbs("assent.yaml"), []byte(ts.ReadFile("assent.yaml")+strings.ReplaceAll(ts.ReadFile("channels.yaml"), "RECEIVER", s.URL)), 0o600))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
