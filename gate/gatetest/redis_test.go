package gatetest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// redis is a gate for RESP2, written as a newcomer would: it shows how much a
// protocol needs (AUTH with user and token, commands as arrays of bulk strings).
type redis struct{}

const (
	maxBulk = 1 << 20
	maxArgs = 1024
)

var redisReads = map[string]bool{"GET": true, "MGET": true, "EXISTS": true, "TTL": true}

func (redis) Handshake(ctx context.Context, c *gate.Conn) error {
	_, args, err := readCommand(c.In)
	if err != nil {
		return err
	}
	v := gate.Verifier{}
	if len(args) == 3 && strings.EqualFold(string(args[0]), "AUTH") {
		if v, err = c.Config().Authority.Verifier(ctx, string(args[1])); err == nil {
			err = v.Check(args[2])
		}
	} else {
		err = errors.New("the first command was not AUTH user token")
	}
	if err == nil {
		err = c.Login(ctx, v, "")
	}
	if err == nil {
		err = c.Dial(ctx, nil)
	}
	if err != nil {
		_, _ = c.Out.WriteString("-WRONGPASS refused\r\n")
		_ = c.Out.Flush()
		return err
	}
	_, err = c.Out.WriteString("+OK\r\n")
	return err
}

func (redis) ReadRequest(c *gate.Conn) (*gate.Request, error) {
	raw, args, err := readCommand(c.In)
	if err != nil {
		return nil, err
	}
	verb := strings.ToUpper(string(args[0]))
	r := &gate.Request{Raw: raw}
	switch {
	case verb == "PING" || verb == "ECHO":
		r.Harmless = "ping"
		return r, nil
	case verb == "SUBSCRIBE" || verb == "PSUBSCRIBE" || verb == "MONITOR" || verb == "SYNC" || verb == "PSYNC" || verb == "AUTH" || verb == "HELLO":
		return r, &gate.Denied{Status: gate.StatusDenied, Reason: verb + " is not let through"}
	}
	a := &action.Action{Verb: strings.ToLower(verb), Kinds: []action.Kind{action.DataWrite}, Payload: raw, Statement: verb, Title: verb}
	if redisReads[verb] {
		a.Kinds = []action.Kind{action.DataRead}
	}
	if len(args) > 1 {
		a.Target = string(args[1])
	}
	r.Actions = []*action.Action{a}
	return r, nil
}

func (d redis) CopyReply(c *gate.Conn, r *gate.Request) error {
	rows := r.Permit(0).Rows([]gate.Column{{Name: "value"}})
	if r.Harmless != "" {
		return copyValue(c, nil, 0)
	}
	return copyValue(c, rows, 0)
}

// copyValue copies one RESP2 value; bulk strings are masked.
func copyValue(c *gate.Conn, rows gate.Rows, depth int) error {
	line, err := readLine(c.Up)
	if err != nil {
		return err
	}
	n := 0
	if line[0] == '$' || line[0] == '*' {
		if n, err = strconv.Atoi(string(line[1 : len(line)-2])); err != nil || n > maxBulk || depth > 8 {
			return errors.New("a malformed reply")
		}
	}
	switch {
	case line[0] == '*':
		if _, err := c.Out.Write(line); err != nil {
			return err
		}
		for range n {
			if err := copyValue(c, rows, depth+1); err != nil {
				return err
			}
		}
		return nil
	case line[0] != '$' || n < 0:
		_, err = c.Out.Write(line)
		return err
	}
	v := make([]byte, n+2)
	if _, err := io.ReadFull(c.Up, v); err != nil {
		return err
	}
	v = v[:n]
	if rows != nil {
		if v, err = rows.Value(0, v); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(c.Out, "$%d\r\n%s\r\n", len(v), v)
	return err
}

func (redis) Deny(c *gate.Conn, _ *gate.Request, d *gate.Denied) error {
	_, err := fmt.Fprintf(c.Out, "-DENIED %s %s\r\n", strings.NewReplacer("\r", " ", "\n", " ").Replace(d.Reason), d.ID)
	return err
}

// readCommand reads an array of bulk strings, and its exact bytes.
func readCommand(r *bufio.Reader) (raw []byte, args [][]byte, err error) {
	n, err := readCount(r, '*', maxArgs, &raw)
	if err != nil {
		return nil, nil, err
	}
	for range n {
		size, err := readCount(r, '$', maxBulk, &raw)
		if err != nil {
			return nil, nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(r, arg); err != nil {
			return nil, nil, err
		}
		if !bytes.HasSuffix(arg, []byte("\r\n")) {
			return nil, nil, fmt.Errorf("an argument without end: %w", gate.ErrUnreadable)
		}
		raw = append(raw, arg...)
		args = append(args, arg[:size])
	}
	if len(args) == 0 {
		return nil, nil, fmt.Errorf("an empty command: %w", gate.ErrUnreadable)
	}
	return raw, args, nil
}

func readCount(r *bufio.Reader, kind byte, limit int, raw *[]byte) (int, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || line[0] != kind || n < 0 || n > limit {
		return 0, fmt.Errorf("a malformed command: %w", gate.ErrUnreadable)
	}
	*raw = append(*raw, line...)
	return n, nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || err == nil && (len(line) < 3 || line[len(line)-2] != '\r') {
		return nil, fmt.Errorf("a malformed line: %w", gate.ErrUnreadable)
	}
	return bytes.Clone(line), err
}
