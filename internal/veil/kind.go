package veil

import (
	"bytes"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// A kind is how a body is looked into.
type kind uint8

const (
	unknown  kind = iota // by its first bytes
	plain                // text, by what it holds
	jsonText             // by names too
	events               // server-sent events
	table                // CSV
	form                 // names and values of a form
	parts                // multipart
	xmlText              // by the names of elements and attributes too
	htmlText             // by what names a value in a page too
	yamlText             // by its keys too
	proto                // protocol buffers
	frames               // gRPC and Connect
	frames64             // gRPC-web in base64
	unseen               // images, sound, fonts
	sealed               // what can't be looked into
)

// A media is what a body says that it is.
type media struct {
	kind   kind
	typ    string
	params map[string]string
}

// kinds are those of media types that their suffix or first half does not tell.
var kinds = map[string]kind{
	"application/json": jsonText, "text/json": jsonText, "application/x-ndjson": jsonText, "application/ndjson": jsonText, "application/jsonl": jsonText,
	"application/jsonlines": jsonText, "application/x-jsonlines": jsonText, "application/json-seq": jsonText, "application/json-lines": jsonText, "application/stream+json": jsonText,
	"application/x-amz-json-1.0": jsonText, "application/x-amz-json-1.1": jsonText, "application/csp-report": jsonText,

	"text/event-stream": events, "text/csv": table, "text/tab-separated-values": table, "application/csv": table, "application/x-www-form-urlencoded": form,

	"application/xml": xmlText, "text/xml": xmlText, "text/html": htmlText, "application/xhtml+xml": htmlText, "text/yaml": yamlText, "text/x-yaml": yamlText, "application/javascript": plain, "application/ecmascript": plain, "application/yaml": yamlText, "application/x-yaml": yamlText,
	"application/toml": plain, "application/sql": plain, "application/graphql": plain, "application/x-sh": plain, "application/rtf": plain, "application/xml-dtd": plain,
	"application/x-javascript": plain, "application/typescript": plain, "application/x-subrip": plain, "application/pgp-signature": plain, "application/x-pem-file": plain,

	"application/protobuf": proto, "application/x-protobuf": proto, "application/proto": proto, "application/x-google-protobuf": proto,
	"application/vnd.google.protobuf": proto, "application/vnd.kubernetes.protobuf": proto,
	"application/grpc-web-text": frames64,

	"application/zip": sealed, "application/gzip": sealed, "application/x-gzip": sealed, "application/zstd": sealed, "application/x-bzip2": sealed, "application/x-xz": sealed,
	"application/x-7z-compressed": sealed, "application/vnd.rar": sealed, "application/x-rar-compressed": sealed, "application/java-archive": sealed, "application/pdf": sealed,
	"application/x-compress": sealed, "application/x-brotli": sealed, "application/x-tgz": sealed, "application/x-gtar": sealed, "application/msword": sealed,
	"application/vnd.apache.parquet": sealed, "application/vnd.apache.orc": sealed, "application/avro": sealed, "application/vnd.apache.avro": sealed,
	"application/pgp-encrypted": sealed, "application/pkcs7-mime": sealed, "application/pkcs12": sealed, "application/x-pkcs12": sealed, "application/jose": sealed,
	"application/vnd.amazon.eventstream": sealed, "application/ogg": unseen,
}

// mediaOf reads a Content-Type.
func mediaOf(header string) media {
	m := media{typ: header}
	switch header { // the usual ones, without an allocation
	case "application/json", "application/json; charset=utf-8":
		m.kind = jsonText
		return m
	}
	typ, params, err := mime.ParseMediaType(header)
	if err != nil && typ == "" {
		return media{}
	}
	m.typ, m.params = typ, params
	k, is := kinds[typ]
	first, second, _ := strings.Cut(typ, "/")
	switch {
	case is:
		m.kind = k
	case strings.HasPrefix(second, "grpc-web-text"):
		m.kind = frames64
	case second == "grpc", strings.HasPrefix(second, "grpc+"), strings.HasPrefix(second, "grpc-web"), strings.HasPrefix(second, "connect+"):
		m.kind = frames
	case strings.HasSuffix(second, "+json"), strings.HasSuffix(second, "+ndjson"):
		m.kind = jsonText
	case strings.HasSuffix(second, "+xml"):
		m.kind = xmlText
	case strings.HasSuffix(second, "+yaml"):
		m.kind = yamlText
	case first == "text", strings.HasSuffix(second, "script"):
		m.kind = plain
	case first == "multipart":
		m.kind = parts
	case strings.HasSuffix(second, "+zip"), strings.HasSuffix(second, "+gzip"), strings.HasSuffix(second, "+zstd"), strings.HasSuffix(second, ".gzip"),
		strings.HasPrefix(second, "vnd.openxmlformats-"), strings.HasPrefix(second, "vnd.oasis.opendocument."), strings.HasPrefix(second, "vnd.ms-"):
		m.kind = sealed
	case strings.HasSuffix(second, "+proto"), strings.HasSuffix(second, "+protobuf"):
		m.kind = proto
	case first == "image", first == "audio", first == "video", first == "font":
		m.kind = unseen
	}
	return m
}

// charset says whether text in it can be looked into byte by byte, or is of two bytes a character. Others can't be.
func (m *media) charset() (ok, wide bool) {
	switch c := strings.ToLower(m.params["charset"]); {
	case c == "", c == "utf-8", c == "utf8", c == "us-ascii", c == "ascii", c == "unicode-1-1-utf-8",
		strings.HasPrefix(c, "iso-8859-"), strings.HasPrefix(c, "iso8859-"), strings.HasPrefix(c, "windows-125"), strings.HasPrefix(c, "cp125"),
		strings.HasPrefix(c, "latin"), strings.HasPrefix(c, "koi8"), strings.HasPrefix(c, "gb"), c == "big5", strings.HasPrefix(c, "euc-"), c == "shift_jis", c == "shift-jis", c == "windows-31j", c == "tis-620", c == "macintosh":
		return true, false
	case strings.HasPrefix(c, "utf-16"), c == "utf16", c == "ucs-2":
		return true, true
	}
	return false, false
}

// archives are how bytes begin that can't be looked into.
var archives = []string{
	"\x1f\x8b", "PK\x03\x04", "PK\x05\x06", "\x28\xb5\x2f\xfd", "BZh", "\xfd7zXZ\x00", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07", "\x1f\x9d", "\x04\x22\x4d\x18",
	"%PDF-", "PAR1", "Obj\x01", "ORC", "Salted__", "age-encryption.org/", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "MSCF\x00", "\xff\xfe\x00\x00", "\x00\x00\xfe\xff",
}

// sees says what begins with head, whatever it says that it is. utf16: of two bytes a character, which first: big.
func (m *media) sees(head []byte) (k kind, utf16, big bool) {
	begin := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	head = head[:min(len(head), sniffed)]
	switch m.kind {
	case frames, frames64, proto, parts, sealed: // read by their own form, or not at all
		return m.kind, false, false
	}
	for _, a := range archives {
		if len(head) >= len(a) && string(head[:len(a)]) == a && (len(a) > 3 || !isWords(head)) {
			return sealed, false, false
		}
	}
	if m.kind == unseen && shown(head) {
		return unseen, false, false
	}
	_, wide := m.charset()
	switch like, largest := twoByte(head); {
	case len(head) >= 2 && head[0] == 0xff && head[1] == 0xfe:
		return m.kind, true, false
	case len(head) >= 2 && head[0] == 0xfe && head[1] == 0xff:
		return m.kind, true, true
	case like:
		return m.kind, true, largest
	case wide: // or not, as it seems
		return sealed, false, false
	}
	switch {
	case m.kind == jsonText, len(begin) > 0 && (begin[0] == '{' || begin[0] == '['), strings.HasSuffix(m.typ, "script") && called.Match(begin[:min(len(begin), sniffed)]):
		return jsonText, false, false // what isn't is looked at as text, all the same
	case (m.kind == plain || m.kind == unknown) && !strings.HasSuffix(m.typ, "script") && isMarkup(begin) && isWords(head):
		return markupOf(begin), false, false
	case m.kind != unknown && m.kind != unseen:
		return m.kind, false, false
	case isWords(head):
		return plain, false, false
	}
	return unknown, false, false // as bytes
}

// called is a function that is called with JSON.
var called = regexp.MustCompile(`^(/\*\*/)?\s*[A-Za-z_$][\w.$]{0,99}\s*\(\s*[\[{]`)

// isMarkup says that a text begins as XML or HTML does.
func isMarkup(begin []byte) bool {
	return len(begin) > 1 && begin[0] == '<' && (isLetter(begin[1]) || begin[1] == '!' || begin[1] == '?')
}

func markupOf(begin []byte) kind {
	head := strings.ToLower(string(begin[:min(len(begin), sniffed)]))
	if strings.HasPrefix(head, "<!doctype html") || strings.Contains(head, "<html") || strings.HasPrefix(head, "<div") || strings.HasPrefix(head, "<p>") || strings.HasPrefix(head, "<table") || strings.HasPrefix(head, "<form") {
		return htmlText
	}
	return xmlText
}

// isWords says that head may be text.
func isWords(head []byte) bool {
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b {
			return false
		}
	}
	return true
}

