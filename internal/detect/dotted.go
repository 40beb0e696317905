package detect

import (
	"bytes"
	"strings"
)

// ip4 tries four groups of 0 to 255. Loopback, netmasks and versions are no finding.
func (s *scan) ip4(num *number) int {
	if num.plus || num.groups < 4 || num.seps[1] != '.' || num.seps[2] != '.' || num.seps[3] != '.' {
		return 0
	}
	if num.groups > 4 && num.seps[4] == '.' {
		return 0
	}
	at := 0
	var part [4]int
	for g := range 4 {
		size := int(num.sizes[g])
		if size > 3 {
			return 0
		}
		for k := range size {
			part[g] = part[g]*10 + int(num.d[at+k])
		}
		if part[g] > 255 {
			return 0
		}
		at += size
	}
	if !num.group[at-1] {
		return 0
	}
	end := num.end[at-1]
	if part[0] == 127 || part[0] == 0 || part[0] == 255 || s.near(num.start, -1, "version") || s.edition(num.start, end, part) {
		return end
	}
	s.add(num.start, end, IP, 0.85)
	return end
}

// speakOfIP are words before an address.
const speakOfIP = " ip ips ipv addr addrs address addresses host hosts server servers client peer dns ping ssh curl gateway nameserver proxy route subnet remote source src dst dest destination listen bind endpoint login logged access connect connected connection session request "

// speakOfSections are words before the number of a section.
const speakOfSections = " section sections sect sec chapter chapters clause paragraph appendix rfc abschnitt kapitel anhang abschnitte sección capítulo apartado sezione capitolo seção capítulo secció chapitre annexe hoofdstuk sectie paragraaf avsnitt avdeling seksjon afsnit kappale luku rozdział kapitola oddíl odjeljak bölüm kesim раздел глава "

// edition reports small numbers between dots, as editions of software and sections of
// documents have them, where nothing speaks of an address.
func (s *scan) edition(start, end int, part [4]int) bool {
	if max(part[0], part[1], part[2]) >= 100 {
		return false
	}
	if part[3] >= 100 {
		return part[0] < 100 && part[0] != 10 && s.glued(start)
	}
	named := s.at(end) == '"' && start >= 7 && string(s.t[start-7:start]) == `title="`
	if named && part[0] != 10 || s.heading(start, end) || s.glued(start) || part[1] > 0 && max(part[1], part[2], part[3]) <= 20 && s.titled(start, end) {
		return true
	}
	if c := s.at(end); (c == ':' || c == '/') && s.kind(end+1)&isDigit != 0 || (c == 0 || c == '"' || c == '\'' || c == '`') && s.before(start) == c {
		return false // or it stands alone
	}
	spoken, section, last := false, false, 0
	s.words(s.said(start, end), start, func(begin, to int, w []byte) {
		// "Ssh 4.9.1.2" names the program, "ssh 8.8.8.8" calls it.
		spoken = spoken || listed(speakOfIP, w) && !(string(w) == "ssh" && isUpper(s.t[begin]) && isLower(s.t[begin+1]))
		if listed(speakOfSections, w) {
			section, last = true, to
		}
	})
	if section && len(bytes.TrimLeft(s.t[last:start], " \n")) == 0 {
		return true
	}
	small := part[0] < 20 || max(part[0], part[1], part[2], part[3]) <= 40
	return small && part[0] != 10 && (section || !spoken) || !spoken && s.series(start, end)
}

// said returns from where words before [start, end) speak of it: not those in the attributes of
// a tag, unless it is all that the tag holds.
func (s *scan) said(start, end int) int {
	lo := max(0, start-32)
	if s.before(start) == '>' && s.at(end) == '<' {
		return lo
	}
	for p := start - 1; p > lo; p-- {
		if s.t[p] == '>' && s.t[p-1] == '"' {
			return p
		}
	}
	return lo
}

