package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	gossh "golang.org/x/crypto/ssh"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,253}$`)

// A target is where a client asks to be connected to, from the host (RFC 4254 section 7.2).
type target struct {
	host string
	port uint32
}

func targetOf(payload []byte) (target, error) {
	r := reader{b: payload}
	to := target{host: string(r.text()), port: r.uint32()}
	r.text() // where the connection comes from is the client's own matter
	r.uint32()
	if !r.end() || !hostName.MatchString(to.host) || to.port == 0 || to.port > 65535 {
		return target{}, errMalformed
	}
	return to, nil
}

func (to target) String() string {
	return net.JoinHostPort(strings.ToLower(to.host), strconv.FormatUint(uint64(to.port), 10))
}

// payload is the request without anything that differs from one connection to the next.
func (to target) payload() []byte {
	b := binary.BigEndian.AppendUint32(putString(nil, strings.ToLower(to.host)), to.port)
	return binary.BigEndian.AppendUint32(putString(b, "127.0.0.1"), 0)
}

// forward connects a client to a target that the configuration lists, once that was permitted.
func (c *conn) forward(nc gossh.NewChannel) {
	defer c.channelEnds()
	defer c.guard()
	to, err := targetOf(nc.ExtraData())
	if err != nil || !slices.Contains(c.host.Forward, to.String()) {
		c.refused("a forward from the client to the host's network")
		_ = nc.Reject(gossh.Prohibited, "assent: port forwarding is not allowed here, but to what the configuration lists")
		return
	}
	a := &action.Action{
		Kinds: []action.Kind{action.NetFetch, action.SessionOpen}, Verb: "open tunnel", Target: to.String(), Shape: shapeOf("tunnel", to.String()),
		Title: "open a tunnel to " + to.String() + c.where(), Statement: "a connection to " + to.String() + "; what passes through it can't be judged", Payload: to.payload(),
		State: c.state("direct-tcpip"), Data: action.Data{Destination: to.String(), Unscanned: true},
	}
	permit, denied := c.ask(c.hold, a, nil)
	if denied != nil {
		_ = nc.Reject(gossh.Prohibited, "assent: "+deniedText(denied))
		return
	}
	began := time.Now()
	o := gate.Outcome{State: gate.NotRun}
	defer func() {
		o.Duration = time.Since(began)
		permit.Done(o)
	}()
	up, err := c.tunnel(to)
	if err != nil {
		_ = nc.Reject(gossh.ConnectionFailed, "assent: "+err.Error())
		return
	}
	defer func() { _ = up.Close() }()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer func() { _ = ch.Close() }()
	go answerNo(requests, nil)
	stop := context.AfterFunc(c.run, func() { _ = up.Close() })
	defer stop()
	o.State = gate.Executed
	var out sync.WaitGroup
	out.Go(func() {
		_, _ = io.Copy(up, ch)
		_ = up.CloseWrite()
	})
	var limit *gate.Denied
	if o.Bytes, err = countedCopy(ch, up, permit); errors.As(err, &limit) {
		o.State, o.Code = gate.Failed, limit.Status
	}
	_ = ch.CloseWrite()
	if err != nil {
		_ = up.Close()
		_ = ch.Close()
	}
	out.Wait()
}

func (c *conn) tunnel(to target) (gossh.Channel, error) {
	host, err := c.upstream()
	if err != nil {
		return nil, err
	}
	up, requests, err := host.OpenChannel("direct-tcpip", to.payload())
	if err != nil {
		return nil, errors.New("the host does not reach " + to.String())
	}
	go answerNo(requests, nil)
	return up, nil
}

// countedCopy counts what it copies, before it passes.
func countedCopy(to io.Writer, from io.Reader, permit gate.Permit) (n int64, err error) {
	b := make([]byte, chunk)
	for {
		k, err := from.Read(b)
		if k > 0 {
			if err := permit.Count(0, int64(k)); err != nil {
				return n, err
			}
			n += int64(k)
			if _, err := to.Write(b[:k]); err != nil {
				return n, err
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
