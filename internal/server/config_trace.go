package server

import "fmt"

// A TraceConfig hands spans of OpenTelemetry on (docs/tracing.md).
type TraceConfig struct {
	OTLP  OTLPConfig `yaml:"otlp" doc:"Where spans go: OTLP over HTTP, such as https://collector.example.com:4318/v1/traces."`
	OneIn int        `yaml:"one_in" doc:"Of how many actions that ran without asking anybody one is sent. What was held, denied or failed is always sent." default:"1"`
	Came  string     `yaml:"came" doc:"What the trace context is that a request brings: link, which begins a trace of its own with a link there, or parent, which goes on with that trace." default:"link"`
}

func (k *checker) tracing(c *Config) {
	t := c.Trace
	if t == nil {
		return
	}
	k.receiver("$.trace.otlp", t.OTLP.URL, t.OTLP.Private)
	k.headers("$.trace.otlp.headers", t.OTLP.Headers)
	if t.OneIn < 0 {
		k.fail("$.trace.one_in", fmt.Sprintf("%d is no number of actions", t.OneIn), "leave it out to send each, or write 10 for one in ten")
	}
	if t.Came != "" && t.Came != "link" && t.Came != "parent" {
		k.fail("$.trace.came", fmt.Sprintf("%q is neither link nor parent", t.Came), "leave it out: what agents say of traces is a claim")
	}
}
