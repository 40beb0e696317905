package detect

// A marked form is told by what stands inside it or at its end.
type markedForm struct {
	class Class
	lead  string // {…} as in form, at most one run; what the word it begins with is
	shape string // what follows
	mark  byte   // the byte behind the word
	size  int    // bytes of the word; 0: any
	from  source
}

// markedTable lists them, one line each, sorted by class.
var markedTable = []markedForm{
	{class: "azure-key", lead: "", shape: "(see azureMarks)", from: provider},
	{class: "discord-token", lead: "{a23-28}", shape: ".{k6}.{k27-38}", mark: '.', from: provider},
	{class: "facebook-token", lead: "{d15-16}", shape: "|{k27-40}", mark: '|', from: gitleaks},
	{class: "mailchimp-token", lead: "{x32}", shape: "-us{d1-2}", mark: '-', size: 32, from: gitleaks},
	{class: "maxmind-token", lead: "{a6}_{a29}_mmk", size: 40, from: gitleaks},
	{class: "newrelic-token", lead: "{l32}FFFFNRAL", size: 40, from: trufflehog},
	{class: "telegram-token", lead: "{d8-10}", shape: ":A{k34}", mark: ':', from: gitleaks},
	{class: "terraform-token", lead: "{a14}", shape: ".atlasv1.{e60-70}", mark: '.', size: 14, from: gitleaks},
}

// markedForms are the table made ready: the runs of the word, and those behind it.
var markedForms = func() [][2][]run {
	out := make([][2][]run, len(markedTable))
	for i := range markedTable {
		m := &markedTable[i]
		for k, shape := range [2]string{m.lead, m.shape} {
			if shape != "" && shape[0] == m.mark {
				out[i][k], shape = append(out[i][k], run{lit: shape[:1]}), shape[1:]
			}
			f := ready(&form{class: m.class, shape: "\x00" + shape, from: m.from})
			lit := f.lead[min(1, len(f.lead)):]
			if lit != "" {
				out[i][k] = append(out[i][k], run{lit: lit})
			}
			out[i][k] = append(out[i][k], f.runs...)
		}
	}
	return out
}()

// marked tries the forms with a mark inside at the word [i, j). It returns the
// end of what was found, or 0.
func (s *scan) marked(i, j int) int {
	n := j - i
	if n < 8 || n > 40 {
		return 0
	}
	for k := range markedTable {
		m := &markedTable[k]
		if m.class == "terraform-token" || m.size != 0 && n != m.size || m.size == 0 && m.mark == 0 || m.mark != 0 && s.at(j) != m.mark || m.mark == 0 && s.t[j-1] != m.lead[len(m.lead)-1] {
			continue
		}
		f := &markedForms[k]
		if s.runs(i, f[0]) != j {
			continue
		}
		end := j
		if len(f[1]) > 0 {
			if end = s.runs(j, f[1]); end == 0 {
				continue
			}
		}
		v := s.t[i:end]
		if s.kind(end)&isWord != 0 || filled(v) || entropy(v) < 3 {
			continue
		}
		if m.class == "discord-token" && (s.t[i] < 'M' || s.t[i] > 'O' || !random(s.t[j+1:end], false)) {
			continue
		}
		s.add(i, end, m.class, 0.9)
		return end
	}
	return 0
}

// terraform tries a token whose middle is the word [i, j), atlasv1.
func (s *scan) terraform(i, j int) int {
	if i < 15 || s.t[i-1] != '.' || s.at(j) != '.' {
		return 0
	}
	word := i - 15
	if s.runs(word, terraformForm[0]) != i-1 || word > 0 && kinds[s.t[word-1]]&isWord != 0 {
		return 0
	}
	end := s.runs(i-1, terraformForm[1])
	if end == 0 || entropy(s.t[j:end]) < 3 || filled(s.t[word:end]) {
		return 0
	}
	s.add(word, end, "terraform-token", 0.95)
	return end
}

var terraformForm = markedForms[len(markedForms)-1]

// azureAD tries a client secret of Microsoft Entra that the run at i is part of:
// three characters, a digit, Q and a tilde, 31 to 34 characters behind it.
func (s *scan) azureAD(i int) int {
	j := i - 1
	for ; j > 4 && i-j < 24 && (s.t[j] != '~' || s.t[j-1] != 'Q' || kinds[s.t[j-2]]&isDigit == 0); j-- {
		if c := s.t[j]; kinds[c]&isWord == 0 && c != '.' && c != '~' && c != '-' {
			return 0
		}
	}
	if j <= 4 || i-j >= 24 {
		return 0
	}
	start := j - 2
	for start > 0 && j-start < 5 && (kinds[s.t[start-1]]&isWord != 0 || s.t[start-1] == '.') {
		start--
	}
	p := j + 1
	for p-j <= 35 && (s.kind(p)&isWord != 0 || s.at(p) == '~' || s.at(p) == '.' || s.at(p) == '-') {
		p++
	}
	for p > j && (s.t[p-1] == '.' || s.t[p-1] == '-') && p-j-1 > 31 {
		p-- // the end of a sentence
	}
	if n := p - j - 1; n < 31 || n > 34 || j-start < 4 || entropy(s.t[j+1:p]) < 3 || filled(s.t[j+1:p]) {
		return 0
	}
	if c := s.before(start); c != 0 && !edge(c) && c != '~' {
		return 0
	}
	s.add(start, p, "azure-key", 0.9)
	return p
}

// azureMarks are what Microsoft writes into the keys it makes, so that they can
// be told: how long the key is in base64 without padding, where the mark stands, the mark.
var azureMarks = [...]struct {
	n, at int
	mark  string
}{
	{43, 33, "+AEh"},
	{43, 33, "+ARm"},
	{43, 33, "+ASb"},
	{43, 33, "AIoT"},
	{43, 33, "AzCa"},
	{52, 42, "+ACR"},
	{52, 42, "AzSe"},
	{54, 44, "AzFu"},
	{84, 52, "JQQJ99"},
	{86, 76, "+ABa"},
	{86, 76, "+AMC"},
	{86, 76, "+ASt"},
	{86, 76, "ACDb"},
	{86, 76, "APIM"},
}

// azure tries a key with one of Microsoft's marks in the run of base64 at i.
func (s *scan) azure(i int) int {
	n := 0
	for n <= 86 && s.kind(i+n)&isB64 != 0 {
		n++
	}
	if n < 43 || n > 86 {
		return 0
	}
	for _, m := range azureMarks {
		if n == m.n && string(s.t[i+m.at:i+m.at+len(m.mark)]) == m.mark {
			end := i + n
			for end-i-n < 2 && s.at(end) == '=' {
				end++
			}
			s.add(i, end, "azure-key", 0.95)
			return end
		}
	}
	return 0
}
