package slack

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/slack-go/slack"

	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/show"
)

// Slack's bounds, in UTF-16 units, and ours within them.
const (
	maxHeader    = 150
	maxText      = 3_000
	maxValue     = 2_000
	maxShown     = 6_000 // of what would run, in one card
	maxSaid      = 300   // of each thing that somebody says
	mostEffects  = 8
	mostReviews  = 6
	mostRemarks  = 4
	maxNamed     = 200
	maxWhyShown  = 600
	maxHereShown = 300
	maxPlace     = maxText // more than a card has
)

// Buttons, by what they are called in what Slack sends back.
const (
	pressApprove = "assent:approve"
	pressDeny    = "assent:deny"
	pressAsk     = "assent:ask"
	pressOpen    = "assent:open"
)

// cut keeps at most max UTF-16 units of s, as Slack counts them.
func cut(s string, max int) string {
	n := 0
	for i, r := range s {
		size := utf16.RuneLen(r)
		if size < 0 { // not UTF-8: one replacement character
			size = 1
		}
		if n+size > max-1 && len(utf16.Encode([]rune(s[i:]))) > max-n {
			return s[:i] + "…"
		}
		n += size
	}
	return s
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// escape is for the few places where Slack reads markup: there, text of others
// names nobody, links nowhere and ends nothing.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func plain(s string, max int) *slack.TextBlockObject {
	if s == "" {
		s = "-"
	}
	return slack.NewTextBlockObject(slack.PlainTextType, cut(s, max), false, false)
}

// draw is a message as blocks, and as the line that a notification shows.
func (c *Channel) draw(m *notify.Message) (string, []slack.Block) {
	if m.Notice != nil {
		return c.notice(m.Notice)
	}
	k := m.Card
	w := &drawing{}
	w.add(slack.NewHeaderBlock(plain(k.Risk.Name+" · "+k.Title, maxHeader)))
	w.about(k)
	whole := w.action(k)
	w.effects(k)
	w.why(k)
	w.people(k)
	w.flush()
	w.add(slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, cut(status(k), maxText), false, false)))
	if k.Pending {
		if here := elsewhere(k, whole); here != "" {
			w.add(slack.NewContextBlock("", plain(here, maxHereShown)))
		}
	}
	w.add(buttons(k, whole))
	return line(k), w.blocks
}

// bare is a message that Slack draws whatever it holds.
func (c *Channel) bare(m *notify.Message) (string, []slack.Block) {
	if m.Notice != nil {
		return c.notice(&notify.Notice{Kind: m.Notice.Kind, Title: "Something to be read in the console", Path: m.Notice.Path})
	}
	k := m.Card
	text := fmt.Sprintf("%s risk: an approval that can't be drawn here is %s. Open it in the console.", k.Risk.Name, k.State.Name)
	return text, []slack.Block{
		slack.NewSectionBlock(plain(text, maxText), nil, nil),
		slack.NewActionBlock("", link(k.URL)),
	}
}

func line(k *card.Card) string {
	return escape.Replace(cut(fmt.Sprintf("%s · %s: %s", k.Risk.Name, k.Title, k.State.Says), maxHeader*2))
}

// status is our own words alone, but for whom it asks.
func status(k *card.Card) string {
	if !k.Pending {
		return fmt.Sprintf("%s · asked %s", escape.Replace(k.State.Says), date(k.Created))
	}
	s := fmt.Sprintf("%d of %d seats · asks %s", k.Filled, k.Seats, neutral(k.Asks))
	if !k.Expires.IsZero() {
		s += " · until " + date(k.Expires)
	}
	return s + " · risk " + fmt.Sprint(k.Risk.Score) + ": " + neutral(k.Risk.Why)
}

// neutral is text in which Slack finds no markup of its own.
func neutral(s string) string {
	return escape.Replace(strings.NewReplacer("*", "∗", "_", "＿", "~", "∼", "`", "ˋ").Replace(cut(s, maxSaid)))
}

