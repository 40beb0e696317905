package detect

import (
	"bytes"
	"strings"
)

// A strength tells what kind of secret a name speaks of.
type strength uint8

const (
	nothing  strength = iota
	weak              // key, auth, session: the value must look drawn
	secret            // token, secret, api key: the value must not be words
	password          // any value, but for placeholders
)

// maxName is the longest name that is looked at.
const maxName = 72

// A label is a name in lower case, its words apart: " db password ".
type label struct {
	b [maxName*2 + 2]byte
	n int
}

func (l *label) text() []byte { return l.b[:l.n] }

func (l *label) put(c byte) {
	if l.n < len(l.b) {
		l.b[l.n] = c
		l.n++
	}
}

// label takes the name in [i, j) apart, at separators and humps.
func (s *scan) label(i, j int, l *label) {
	l.n = 0
	l.put(' ')
	for p := i; p < j; p++ {
		c := s.t[p]
		switch {
		case isUpper(c):
			if p > i && (isLower(s.t[p-1]) || isUpper(s.t[p-1]) && p+1 < j && isLower(s.t[p+1]) && !(p+2 == j && s.t[p+1] == 's')) && l.b[l.n-1] != ' ' {
				l.put(' ')
			}
			l.put(c | 0x20)
		case isLower(c), kinds[c]&isDigit != 0:
			l.put(c)
		case l.b[l.n-1] != ' ':
			l.put(' ')
		}
	}
	if l.b[l.n-1] != ' ' {
		l.put(' ')
	}
}

// nameStart returns where the name that ends at j begins: words with '.', '-'
// and '_' between.
func (s *scan) nameStart(j int) int {
	p := j
	for p > 0 && j-p < maxName && (kinds[s.t[p-1]]&isWord != 0 || s.t[p-1] == '-' || s.t[p-1] == '.') {
		p--
	}
	return p
}

// Endings of words that name a password or another secret.
var (
	passwordEnds = [...]string{"password", "passwd", "passphrase", "pwd", "pswd", "passwort", "kennwort", "contrasena", "senha", "motdepasse", "dbpass", "userpass", "smtppass", "rootpass", "adminpass"}
	secretEnds   = [...]string{"secret", "token", "apikey", "secretkey", "accesskey", "authkey", "privatekey", "masterkey", "encryptionkey", "signingkey", "accountkey", "sharedkey"}
)

// Words before "key" that make it a secret, and others that make it none.
const (
	secretKeyOf = " api access secret private auth master encryption signing account shared storage license service client app application webhook deploy admin ssh session consumer subscription function tenant user x aes hmac jwt cipher crypt crypto "
	openKeyOf   = " public pub websocket header entity primary foreign sort partition row cache bucket schema sequence hot idx index natural group object map dict composite unique candidate surrogate hash range lookup search translation registry product issue project short cut shortcut modifier arrow enter escape tab space any press function menu metadata label sorted nav "
	openTokenOf = " csrf xsrf public next page continuation paging cursor sync resume bos eos pad unk start end stop max min num total lexer parser syntax current last prev previous special input output prompt completion used "
)

// passOf are the words before "pass" that make it a password.
const passOf = " db database sql mysql postgres pg redis mongo rabbitmq ldap bind user login account admin root smtp imap mail email ftp sftp http https proxy ssh wifi auth basic my "

// aboutWords make a name speak about a secret instead of holding one: token_url,
// password_changed_at, key_id.
const aboutWords = " at id ids count counts sent verified confirmed enabled disabled status type types kind length len expires expired expiry expiration changed optin limit limits policy attempts " +
	"name names url uri urls endpoint file files filename path paths dir folder size sizes hash field fields column columns label labels hint placeholder title error errors message messages msg prefix suffix version format alias aliases " +
	"ring rings store storetype tab board code codes frame frames keyframe mesh meshing press pressed selector signature signatures stone up down left right event events listener handler callback provider manager service factory generator " +
	"class classes util utils helper validator map list array set index idx pair pairs usage usages ops audience issuer scope scopes ttl age rotation algorithm alg chars charset regex pattern rule rules reset required min max strength form input " +
	"page view to from by in is has need needs ref refs reference checksum chksum sum info metadata meta mode model module option options param params parameter schema source state step table tag tags target template test tests time timeout timestamp " +
	"user username email mail host port server domain realm region zone bits byte bytes num number position offset word words vault link links space spaces stack tree node nodes query queries request response result results " +
	"header headers cache lookup handling handlers management store stored saved saving support supported supports change changes changing create created update updated delete deleted remove removed rotate rotated revoked required valid invalid " +
	"only used using use uses based flow grant grants endpoint exchange introspection revocation cipher kdf derivation agreement verifier verification protected protection encoder encoding decoder decoding parser parsers lexer stream buffer budget budgets window windows per cost price prices usage embeddings embedding ids "

// fillers say nothing about what a name holds.
const fillers = " value val values str string text data env var prod production dev development staging live default raw plain plaintext clear cleartext new old current confirm confirmation do not commit main my b64 base64 hex utf8 com "

