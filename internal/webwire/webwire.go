// Package webwire is what stands between a socket and net/http in every gate that speaks HTTP: it sees to it that a
// request means one thing to us and to whoever reads it after us.
//
// It promises that an HTTP/1 connection hands on no byte of a request whose end two servers may see in different
// places (Listener), that no header of a client passes for one that a gate writes (Clean), that a target has one
// reading (Target), and that slow or countless clients cost a bounded amount (Serve). What is refused is answered
// with 400 and the connection ends: there is no way on from a request whose end is in doubt.
//
// It can't see what an upstream makes of a request that is plain: a parameter given twice, a cookie, a body. HTTP/2
// is framed by net/http's own reader, which refuses the headers of HTTP/1 framing; webwire only bounds it. After
// CONNECT or Upgrade the bytes are the handler's.
package webwire

import "net/http"

// A Refusal says why a request goes no further. It holds nothing that the client wrote.
type Refusal struct {
	Status int    // what the client is answered: 400, or 421 for a host that this connection is not for
	Why    string // "two lengths", for the log and the client
}

func (r *Refusal) Error() string { return "ambiguous request: " + r.Why }

func refuse(why string) *Refusal { return &Refusal{Status: http.StatusBadRequest, Why: why} }