// date is Slack's token for a time, shown in the reader's own zone.
func date(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// elsewhere says why there is no Approve button.
func elsewhere(k *card.Card, whole bool) string {
	switch {
	case !whole && k.Chat():
		return "It is too long to be shown whole here: approve it in the console."
	case !k.Chat():
		return notify.Elsewhere(k)
	}
	return ""
}

func link(url string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(pressOpen, "", plain("See in console", 75)).WithURL(url)
}

// buttons are those that would be heard: what may not be approved by a click has
// none for it.
func buttons(k *card.Card, whole bool) slack.Block {
	var out []slack.BlockElement
	value := answer{k.ID, k.Digest, k.Version}.String()
	if k.Chat() && whole {
		b := slack.NewButtonBlockElement(pressApprove, value, plain("Approve", 75)).WithStyle(slack.StylePrimary)
		if k.Risk.Class == "high" {
			b = b.WithConfirm(slack.NewConfirmationBlockObject(plain("Approve this?", 100), plain("It runs once, as this card shows it. The risk is high.", maxSaid), plain("Approve", 30), plain("Not yet", 30)))
		}
		out = append(out, b)
	}
	if k.Clicks() {
		out = append(out, slack.NewButtonBlockElement(pressDeny, value, plain("Deny", 75)).WithStyle(slack.StyleDanger))
	}
	if k.Pending {
		out = append(out, slack.NewButtonBlockElement(pressAsk, value, plain("Ask a question", 75)))
	}
	return slack.NewActionBlock("", append(out, link(k.URL))...)
}

// A drawing is a card's blocks in the making. All of others' text is in rich
// text, where nothing is markup.
type drawing struct {
	blocks []slack.Block
	rich   []slack.RichTextElement
}

func (w *drawing) add(b slack.Block) { w.blocks = append(w.blocks, b) }

func (w *drawing) flush() {
	if len(w.rich) > 0 {
		w.add(slack.NewRichTextBlock("", w.rich...))
		w.rich = nil
	}
}

var nl, sp = piece{text: "\n"}, piece{text: " "}

// A piece is text with one look.
type piece struct {
	text  string
	style *slack.RichTextSectionTextStyle
}

func t(s string, max int) piece { return piece{cut(s, max), nil} }
func b(s string, max int) piece {
	return piece{cut(s, max), &slack.RichTextSectionTextStyle{Bold: true}}
}

func tt(s string, max int) piece {
	return piece{cut(s, max), &slack.RichTextSectionTextStyle{Code: true}}
}

// words are the pieces of one line; Slack takes none that is empty.
func words(pieces ...piece) []slack.RichTextSectionElement {
	var out []slack.RichTextSectionElement
	for _, p := range pieces {
		if p.text != "" {
			out = append(out, slack.NewRichTextSectionTextElement(p.text, p.style))
		}
	}
	return out
}

func (w *drawing) say(pieces ...piece) {
	if e := words(pieces...); len(e) > 0 {
		w.rich = append(w.rich, slack.NewRichTextSection(e...))
	}
}

func (w *drawing) list(lines [][]piece) {
	var all []slack.RichTextElement
	for _, l := range lines {
		if e := words(l...); len(e) > 0 {
			all = append(all, slack.NewRichTextSection(e...))
		}
	}
	if len(all) > 0 {
		w.rich = append(w.rich, &bullets{slack.RTEList, slack.RTEListBullet, all})
	}
}

// bullets are a list as Slack's own types have it; the library's says more.
type bullets struct {
	Type     slack.RichTextElementType     `json:"type"`
	Style    slack.RichTextListElementType `json:"style"`
	Elements []slack.RichTextElement       `json:"elements"`
}

// RichTextElementType implements slack.RichTextElement.
func (b *bullets) RichTextElementType() slack.RichTextElementType { return b.Type }

// about says who wants what for whom.
func (w *drawing) about(k *card.Card) {
	if !k.Pending {
		done := k.State.Says + "."
		if k.Decided != "" {
			done += " " + k.Decided + "."
		}
		w.say(b(done, maxSaid*2), nl)
	}
	w.say(b(k.Who, maxNamed), t(" for ", 9), b(k.For, maxNamed), nl)
	w.say(tt(strings.Join(k.Kinds, ", "), maxNamed), t(" on ", 9), tt(k.On, maxPlace), nl)
	if k.Where != "" {
		w.say(t("Data leaves for ", 20), tt(k.Where, maxPlace), nl)
	}
	w.say(t(k.Data, maxSaid))
}

// action shows what would run; false: not all of it.
func (w *drawing) action(k *card.Card) bool {
	room, whole := maxShown, k.Whole()
	code := func(text string, cutBefore int) {
		shown := cut(text, min(maxText, max(room, 1)))
		if shown != text {
			whole = false
		}
		room -= units(shown)
		if shown != "" {
			w.rich = append(w.rich, &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: words(t(shown, maxText))})
		}
		if cutBefore > 0 || shown != text {
			w.say(t("Not all of it is shown here.", 60))
		}
	}
	if len(k.Items) == 0 {
		code(k.Statement, k.Cut)
		return whole
	}
	for i, item := range k.Items {
		if room <= 0 || i == maxItems {
			w.say(t(fmt.Sprintf("And %s more, which only the console shows.", show.Plural(int64(len(k.Items)-i), "action")), maxSaid))
			return false
		}
		w.say(b(fmt.Sprintf("%d. %s", item.N, item.Title), maxNamed), sp, tt(item.Kind, 60), sp, t(item.State.Name, 60))
		w.say(place(item)...)
		room -= units(item.On + item.Where)
		code(item.Statement, item.Cut)
	}
	return whole
}

