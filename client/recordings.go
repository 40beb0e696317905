package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Recording is what one terminal showed.
type Recording struct {
	ID           string    `json:"id"`
	Began        time.Time `json:"began"`
	Actor        string    `json:"actor"`
	Subject      string    `json:"subject,omitempty"`
	Gate         string    `json:"gate"`
	Resource     string    `json:"resource"`
	User         string    `json:"user"`
	Command      string    `json:"command,omitempty"`
	Bytes        int64     `json:"bytes"`
	SHA256       string    `json:"sha256,omitempty"`        // of its file as it is now
	LoggedSHA256 string    `json:"logged_sha256,omitempty"` // when it ended
	Intact       *bool     `json:"intact,omitempty"`        // nil: the log doesn't tell
}

// Recordings returns every recording, newest first. It takes scope read or admin.
func (c *Client) Recordings(ctx context.Context) ([]Recording, error) {
	var out struct {
		Recordings []Recording `json:"recordings"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/recordings", nil, nil, &out)
	return out.Recordings, err
}

// Recording returns one, held against the log.
func (c *Client) Recording(ctx context.Context, id string) (*Recording, error) {
	var out Recording
	if err := c.do(ctx, http.MethodGet, "/v1/recordings/"+url.PathEscape(id), nil, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Cast returns the recording itself from a byte on, an asciicast of version 2. The
// caller closes it.
func (c *Client) Cast(ctx context.Context, id string, from int64) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/recordings/"+url.PathEscape(id)+"/cast", url.Values{"from": {strconv.FormatInt(from, 10)}}, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
