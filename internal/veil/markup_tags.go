package veil

import (
	"bytes"
	"html"
	"strings"
)

// Elements and attributes of a meaning, each between spaces.
const (
	voids  = " area base br col embed hr img input link meta source track wbr " // of HTML, without an end
	raws   = " script style "                                                   // of HTML, whose inside is no markup
	naming = " name key dt th "                                                 // elements that name what stands beside them
	valued = " value val v string data dd td text content "                     // elements that are named so
	namers = " name key property itemprop field "                               // attributes that name the element's value
	holds  = " value content data text default defaultvalue "                   // attributes that hold it
)

func among(list, name string) bool {
	return name != "" && strings.Contains(list, " "+strings.ToLower(name)+" ")
}

// An attribute is one of a tag: where its name and value stand in it.
type attribute struct {
	name       string
	start, end int // of the value, without quotes
}

// attributes reads those of a tag.
func attributes(t []byte) (out []attribute) {
	i := 1 + len(tagName(t[1:]))
	for i < len(t) {
		for i < len(t) && bytes.IndexByte([]byte(" \t\r\n/>"), t[i]) >= 0 {
			i++
		}
		start := i
		for i < len(t) && bytes.IndexByte([]byte(" \t\r\n/>="), t[i]) < 0 {
			i++
		}
		if i == start {
			i++
			continue
		}
		a := attribute{name: local(string(t[start:min(i, start+maxName)])), start: i, end: i}
		k := i
		for k < len(t) && bytes.IndexByte([]byte(" \t\r\n"), t[k]) >= 0 {
			k++
		}
		if k < len(t) && t[k] == '=' {
			for k++; k < len(t) && bytes.IndexByte([]byte(" \t\r\n"), t[k]) >= 0; k++ {
			}
			if k < len(t) && (t[k] == '"' || t[k] == '\'') {
				end := bytes.IndexByte(t[k+1:], t[k])
				if end < 0 {
					end = len(t) - k - 1
				}
				a.start, a.end = k+1, k+1+end
				i = min(a.end+1, len(t))
			} else {
				for i = k; i < len(t) && bytes.IndexByte([]byte(" \t\r\n>"), t[i]) < 0; i++ {
				}
				a.start, a.end = k, i
			}
		}
		out = append(out, a)
	}
	return out
}

// opens takes a start tag, and is what may be shown of it.
func (m *markup) opens(t []byte) ([]byte, error) {
	name := m.named(tagName(t[1:]))
	list := attributes(t)
	key := m.keyOf(name, t, list)
	out, at := t, 0
	for _, a := range list {
		of := ""
		switch {
		case m.key != "" && among(holds, a.name):
			of = m.key
		case key != "" && among(holds, a.name):
			of = key
		case m.values.named(a.name):
			of = a.name
		}
		shown, err := m.shown(of, t[a.start:a.end], true)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(shown, t[a.start:a.end]) {
			continue
		}
		if at == 0 {
			out = make([]byte, 0, len(t)+64)
		}
		out = append(out, t[at:a.start]...)
		if bare := a.start > 0 && t[a.start-1] != '"' && t[a.start-1] != '\''; bare && !m.fill {
			out = append(append(append(out, '"'), shown...), '"')
		} else {
			out = append(out, shown...)
		}
		at = a.end
	}
	if at > 0 {
		out = append(out, t[at:]...)
	}
	m.enters(name, key, t, list)
	return out, nil
}

// named is the name of an element: without its prefix, and in HTML without capitals.
func (m *markup) named(name string) string {
	if m.html {
		return strings.ToLower(local(name))
	}
	return local(name)
}

// keyOf is what names the value of an element: its own name, one of its attributes, or what stands beside it. "": nothing.
func (m *markup) keyOf(name string, t []byte, list []attribute) string {
	beside := m.beside
	m.beside = ""
	if m.html && (name == "tr" || name == "table") {
		m.cell = -1
		if name == "table" {
			m.heads = m.heads[:0]
		}
		return ""
	}
	if name == "th" || name == "td" {
		if m.cell++; name == "td" && beside == "" && m.cell < len(m.heads) {
			beside = m.heads[m.cell]
		}
	}
	if beside != "" && among(valued, name) {
		return beside
	}
	if !m.html && m.values.named(name) {
		return name
	}
	for _, a := range list {
		if among(namers, a.name) || m.html && name == "input" && a.name == "type" {
			if v := html.UnescapeString(string(t[a.start:min(a.end, a.start+maxName)])); m.values.named(v) {
				return v
			}
		}
	}
	return ""
}

// enters begins an element that has an end.
func (m *markup) enters(name, key string, t []byte, list []attribute) {
	if bytes.HasSuffix(t, []byte("/>")) && !m.html || m.html && among(voids, name) {
		return
	}
	if m.html && among(raws, name) {
		m.raw = "</" + strings.ToLower(name)
		return
	}
	switch {
	case m.key != "":
		if strings.EqualFold(name, m.within) {
			m.depth++
		}
	case key == "":
	case !m.html, name == "textarea", among(valued, name), holdsItem(list):
		m.key, m.within, m.depth = key, name, 1
	}
	if among(naming, name) {
		m.naming, m.said = name, m.said[:0]
	}
}

// holdsItem reports an element of microdata.
func holdsItem(list []attribute) bool {
	for _, a := range list {
		if a.name == "itemprop" {
			return true
		}
	}
	return false
}
