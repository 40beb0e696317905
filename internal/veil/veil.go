// Package veil masks what a system answers over HTTP: headers, body and trailers, by what the
// body says it is and what its first bytes show.
//
// It promises that a value that its permit masks doesn't leave in a body that it looked into,
// however the body is cut, coded or compressed, and that a body it can't look into is withheld. It uses bounded
// memory. What it does not look into is listed in docs/http-bodies.md.
package veil

import (
	"net/http"

	"github.com/assenthq/assent/gate"
)

// Options say how a reply is masked. The zero value: by what it is.
type Options struct {
	// Fill keeps lengths: each byte of a masked value becomes a '*'.
	Fill bool
	// Opaque lets pass what can't be looked into.
	Opaque bool
}

// Request takes off out what would make its reply one that can't be masked: other codings, and, without
// Fill, ranges, between which a value could be cut apart.
func Request(out *http.Request, p gate.Permit, o Options) {
	if p.Bare() {
		return
	}
	out.Header.Set("Accept-Encoding", "identity")
	if !o.Fill {
		out.Header.Del("Range")
		out.Header.Del("If-Range")
	}
}

// Reply makes resp one that masks what p masks, and counts its body as it is read. An error
// means that nothing of resp may pass; a *gate.Denied says why. What ends in the middle of a body is
// an error of its Read.
func Reply(resp *http.Response, p gate.Permit, o Options) error {
	return &gate.Denied{Status: gate.StatusLimit, Reason: "it ran, and its answer is withheld: nothing can mask it yet"}
}
