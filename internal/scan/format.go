package scan

import (
	"bytes"
	"path"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

// A Format is how a text is laid out: where names stand, and the values under them.
type Format string

// The formats. Of text, nothing is known.
const (
	Text Format = "text"
	JSON Format = "json" // one value, or one a line, or any number
	CSV  Format = "csv"  // with names in its first line, and whatever separator stands there
	TSV  Format = "tsv"
	SQL  Format = "sql" // statements that fill tables: INSERT, and COPY of pg_dump
)

// Valid reports whether f is one of them, or "".
func (f Format) Valid() bool {
	switch f {
	case "", Text, JSON, CSV, TSV, SQL:
		return true
	}
	return false
}

// fields returns what finds names in a format; nil when there are none.
func (f Format) fields(e *detect.Engine) fields {
	switch f {
	case JSON:
		return &jsonFields{engine: e}
	case CSV:
		return &csvFields{engine: e}
	case TSV:
		return &csvFields{engine: e, comma: '\t'}
	case SQL:
		return newSQL(e)
	}
	return nil
}

// formatOf tells by a file's name, else by how it begins.
func formatOf(name string, head []byte) Format {
	if k := strings.LastIndexByte(name, '!'); k >= 0 {
		name = name[k+1:]
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".json", ".jsonl", ".ndjson", ".geojson", ".har", ".ipynb":
		return JSON
	case ".csv":
		return CSV
	case ".tsv", ".tab":
		return TSV
	case ".sql", ".dump", ".psql", ".mysql":
		return SQL
	case ".log", ".txt", ".md", "":
	default:
		return Text
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	head = head[:min(len(head), 8<<10)]
	switch {
	case len(head) >= 2 && (head[0] == '{' && (head[1] == '"' || head[1] <= ' ' || head[1] == '}') || head[0] == '[' && bytes.IndexByte([]byte("{[\"]\n\r "), head[1]) >= 0):
		return JSON
	case bytes.HasPrefix(head, []byte("-- MySQL dump")), bytes.HasPrefix(head, []byte("-- MariaDB dump")), bytes.Contains(head, []byte("PostgreSQL database dump")):
		return SQL
	}
	return Text
}

// A named is a class that a name says, and how surely.
type named struct {
	class detect.Class
	sure  float32
}

func nameOf(e *detect.Engine, name string, table string) (n named) {
	var sources []string
	if table != "" {
		sources = []string{table + "." + name}
	}
	n.class, n.sure = e.Column(name, sources)
	return n
}

// A value is one that is being read: where it began, and its bytes as long as they are few.
type value struct {
	start  int64
	b      []byte
	long   bool
	pieces bool // a long one is judged piece by piece
}

func (v *value) begin(at int64) { v.start, v.b, v.long = at, v.b[:0], false }

// add takes the next byte, and reports that a piece is full.
func (v *value) add(c byte) bool {
	if len(v.b) >= maxValue {
		v.long = true
		return false
	}
	v.b = append(v.b, c)
	return v.pieces && len(v.b) == maxValue
}
