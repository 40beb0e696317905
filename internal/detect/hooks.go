package detect

// What the scanner asks at places where something could be found. A hook reads
// ahead through s.at and s.kind only, and behind no further than maxBehind bytes, so
// that a stream may be cut anywhere. It takes what it finds with s.add and
// returns where to go on, or 0 when the next is to be tried.
//
// Others stand with what they find: token (the table of tokens), numeric (a number of
// seven digits in 24 bytes, or four between three dots), assignment.

// secretAnchors are words that lead a secret, or are part of its name: three
// lower-case letters or more, in any case in the text. Each part of a word counts:
// "card", "Pass" and "word" in "cardPass_word". token is asked there too.
func secretAnchors() []string {
	return append(commandNames(), "pass", "pwd", "pswd", "kennwort", "contrasena", "senha", "motdepasse", "secret", "token", "key", "auth", "cred", "cookie", "session",
		"access", "contribsys", "apikey", "authtoken", "dbpass", "userpass", "rootpass", "adminpass", "smtppass", "identified", "private", "kind", "data", "stringdata", "atlasv", "swift", "bic")
}

// secretWord tries what the word [i, j) leads: a part of it begins with a
// secretAnchor.
func (s *scan) secretWord(i, j int) int {
	if c := s.t[i] | 0x20; c == 's' || c == 'b' { // a bank's code may have no digit
		s.leadsTo(i, j)
	}
	switch {
	case s.folded(i, j, "private"):
		if next := s.putty(i, j); next > 0 {
			return next
		}
	case s.folded(i, j, "kind"), s.folded(i, j, "data"), s.folded(i, j, "stringdata"):
		s.manifest(i, j)
		return 0
	case s.folded(i, j, "atlasv1"):
		return s.terraform(i, j)
	}
	s.command(i, j)
	s.quotedPassword(i, j)
	s.keyName(s.nameStart(i), i, j)
	return 0
}

// keyTails are what names of secrets before '=' and ':' end with: three
// lower-case letters or more, of which the last three count, in any case. Up to 12 bytes
// that are no letters may stand between the name and the '=' or ':' at which
// assignment is asked.
func keyTails() []string {
	return []string{"password", "passwd", "passphrase", "pwd", "pswd", "kennwort", "contrasena", "senha", "motdepasse", "secret", "token", "key", "auth"}
}

// assignment tries what follows the '=' or ':' at i, behind a name of a secret
// whose last part may begin with other letters: dbpassword=….
func (s *scan) assignment(i int) {
	p := i
	for p > 0 && i-p < keyBehind && kinds[s.t[p-1]]&isWord == 0 {
		p--
	}
	if start := s.nameStart(p); start < p {
		s.keyName(start, p, p)
	}
}

// keywordAnchors are words that lead an id or number: three lower-case letters
// or more, in any case in the text. Each part of a word counts, as with
// secretAnchors, but as a whole. A digit must stand within 48 bytes from the part's first letter.
func keywordAnchors() []string { return leadWords() }

// keyword tries what the word [i, j) leads: a part of it begins with a
// keywordAnchor.
func (s *scan) keyword(i, j int) int {
	s.leadsTo(i, j)
	return 0
}

// idWord tries the word [i, j) as an id of letters and digits. It is asked where the word
//   - has 16 bytes or more with a digit, and a capital or a zero before all; or
//   - begins with two letters and two digits (or one, with 16 bytes: "GB29 NWBK…", "AB1234563"); or
//   - begins as "1EG4": a digit, a capital, either of them, a digit; or
//   - has a capital next to four digits in a row ("X1234567L", "ABCDE1234F"); or
//   - is two capitals before a space and two digits ("QQ 12 34 56 C").
//
// Others need a keyword.
func (s *scan) idWord(i, j int, or uint8) int { return s.idOf(i, j, or) }