// shown says that head begins an image, sound or font.
func shown(head []byte) bool {
	begins := func(magic ...string) bool {
		for _, m := range magic {
			if len(head) >= len(m) && string(head[:len(m)]) == m {
				return true
			}
		}
		return false
	}
	if isWords(head) {
		return false
	}
	switch typ, _, _ := strings.Cut(http.DetectContentType(head), "/"); typ {
	case "image", "audio", "video", "font":
		return true
	}
	return len(head) > 12 && string(head[4:8]) == "ftyp" || begins("OggS", "fLaC", "ID3", "\xff\xfb", "\xff\xf3", "\xff\xf1", "\xff\xf9", "wOFF", "wOF2", "\x00\x01\x00\x00\x00", "OTTO", "ttcf",
		"\x00\x00\x01\x00", "II*\x00", "MM\x00*", "BM", "RIFF", "\xff\x0a", "\x00\x00\x00\x0cJXL ", "\x1aE\xdf\xa3", "G@", "\x00\x00\x01\xba", "\x00\x00\x01\xb3")
}

// twoByte says that head looks like UTF-16 without its mark: mostly zeros at one of two places.
func twoByte(head []byte) (is, big bool) {
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	pairs := len(head) / 2
	switch {
	case pairs < 2:
	case zeros[1]*2 > pairs && zeros[0]*20 < pairs:
		return true, false
	case zeros[0]*2 > pairs && zeros[1]*20 < pairs:
		return true, true
	}
	return false, false
}
