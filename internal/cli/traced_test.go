package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What a traced agent leaves in the environment goes to the server, if it is a trace context.
func TestTheEnvironmentsTraceIsTold(t *testing.T) {
	heard := make(chan []string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header["Traceparent"] }))
	defer srv.Close()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for set, want := range map[string]string{parent: parent, "": "", "x\r\nAuthorization: y": "", "00-0": ""} {
		t.Setenv(traceEnv, set)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := traced{}.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := <-heard; len(got) > 1 || len(got) == 1 && got[0] != want || len(got) == 0 && want != "" || len(r.Header) != 0 {
			t.Errorf("%q: the server heard %q", set, got)
		}
	}
}
