package mcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// askServer sends a request of our own to the server and returns its result.
func (v *conversation) askServer(ctx context.Context, method string, params []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	id := ownID + rand.Text()
	raw := object("jsonrpc", "2.0", "id", id, "method", method, "params", params)
	m, err := read(raw)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	head := v.head.Clone()
	v.mu.Unlock()
	if head == nil {
		head = http.Header{}
	}
	for name := range head {
		if strings.HasPrefix(name, headParam) || name == headName {
			delete(head, name)
		}
	}
	head.Set(headMethod, method)
	s, err := v.up.post(ctx, raw, m, head)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("the server gave no answer")
	}
	defer s.close()
	for {
		e, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("waiting for the server's answer: %w", err)
		}
		if len(e.data) == 0 {
			continue
		}
		if got, err := read(e.data); err == nil && got.response() && got.key == m.key {
			if got.fault != nil {
				return nil, fmt.Errorf("the server answered with error %s", clip(string(member(got.fault, "code")), 20))
			}
			return got.result, nil
		}
	}
}

// askClient asks the client a question of our own.
func (v *conversation) askClient(ctx context.Context, out taker, method string, params []byte) ([]byte, error) {
	id := ownID + rand.Text()
	answer := make(chan *message, 1)
	v.mu.Lock()
	if v.own == nil {
		v.own = map[string]chan *message{}
	}
	v.own["s"+id] = answer
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.own, "s"+id)
		v.mu.Unlock()
	}()
	if err := out.event(event{data: object("jsonrpc", "2.0", "id", id, "method", method, "params", params)}); err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		if m.fault != nil {
			return nil, errors.New("the client answered with an error")
		}
		return m.result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-v.ctx.Done():
		return nil, errors.New("the conversation has ended")
	}
}

// answersUs takes an answer to a question of our own.
func (v *conversation) answersUs(m *message) bool {
	if !m.response() || !strings.HasPrefix(m.key, "s"+ownID) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if answer := v.own[m.key]; answer != nil {
		delete(v.own, m.key)
		answer <- m
	}
	return true
}