// heading reports a number that a title follows, as in "9.2.1.4. Tunnels" at the beginning of
// a line, an element or an attribute, or with a line of dots or dashes under it.
func (s *scan) heading(start, end int) bool {
	if s.underlined(start, end) {
		return true
	}
	next := end + 2
	if s.at(end+1) == 0xc2 && s.at(end+2) == 0xa0 { // a space that breaks no line
		next++
	} else if s.at(end+1) != ' ' {
		return false
	}
	if s.at(end) != '.' || s.kind(next)&(isUp|isHigh) == 0 && s.at(next) != '<' {
		return false
	}
	p := start
	for p > 0 && start-p < 16 && s.t[p-1] == ' ' {
		p--
	}
	return p == 0 || s.t[p-1] == '\n' || p == start && (s.t[p-1] == '>' || s.t[p-1] == '"')
}

// underlined reports a title in a line of its own, and four or more of one mark under it.
func (s *scan) underlined(start, end int) bool {
	if start > 0 && s.t[start-1] != '\n' || s.at(end) != ' ' {
		return false
	}
	p := end
	for p-end < 80 && s.at(p) >= ' ' {
		p++
	}
	c := s.at(p + 1)
	if s.at(p) != '\n' || c == 0 || strings.IndexByte(".=-~^*", c) < 0 {
		return false
	}
	return s.at(p+2) == c && s.at(p+3) == c && s.at(p+4) == c
}

// titled reports a word with a capital and the number, and nothing else, in an element or in quotes, as
// lists of editions have them: >SSL 10.3.1.2<.
func (s *scan) titled(start, end int) bool {
	if start < 3 || s.t[start-1] != ' ' || kinds[s.t[start-2]]&(isUp|isLow) == 0 {
		return false
	}
	after := s.at(end)
	if after == ' ' {
		after = s.at(end + 1)
	}
	p := start - 1
	for p > 0 && start-p < 16 && kinds[s.t[p-1]]&(isUp|isLow) != 0 {
		p--
	}
	if after != '<' && after != '"' || !isUpper(s.t[p]) || p == 0 || s.t[p-1] != '>' && s.t[p-1] != '"' && s.t[p-1] != ' ' {
		return false
	}
	spoken := false
	s.words(p, start-1, func(_, _ int, w []byte) { spoken = listed(speakOfIP, w) && string(w) != "ssh" })
	return !spoken
}

// glued reports that a dash joins the number at start to a word that speaks of no address:
// ssl-10.3.1.2, id-1.14.8.15.
func (s *scan) glued(start int) bool {
	if start < 2 || s.t[start-1] != '-' || kinds[s.t[start-2]]&(isUp|isLow) == 0 {
		return false
	}
	spoken := false
	s.words(max(0, start-16), start-1, func(_, to int, w []byte) {
		spoken = spoken || to == start-1 && (listed(speakOfIP, w) && string(w) != "ssh" || listed(" node vm web db app worker master box pc ec ", w))
	})
	return !spoken
}

// series reports a number of other length between dots beside [start, end), as rows of such numbers have it,
// with a count of one or two digits between or not.
func (s *scan) series(start, end int) bool {
	p := end
	for range 2 {
		from := p
		for p-from < 4 && s.at(p) == ' ' {
			p++
		}
		q, dots := p, 0
		for q-p < 40 && (s.kind(q)&isDigit != 0 || s.at(q) == '.' && s.kind(q+1)&isDigit != 0) {
			if s.t[q] == '.' {
				dots++
			}
			q++
		}
		if p > from && dots > 1 && dots != 3 && s.kind(q)&isWord == 0 {
			return true
		}
		if p == from || dots > 0 || q-p > 2 {
			break
		}
		p = q
	}
	p = start
	for range 2 {
		to := p
		for p > 0 && to-p < 4 && s.t[p-1] == ' ' {
			p--
		}
		q, dots := p, 0
		for q > 0 && p-q < 16 && (kinds[s.t[q-1]]&isDigit != 0 || s.t[q-1] == '.' && q < p) {
			q--
			if s.t[q] == '.' {
				dots++
			}
		}
		if p < to && dots > 1 && dots != 3 && p-q < 16 && (q == 0 || kinds[s.t[q-1]]&isWord == 0) {
			return true
		}
		if p == to || dots > 0 || p-q > 2 {
			break
		}
		p = q
	}
	return false
}
