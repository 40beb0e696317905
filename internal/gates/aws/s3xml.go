package aws

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Requests of S3 whose body says what they do. They are read strictly: what one reader
// may pass over and another take is refused.

const (
	maxListed = 10_000 // S3 takes 1,000 keys, and 10,000 parts
	maxList   = 4 << 20
)

var errXML = errors.New("the XML of the body can't be read in one way: send the plain document that S3 describes, each element once")

// A listed is one element of a list: <Object><Key>…</Key></Object>.
type listed map[string]string

// readList reads <root><item><leaf>…</leaf></item>…<flag>…</flag></root>.
func readList(body []byte, root, item string, leaves, flags []string) (items []listed, set listed, err error) {
	if len(body) > maxList || !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return nil, nil, errXML
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = true
	var path []string
	var text strings.Builder
	var one listed
	set = listed{}
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) && len(path) == 0 && items != nil {
			return items, set, nil
		}
		if err != nil {
			return nil, nil, errXML
		}
		switch t := t.(type) {
		case xml.ProcInst:
			if d.InputOffset() > 200 || t.Target != "xml" || len(path) > 0 || items != nil {
				return nil, nil, errXML
			}
		case xml.StartElement:
			if err := opens(t, path, root, item, leaves, flags); err != nil {
				return nil, nil, err
			}
			if len(path) == 0 && items != nil {
				return nil, nil, errXML
			}
			if len(path) == 0 {
				items = []listed{}
			}
			path = append(path, t.Name.Local)
			text.Reset()
			if len(path) == 2 && t.Name.Local == item {
				one = listed{}
			}
		case xml.EndElement:
			if len(path) == 0 || path[len(path)-1] != t.Name.Local || t.Name.Space != "" {
				return nil, nil, errXML
			}
			path = path[:len(path)-1]
			switch {
			case len(path) == 2:
				if _, twice := one[t.Name.Local]; twice {
					return nil, nil, errXML
				}
				one[t.Name.Local] = text.String()
			case len(path) == 1 && t.Name.Local == item:
				if items = append(items, one); len(items) > maxListed {
					return nil, nil, errXML
				}
			case len(path) == 1:
				if _, twice := set[t.Name.Local]; twice {
					return nil, nil, errXML
				}
				set[t.Name.Local] = text.String()
			}
			text.Reset()
		case xml.CharData:
			leaf := len(path) == 3 || len(path) == 2 && path[1] != item
			if !leaf && len(bytes.TrimSpace(t)) > 0 {
				return nil, nil, errXML
			}
			text.Write(t)
		default: // comments and directives
			return nil, nil, errXML
		}
	}
}

func opens(t xml.StartElement, path []string, root, item string, leaves, flags []string) error {
	for _, a := range t.Attr {
		if a.Name.Local != "xmlns" || a.Name.Space != "" || len(path) > 0 {
			return errXML
		}
	}
	name, ok := t.Name.Local, false
	switch len(path) {
	case 0:
		ok = name == root
	case 1:
		ok = name == item || in(flags, name)
	case 2:
		ok = path[1] == item && in(leaves, name)
	}
	if !ok || t.Name.Space != "" {
		return errXML
	}
	return nil
}

func in(list []string, name string) bool {
	for _, l := range list {
		if l == name {
			return true
		}
	}
	return false
}

// A deleted is one object of a multi-delete.
type deleted struct{ Key, Version string }

// readDelete reads the body of DeleteObjects.
func readDelete(body []byte) ([]deleted, error) {
	items, set, err := readList(body, "Delete", "Object", []string{"Key", "VersionId", "ETag", "LastModifiedTime", "Size"}, []string{"Quiet"})
	if err != nil {
		return nil, err
	}
	if q := set["Quiet"]; q != "" && q != "true" && q != "false" {
		return nil, errXML
	}
	if len(items) == 0 {
		return nil, errors.New("there is no object to delete")
	}
	var list []deleted
	for _, i := range items {
		if i["Key"] == "" {
			return nil, errXML
		}
		list = append(list, deleted{i["Key"], i["VersionId"]})
	}
	return list, nil
}

// A partRef is one part that CompleteMultipartUpload names.
type partRef struct {
	Number int
	ETag   string
}

// readComplete reads the body of CompleteMultipartUpload.
func readComplete(body []byte) ([]partRef, error) {
	items, _, err := readList(body, "CompleteMultipartUpload", "Part",
		[]string{"PartNumber", "ETag", "ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256"}, nil)
	if err != nil {
		return nil, err
	}
	var list []partRef
	for i, p := range items {
		n, err := strconv.Atoi(p["PartNumber"])
		if err != nil || n < 1 || n > maxListed || i > 0 && n <= list[i-1].Number {
			return nil, fmt.Errorf("the parts of an upload must be numbered from 1 to %d, in order", maxListed)
		}
		list = append(list, partRef{n, strings.Trim(p["ETag"], `"`)})
	}
	return list, nil
}
