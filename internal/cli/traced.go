package cli

import (
	"net/http"
	"os"

	"github.com/assenthq/assent/internal/trace"
)

// traceEnv is where a traced program leaves for those it starts where they belong in its trace, as
// OpenTelemetry has it for environment variables.
const traceEnv = "TRACEPARENT"

// traced tells the server with each request where it belongs in the trace of who started this process.
type traced struct{}

// RoundTrip implements http.RoundTripper.
func (traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if parent := os.Getenv(traceEnv); parent != "" {
		r = r.Clone(r.Context()) // a transport changes nothing of a request
		trace.Onward(r.Header, parent)
	}
	return http.DefaultTransport.RoundTrip(r)
}
