package client

import (
	"context"
	"net/http"
)

// A ScanQuestion is a text, or bytes in base64, to look into. Nothing of it is kept.
type ScanQuestion struct {
	Text          string   `json:"text,omitempty"`
	Base64        string   `json:"base64,omitempty"` // instead of Text: compressed, an archive, any encoding
	Name          string   `json:"name,omitempty"`   // a file's name, by whose ending the format is told
	Format        string   `json:"format,omitempty"` // text, json, csv, tsv, sql
	Classes       []string `json:"classes,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	MinConfidence *float64 `json:"min_confidence,omitempty"` // nil: 0.5
}

// A ScanFinding is where a value is, and of what class; never the value. Offsets are in bytes.
type ScanFinding struct {
	Member     string   `json:"member"` // of an archive
	Start      int64    `json:"start"`
	End        int64    `json:"end"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	Class      string   `json:"class"`
	Group      string   `json:"group"`
	Groups     []string `json:"groups"`
	Confidence float64  `json:"confidence"`
}

// A ScanAnswer is what was found, and what was not looked into.
type ScanAnswer struct {
	Findings []ScanFinding `json:"findings"`
	Unseen   []struct {
		Member string `json:"member"`
		Why    string `json:"why"`
	} `json:"unseen"`
	More bool `json:"more"` // there are more findings than are told
}

// Scan asks which sensitive values a text holds.
func (c *Client) Scan(ctx context.Context, q ScanQuestion) (*ScanAnswer, error) {
	var out ScanAnswer
	if err := c.do(ctx, http.MethodPost, "/v1/scan", nil, q, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// A MaskQuestion is a text, or bytes in base64, to mask. Nothing of it is kept.
type MaskQuestion struct {
	Text    string            `json:"text,omitempty"`
	Base64  string            `json:"base64,omitempty"`
	Name    string            `json:"name,omitempty"`
	Format  string            `json:"format,omitempty"`
	Masks   map[string]string `json:"masks,omitempty"`   // class or group to method; nil: everything is redacted
	Columns map[string]string `json:"columns,omitempty"` // of CSV, masked whole: name to class, or ""
}

// A MaskAnswer is that text, masked.
type MaskAnswer struct {
	Text   string           `json:"text"`
	Base64 string           `json:"base64"`
	Masked map[string]int64 `json:"masked"` // values, by class
}

// Mask asks for a text with its sensitive values masked.
func (c *Client) Mask(ctx context.Context, q MaskQuestion) (*MaskAnswer, error) {
	var out MaskAnswer
	if err := c.do(ctx, http.MethodPost, "/v1/mask", nil, q, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// A FindingsReport tells what was found in something of the caller's, without values.
type FindingsReport struct {
	Source  string           `json:"source"`
	Host    string           `json:"host,omitempty"`
	Line    int64            `json:"line,omitempty"` // of the first
	Classes map[string]int64 `json:"classes"`
}

// ReportFindings puts a report into the log, where the console's activity shows it.
func (c *Client) ReportFindings(ctx context.Context, r FindingsReport) error {
	return c.do(ctx, http.MethodPost, "/v1/findings", nil, r, nil)
}
