package webwire

// Bounds of one request's head that net/http does not set.
const (
	maxMethod    = 32
	maxAuthority = 261 // a name of 255 bytes and a port
	maxFields    = 256
	maxDigits    = 18 // of a length: it always fits
	maxHex       = 15
	maxExtension = 256  // of one chunk
	maxTrailer   = 2048 // net/http has no more room than 4096
)

// state is where in a request the machine is.
type state uint8

const (
	stPreface   state = iota // the first bytes of a connection that may be HTTP/2's
	stMethod                 // and the first byte of a request
	stTarget                 // origin-form or *
	stScheme                 // of absolute-form, up to ://
	stAuthor                 // the authority of absolute-form or CONNECT
	stVersion                // HTTP/1.x
	stVersionLF              // after its CR
	stField                  // the first byte of a field line
	stName                   // in a field's name
	stBefore                 // white space before a value
	stValue                  // in a value that means nothing here
	stHost                   // in the value of Host
	stLength                 // of Content-Length
	stCoding                 // of Transfer-Encoding
	stAfter                  // white space after one of those
	stValueLF                // after a value's CR
	stHeadLF                 // after the CR of the empty line
	stBody                   // a body with a length
	stSize                   // a chunk's size
	stExtension
	stSizeLF
	stChunk
	stChunkCR
	stChunkLF
	stPast // everything passes: HTTP/2, or a connection that was taken over
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Classes of bytes, by the grammars of RFC 9110 and 9112.
const (
	isToken = 1 << iota
	isText  // of a field's value: no control but TAB
	isHost
)

var class = func() (t [256]uint8) {
	for c := range t {
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if alnum || c < 128 && indexOf("!#$%&'*+-.^_`|~", byte(c)) >= 0 {
			t[c] |= isToken
		}
		if c >= 0x20 && c != 0x7f || c == '\t' {
			t[c] |= isText
		}
		if alnum || c < 128 && indexOf(".-_:[]~", byte(c)) >= 0 {
			t[c] |= isHost
		}
	}
	return t
}()

func indexOf(s string, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// machine reads the framing of HTTP/1 requests as they pass. It keeps a name of at most 24 bytes and an authority,
// and nothing else of what it has seen.
type machine struct {
	state   state
	next    state // after white space: which value
	at      int   // how far in a fixed text, a number, an extension
	left    int64 // of a body or a chunk
	length  int64
	fields  int
	trailer int // bytes of the trailer section; 0: in the head
	hosts   uint8
	minor   byte // '0' or '1'
	has     struct{ length, coding, upgrade, connect, origin, mismatch bool }
	// switched: the request asked to leave HTTP/1, so the byte after it may belong to another protocol.
	switched bool
	nameLen  int // longer than name: a name of no interest
	name     [24]byte
	authLen  int
	auth     [maxAuthority]byte
}

// reset makes m ready for the next request.
func (m *machine) reset() {
	m.state, m.at, m.left, m.length, m.fields, m.trailer, m.hosts = stMethod, 0, 0, 0, 0, 0, 0
	m.switched = m.has.upgrade || m.has.connect
	m.has.length, m.has.coding, m.has.upgrade, m.has.connect, m.has.origin, m.has.mismatch = false, false, false, false, false, false
	m.nameLen, m.authLen = 0, 0
}

// feed reads p and says how many bytes of it may go on. It stops behind a request that asked to leave HTTP/1, with
// switched set; whoever knows what follows resets it.
func (m *machine) feed(p []byte) (int, *Refusal) {
	for i := 0; i < len(p); {
		if m.switched {
			return i, nil
		}
		switch m.state {
		case stPast:
			return len(p), nil
		case stBody, stChunk:
			n := min(int64(len(p)-i), m.left)
			i, m.left = i+int(n), m.left-n
			if m.left == 0 {
				if m.state == stChunk {
					m.state = stChunkCR
				} else {
					m.reset()
				}
			}
		case stTarget:
			for i < len(p) && p[i] > ' ' && p[i] != 0x7f {
				i++
			}
			if i < len(p) {
				if p[i] != ' ' {
					return i, refuse("a control character in the request line")
				}
				m.state, m.at, i = stVersion, 0, i+1
			}
		case stValue:
			from := i
			for i < len(p) && class[p[i]]&isText != 0 {
				i++
			}
			if m.trailer > 0 {
				if m.trailer += i - from; m.trailer > maxTrailer {
					return from, refuse("trailers that are too long")
				}
			}
			if i < len(p) {
				if p[i] != '\r' {
					return i, control(p[i])
				}
				m.state, i = stValueLF, i+1
			}
		case stName:
			from := i
			for i < len(p) && class[p[i]]&isToken != 0 {
				if m.nameLen < len(m.name) {
					m.name[m.nameLen] = lower(p[i])
				}
				m.nameLen++
				i++
			}
			if m.trailer > 0 {
				if m.trailer += i - from; m.trailer > maxTrailer {
					return from, refuse("trailers that are too long")
				}
			}
			if i < len(p) {
				if p[i] != ':' {
					return i, refuse("a header's name with white space or a character that no name has")
				}
				if bad := m.named(); bad != nil {
					return i, bad
				}
				i++
			}
		default:
			if bad := m.step(p[i]); bad != nil {
				return i, bad
			}
			i++
		}
	}
	return len(p), nil
}

// step reads one byte where they are few.
func (m *machine) step(b byte) *Refusal {
	switch m.state {
	case stPreface:
		return m.stepPreface(b)
	case stMethod, stScheme, stAuthor, stVersion, stVersionLF:
		return m.stepLine(b)
	case stSize, stExtension, stSizeLF, stChunkCR, stChunkLF:
		return m.stepChunk(b)
	default:
		return m.stepField(b)
	}
}

// stepPreface follows the preface of HTTP/2 as far as it goes, and reads it as a request where it ends.
func (m *machine) stepPreface(b byte) *Refusal {
	if b == preface[m.at] {
		if m.at++; m.at == len(preface) {
			m.state = stPast
		}
		return nil
	}
	seen := m.at
	m.reset()
	for i := range seen {
		if bad := m.one(preface[i]); bad != nil {
			return bad
		}
	}
	return m.one(b)
}

func (m *machine) one(b byte) *Refusal {
	_, bad := m.feed([]byte{b})
	return bad
}

func (m *machine) stepLine(b byte) *Refusal {
	switch m.state {
	case stMethod:
		switch {
		case b >= 'A' && b <= 'Z' || b == '-' && m.nameLen > 0:
			if m.nameLen == maxMethod {
				return refuse("a method that is too long")
			}
			if m.nameLen < len(m.name) {
				m.name[m.nameLen] = b
			}
			m.nameLen++
		case b == ' ' && m.nameLen > 0:
			m.has.connect = m.nameLen == 7 && string(m.name[:7]) == "CONNECT"
			m.state, m.at = stScheme, 0
			if m.has.connect {
				m.state = stAuthor
			}
		default:
			return refuse("no method where a request begins")
		}
	case stScheme: // m.at: how far in "://", which follows a scheme of letters
		switch {
		case m.at == 0 && m.authLen == 0 && (b == '/' || b == '*'):
			m.has.origin, m.state = true, stTarget
		case m.at == 0 && (b|0x20 >= 'a' && b|0x20 <= 'z') && m.authLen < 8:
			m.authLen++
		case b == "://"[m.at] && m.authLen > 0:
			if m.at++; m.at == 3 {
				m.state, m.authLen = stAuthor, 0
			}
		default:
			return refuse("a target that is neither a path nor an address")
		}
	case stAuthor:
		switch {
		case class[b]&isHost != 0:
			if m.authLen == maxAuthority {
				return refuse("a host that is too long")
			}
			m.auth[m.authLen] = lower(b)
			m.authLen++
		case m.authLen == 0:
			return refuse("a target without a host")
		case b == ' ':
			m.state, m.at = stVersion, 0
		case (b == '/' || b == '?') && !m.has.connect:
			m.state = stTarget
		default:
			return refuse("a host with a character that no host has")
		}
	case stVersion:
		switch {
		case m.at < 7 && b == "HTTP/1."[m.at]:
			m.at++
		case m.at == 7 && (b == '0' || b == '1'):
			m.minor = b
			m.at++
		case m.at == 8 && b == '\r':
			m.state = stVersionLF
		default:
			return refuse("a request line that does not end in HTTP/1.1")
		}
	case stVersionLF:
		if b != '\n' {
			return refuse("a CR without LF")
		}
		m.state = stField
	}
	return nil
}

func (m *machine) stepField(b byte) *Refusal {
	if m.trailer > 0 {
		if m.trailer++; m.trailer > maxTrailer {
			return refuse("trailers that are too long")
		}
	}
	switch m.state {
	case stField:
		switch {
		case b == '\r':
			m.state = stHeadLF
		case b == ' ' || b == '\t':
			return refuse("a header over several lines")
		case class[b]&isToken == 0:
			return control(b)
		default:
			if m.fields++; m.fields > maxFields {
				return refuse("too many headers")
			}
			m.state, m.name[0], m.nameLen = stName, lower(b), 1
		}
	case stBefore:
		if b == ' ' || b == '\t' {
			return nil
		}
		m.state, m.at = m.next, 0
		if m.state == stValue {
			if b == '\r' {
				m.state = stValueLF
			} else if class[b]&isText == 0 {
				return control(b)
			}
			return nil
		}
		return m.stepMeaning(b)
	case stHost, stLength, stCoding, stAfter:
		return m.stepMeaning(b)
	case stValueLF:
		if b != '\n' {
			return refuse("a CR without LF")
		}
		m.state = stField
	case stHeadLF:
		if b != '\n' {
			return refuse("a CR without LF")
		}
		return m.headEnds()
	}
	return nil
}

// stepMeaning reads the values that say whose request this is and where it ends.
func (m *machine) stepMeaning(b byte) *Refusal {
	switch m.state {
	case stHost:
		switch {
		case class[b]&isHost != 0:
			if m.at == maxAuthority {
				return refuse("a host that is too long")
			}
			m.has.mismatch = m.has.mismatch || m.at >= m.authLen || m.auth[m.at] != lower(b)
			m.at++
		case b == '\r' && m.at > 0:
			if !m.has.origin && !m.sameHost() {
				return refuse("a target and a Host that disagree")
			}
			m.state = stValueLF
		default:
			return refuse("a Host that is empty or no host")
		}
	case stLength:
		switch {
		case b >= '0' && b <= '9':
			if m.at++; m.at > maxDigits {
				return refuse("a Content-Length that is too long")
			}
			m.length = m.length*10 + int64(b-'0')
		case m.at == 0:
			return refuse("a Content-Length that is not digits")
		default:
			m.state = stAfter
			return m.stepMeaning(b)
		}
	case stCoding:
		if m.at < 7 {
			if lower(b) != "chunked"[m.at] {
				return refuse("a Transfer-Encoding other than chunked")
			}
			m.at++
			return nil
		}
		m.state = stAfter
		return m.stepMeaning(b)
	case stAfter:
		switch b {
		case ' ', '\t':
		case '\r':
			m.state = stValueLF
		default:
			return refuse("a length or a transfer coding with something after it")
		}
	}
	return nil
}

// sameHost compares Host with a target that names one. Clients leave the port out of Host where it is 80, and where
// they ask for a tunnel.
func (m *machine) sameHost() bool {
	if m.at == m.authLen || m.has.mismatch {
		return !m.has.mismatch
	}
	if m.auth[m.at] != ':' {
		return false
	}
	port := m.auth[m.at+1 : m.authLen]
	if !m.has.connect {
		return string(port) == "80"
	}
	for _, b := range port {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// named looks at a field's name, which has ended.
func (m *machine) named() *Refusal {
	m.state, m.next = stBefore, stValue
	if m.trailer > 0 {
		if forbiddenTrailer(m.name[:min(m.nameLen, len(m.name))]) {
			return refuse("a trailer that only a head may have")
		}
		return nil
	}
	if m.nameLen > len(m.name) {
		return nil
	}
	switch string(m.name[:m.nameLen]) {
	case "host":
		if m.hosts++; m.hosts > 1 {
			return refuse("two Host headers")
		}
		m.next, m.has.mismatch = stHost, false
	case "content-length":
		if m.has.length {
			return refuse("two lengths")
		}
		m.next, m.has.length = stLength, true
	case "transfer-encoding":
		if m.has.coding {
			return refuse("two transfer codings")
		}
		m.next, m.has.coding = stCoding, true
	case "upgrade":
		m.has.upgrade = true
	case "content_length", "transfer_encoding", "http_host":
		return refuse("a header that some servers take for one of framing")
	}
	return nil
}

// forbiddenTrailer tells names by which a request is framed, routed or authorised (RFC 9110 §6.5.1). A name that
// was cut is compared as far as it was kept: no name below is that long.
func forbiddenTrailer(name []byte) bool {
	switch string(name) {
	case "host", "content-length", "transfer-encoding", "content_length", "transfer_encoding", "connection", "upgrade",
		"trailer", "te", "expect", "authorization", "proxy-authorization", "cookie", "content-type", "content-encoding",
		"content-range", "range", "keep-alive", "proxy-connection", "max-forwards", "cache-control":
		return true
	}
	return false
}

// headEnds sees whether what the head said goes together, and where the body ends.
func (m *machine) headEnds() *Refusal {
	switch {
	case m.trailer > 0:
		m.reset()
		return nil
	case m.hosts == 0 && (m.minor == '1' || m.has.origin):
		return refuse("no Host")
	case m.has.coding && m.has.length:
		return refuse("a length and a transfer coding")
	case m.has.coding && m.minor == '0':
		return refuse("a transfer coding in HTTP/1.0")
	case m.has.connect && (m.has.coding || m.has.length && m.length > 0):
		return refuse("a CONNECT with a body")
	case m.has.coding:
		m.state, m.at, m.left = stSize, 0, 0
	case m.length > 0:
		m.state, m.left = stBody, m.length
	default:
		m.reset()
	}
	return nil
}

func (m *machine) stepChunk(b byte) *Refusal {
	switch m.state {
	case stSize:
		if d := unhex(b); d >= 0 {
			if m.at++; m.at > maxHex {
				return refuse("a chunk's size that is too long")
			}
			m.left = m.left<<4 | int64(d)
			return nil
		}
		switch {
		case m.at == 0:
			return refuse("a chunk without a size")
		case b == ';':
			m.state, m.at = stExtension, 0
		case b == '\r':
			m.state = stSizeLF
		default:
			return refuse("a chunk's size that is not hexadecimal")
		}
	case stExtension:
		switch {
		case b == '\r':
			m.state = stSizeLF
		case class[b]&isText == 0:
			return control(b)
		default:
			if m.at++; m.at > maxExtension {
				return refuse("a chunk's extension that is too long")
			}
		}
	case stSizeLF:
		if b != '\n' {
			return refuse("a CR without LF")
		}
		if m.state = stChunk; m.left == 0 {
			m.state, m.trailer, m.fields = stField, 1, 0
		}
	case stChunkCR:
		if b != '\r' {
			return refuse("a chunk that is longer than its size")
		}
		m.state = stChunkLF
	case stChunkLF:
		if b != '\n' {
			return refuse("a CR without LF")
		}
		m.state, m.at, m.left = stSize, 0, 0
	}
	return nil
}

// between says that a request has ended and no other has begun.
func (m *machine) between() bool { return m.state == stMethod && m.nameLen == 0 && !m.switched }

// inBody says that a body has begun and not ended.
func (m *machine) inBody() bool { return m.state >= stBody && m.state < stPast || m.trailer > 0 }

func control(b byte) *Refusal {
	switch b {
	case 0:
		return refuse("a NUL")
	case '\n':
		return refuse("a LF without CR")
	}
	return refuse("a control character or a name that is none in a header")
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func unhex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}
