package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/recording"
)

// A recording that grows while it is watched is shown whole, and ends when the log says so.
func TestFollowingARecording(t *testing.T) {
	lines := []string{"{\"version\":2,\"width\":80,\"height\":24}\n", "[0.0,\"o\",\"one\"]\n", "[0.1,\"o\",\"two\"]\n", "[0.2,\"o\",\"three\"]\n"}
	var looks atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := looks.Load()
		if !strings.HasSuffix(r.URL.Path, "/cast") {
			n = looks.Add(1)
			out := client.Recording{ID: "rec_a"}
			if n >= 4 {
				yes := true
				out.Intact = &yes
			}
			_ = json.NewEncoder(w).Encode(out)
			return
		}
		from, err := strconv.Atoi(r.URL.Query().Get("from"))
		text := strings.Join(lines[:n], "")
		if err != nil || from > len(text) {
			http.Error(w, fmt.Sprint(from), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, text[from:])
	}))
	defer server.Close()
	c, err := client.New(server.URL, "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = recording.Play(t.Context(), &follower{ctx: t.Context(), client: c, id: "rec_a"}, &out, 1000, 0)
	if err != nil || !strings.HasPrefix(out.String(), "onetwothree") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