// place says on what an item is done, and where its data goes.
func place(i card.Item) []piece {
	out := []piece{t("on ", 9), tt(i.On, maxPlace)}
	if i.Where != "" {
		out = append(out, t(", data leaves for ", 20), tt(i.Where, maxPlace))
	}
	return out
}

const maxItems = 20

func (w *drawing) effects(k *card.Card) {
	var lines [][]piece
	for i, e := range k.Effects {
		if i == mostEffects {
			lines = append(lines, []piece{t(fmt.Sprintf("and %d more", len(k.Effects)-i), 60)})
			break
		}
		lines = append(lines, []piece{t(e.Text, maxSaid)})
	}
	w.list(lines)
}

func (w *drawing) why(k *card.Card) {
	if k.Why != "" || len(k.Rules) > 0 {
		e := words(b("Held: ", 60), t(k.Why, maxWhyShown), sp, tt(strings.Join(k.Rules, ", "), maxNamed))
		w.rich = append(w.rich, &slack.RichTextQuote{Type: slack.RTEQuote, Elements: e})
	}
	var lines [][]piece
	for _, c := range k.Claims {
		lines = append(lines, []piece{b(c.Name+": ", 60), t(c.Text, maxSaid)})
	}
	if len(lines) > 0 {
		w.say(t("The asker says, and nobody checked:", 60))
		w.list(lines)
	}
}

// people shows who answered and what was said, the latest last.
func (w *drawing) people(k *card.Card) {
	var lines [][]piece
	for _, r := range k.Reviews[max(0, len(k.Reviews)-mostReviews):] {
		l := []piece{b(r.Name, maxNamed), t(": "+r.Decision, 60)}
		if r.Reason != "" {
			l = append(l, t(", "+r.Reason, maxSaid))
		}
		if r.Only != "" {
			l = append(l, t(", only with "+r.Only, maxSaid))
		}
		lines = append(lines, l)
	}
	for _, r := range k.Talk[max(0, len(k.Talk)-mostRemarks):] {
		lines = append(lines, []piece{b(r.Name, maxNamed), t(": "+r.Text, maxSaid)})
	}
	w.list(lines)
}

// nudge is the reply below a card that is still waiting; "" when there is nothing to say.
func nudge(m *notify.Message) string {
	k := m.Card
	switch {
	case k == nil || !k.Pending:
		return ""
	case m.What == notify.Reminded:
		return fmt.Sprintf("Still waiting for %s, until %s.", neutral(k.Asks), date(k.Expires))
	case m.What == notify.Escalated:
		return fmt.Sprintf("Nobody answered yet. It asks %s now, until %s.", neutral(k.Asks), date(k.Expires))
	}
	return ""
}

func (c *Channel) notice(n *notify.Notice) (string, []slack.Block) {
	w := &drawing{}
	w.add(slack.NewHeaderBlock(plain(n.Title, maxHeader)))
	if n.Text != "" {
		w.say(t(n.Text, maxText))
		w.flush()
	}
	if n.Path != "" {
		w.add(slack.NewActionBlock("", link(c.console(n.Path))))
	}
	return escape.Replace(cut(n.Title, maxHeader*2)), w.blocks
}