// strengthOf says what kind of secret a name speaks of.
func strengthOf(l *label) strength {
	text := l.text()
	best, before := nothing, []byte(nil)
	for len(text) > 1 {
		end := 1 + bytes.IndexByte(text[1:], ' ')
		word := text[1:end]
		text = text[end:]
		got := wordStrength(word, before)
		switch {
		case string(word) == "word" && string(before) == "pass":
			best = password
		case string(word) == "token" && string(before) == "key" && best == nothing:
			// a public key token
		case got > nothing:
			best = got
		case best == nothing || listed(fillers, word) || kindsOf(word)&isWord == isDigit:
		case listed(aboutWords, word), string(word) == "key" && listed(openKeyOf, before):
			best = nothing
		case best == password && string(before) == "pass":
			best = nothing
		case best == password:
			best = secret // password_x_y is of a password, or about one
		}
		if !listed(fillers, word) {
			before = word
		}
	}
	return best
}

// wordStrength judges one word, given the one before it.
func wordStrength(w, before []byte) strength {
	for _, e := range passwordEnds {
		if bytes.HasSuffix(w, []byte(e)) {
			return password
		}
	}
	switch string(w) {
	case "passcode", "contribsys":
		return password
	case "pass":
		if len(before) > 0 && listed(passOf, before) {
			return password
		}
		return secret // of a compiler, of a test
	case "key":
		switch {
		case len(before) == 0:
			return weak
		case listed(secretKeyOf, before):
			return secret
		case listed(openKeyOf, before):
			return nothing
		}
		return weak
	case "auth", "authorization", "credential", "credentials", "creds", "cookie", "session", "sessionid":
		return weak
	case "token":
		if len(before) > 0 && listed(openTokenOf, before) {
			return nothing
		}
	case "xsrftoken", "csrftoken", "jsonwebtoken":
		return nothing
	}
	for _, e := range secretEnds {
		if bytes.HasSuffix(w, []byte(e)) {
			return secret
		}
	}
	return nothing
}

// bare reports the name "key".
func (l *label) bare() bool { return string(l.text()) == " key " }

// speaksOf reports whether word, lower case and without separators, begins at a
// word of the label and does not end inside a later one.
func (l *label) speaksOf(word string) bool {
	text := l.text()
	for at := 0; at+1 < len(text); at++ {
		if text[at] != ' ' {
			continue
		}
		p, k, crossed := at+1, 0, false
		for k < len(word) && p < len(text) {
			switch {
			case text[p] == word[k]:
				k++
			case text[p] == ' ':
				crossed = true
			default:
				k = len(word) + 1
			}
			p++
		}
		if k == len(word) && (!crossed || p < len(text) && text[p] == ' ') {
			return true
		}
	}
	return false
}

// placeholder reports a value that stands for one: $1, ${X}, <password>, ****, null.
func placeholder(v []byte) bool {
	if strings.IndexByte("${<%?[#@", v[0]) >= 0 || len(bytes.Trim(v, "*xX.-_?")) == 0 {
		return true
	}
	for _, sealed := range [...]string{"ENC[", "ENC(", "vault:v"} {
		if bytes.HasPrefix(v, []byte(sealed)) {
			return true
		}
	}
	switch string(v) {
	case "6fe4476ee5a1832882e326b506d14126": // the key that searches Yarn's own pages
		return true
	case "null", "NULL", "none", "None", "nil", "true", "false", "True", "False", "undefined", "undef", "define", "pwd", "TRUE", "FALSE", "yes", "no", "on", "off":
		return true
	}
	if len(v) > 48 {
		return false
	}
	var low [48]byte
	n := 0
	for _, c := range v {
		if isUpper(c) {
			c |= 0x20
		}
		low[n] = c
		n++
	}
	for _, w := range [...]string{"changeme", "change_me", "change-me", "placeholder", "redacted", "your_", "your-", "yourpass", "yoursecret", "yourtoken", "yourapi", "insert_", "replace_", "replace-", "xxxxx", "example", "dummy", "insecure", "todo", "secretref", "<", "{{", "${", "%(", "$("} {
		if bytes.Contains(low[:n], []byte(w)) {
			return true
		}
	}
	return false
}

// naming reports a value that is itself a name of a secret: "password", "api_token".
func (s *scan) naming(p, q int) bool {
	var l label
	if q-p > maxName {
		return false
	}
	digits := 0
	for _, c := range s.t[p:q] {
		if kinds[c]&isDigit != 0 {
			digits++
		}
	}
	// "password_column_2" is one still.
	if digits > 0 && q-p > 12 && (digits > 2 || kindsOf(s.t[p:q])&isUnder == 0 || kinds[s.t[q-1]]&isDigit == 0) {
		return false
	}
	s.label(p, q, &l)
	text := l.text()
	for len(text) > 1 {
		end := 1 + bytes.IndexByte(text[1:], ' ')
		if listed(secretNames, text[1:end]) {
			return true
		}
		text = text[end:]
	}
	return false
}

const secretNames = " password passwords passwd passphrase pwd pass passwort secret secrets token tokens key apikey auth credential credentials "
