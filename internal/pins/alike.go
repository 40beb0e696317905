package pins

import (
	"strings"
	"unicode"

	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/show"
	"golang.org/x/text/unicode/norm"
)

// lookalikes are letters that are drawn like Latin ones, after norm.NFKC.
var lookalikes = strings.NewReplacer(
	"а", "a", "е", "e", "о", "o", "р", "p", "с", "c", "у", "y", "х", "x", "ѕ", "s", "і", "l", "ј", "j", "ԁ", "d", "һ", "h", "ԛ", "q", "ԝ", "w",
	"к", "k", "м", "m", "т", "t", "н", "h", "в", "b", "г", "r", "п", "n", "ь", "b", "ӏ", "l", "з", "3", "ո", "n", "ս", "u", "օ", "o", "հ", "h", "ց", "g", "զ", "q",
	"α", "a", "β", "b", "γ", "y", "ε", "e", "η", "n", "ι", "l", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t", "υ", "u", "χ", "x", "ω", "w", "ϲ", "c", "ϳ", "j",
	"ı", "l", "ɑ", "a", "ɡ", "g", "ʟ", "l", "ᴏ", "o", "ᴄ", "c", "ꮪ", "s", "ø", "o", "ł", "l", "đ", "d",
	"‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-", "−", "-", "﹣", "-", "․", ".", "∕", "/", "⁄", "/",
	"i", "l", "1", "l", "|", "l", "0", "o", "rn", "m", "vv", "w",
)

// Skeleton is what a name looks like: two names with one skeleton are taken for
// each other.
func Skeleton(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(name) {
		switch {
		case show.Deceiving(r) || unicode.Is(unicode.M, r) || unicode.IsSpace(r):
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	// Twice: what one pass writes may make a pair that the next one knows.
	return lookalikes.Replace(lookalikes.Replace(b.String()))
}

// deceives reports names that hide something, or mix alphabets that are drawn alike.
func deceives(name string) bool {
	var latin, other bool
	for _, r := range name {
		switch {
		case show.Deceiving(r) || unicode.IsSpace(r) || unicode.Is(unicode.M, r):
			return true
		case unicode.Is(unicode.Latin, r):
			latin = true
		case unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee):
			other = true
		}
	}
	return latin && other || norm.NFKC.String(name) != name
}

// A Suspicion is something in a definition that people should look at.
type Suspicion struct {
	What  string // in words of ours
	Holds bool   // it holds the tool at first sight
}

const longText = 16 << 10

// orders are phrases by which the text of a tool speaks to a model instead of
// describing the tool, without space and signs.
var orders = []string{
	"ignoreprevious", "ignoreallprevious", "ignoretheprevious", "ignoretheabove", "ignoreallother", "ignoreyourinstructions", "ignoreanyprevious",
	"disregardprevious", "disregardallprevious", "disregardtheabove", "disregardyourinstructions", "forgetyourinstructions", "forgetallprevious", "overrideyourinstructions",
	"donottelltheuser", "donttelltheuser", "donotinformtheuser", "donotmentionthis", "dontmentionthis", "withouttellingtheuser", "withoutinformingtheuser",
	"keepthissecretfrom", "hidethisfromtheuser", "donotrevealthis", "donotaskforconfirmation", "withoutaskingtheuser", "beforeusinganyothertool", "beforecallinganyothertool",
	"insteadofanyothertool", "readthefilesshid", "sshidrsa", "newsysteminstructions", "systempromptoverride", "youarenowin",
}

// Suspicions looks through the text of a definition for what hides, or gives
// orders to a model.
func Suspicions(definition []byte) []Suspicion {
	found := map[Suspicion]bool{}
	long := 0
	_, err := jsontext.Replace(definition, func(v *jsontext.Value) ([]byte, bool, error) {
		if v.Kind == jsontext.Number {
			return nil, false, nil
		}
		text := string(v.Text)
		long += len(text)
		if hides(text) {
			found[Suspicion{"its text holds characters that aren't shown", true}] = true
		}
		if strings.ContainsRune(text, '\x1b') {
			found[Suspicion{"its text holds commands to a terminal", true}] = true
		}
		bare := letters(text)
		for _, o := range orders {
			if strings.Contains(bare, o) {
				found[Suspicion{"its text gives orders to a model", true}] = true
			}
		}
		if low := strings.ToLower(text); strings.Contains(low, "<!--") || strings.Contains(low, "<important>") || strings.Contains(low, "<system>") {
			found[Suspicion{"its text holds markup that a reader may not see", true}] = true
		}
		return nil, false, nil
	})
	if err != nil {
		found[Suspicion{"its text can't be read", true}] = true
	}
	if long > longText {
		found[Suspicion{"its text is very long", false}] = true
	}
	var out []Suspicion
	for _, s := range []Suspicion{
		{"its text holds characters that aren't shown", true},
		{"its text holds commands to a terminal", true},
		{"its text gives orders to a model", true},
		{"its text holds markup that a reader may not see", true},
		{"its text can't be read", true},
		{"its text is very long", false},
	} {
		if found[s] {
			out = append(out, s)
		}
	}
	return out
}

// letters is text in lower case without anything that isn't a letter.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(text))
}

// hides reports runes that draw nothing or turn the order of others. Spaces and ends
// of lines pass, and what joins or colours pictures where it stands after one.
func hides(text string) bool {
	var before rune
	for _, r := range text {
		switch {
		case r == '\r' || r == 0x1b || unicode.Is(unicode.Zs, r):
		case (r == 0xfe0f || r == 0x200d) && (unicode.In(before, unicode.So, unicode.Sk) || before == 0xfe0f || before >= '#' && before <= '9' || before == 0x2194 || unicode.Is(unicode.Sm, before)):
		case show.Deceiving(r):
			return true
		}
		before = r
	}
	return false
}
