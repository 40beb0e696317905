package email

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/mail"
	"strings"
	texttemplate "text/template"
	"time"

	_ "embed"

	gomail "github.com/wneessen/go-mail"

	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/show"
)

//go:embed mail.html
var htmlText string

//go:embed mail.txt
var plainText string

var (
	htmlPage  = template.Must(template.New("mail").Parse(htmlText))
	plainPage = texttemplate.Must(texttemplate.New("mail").Funcs(texttemplate.FuncMap{"indent": indent}).Parse(plainText))
)

// indent sets off what an agent wrote: no line of it can look like one of ours.
func indent(s string) string { return "    | " + strings.ReplaceAll(s, "\n", "\n    | ") }

// maxSubject bounds a subject, in bytes.
const maxSubject = 180

// A page is what a mail shows.
type page struct {
	Lead, Link string
	Full       bool // the whole card; otherwise what came of it
	Card       *card.Card
	Notice     *notify.Notice
	Until, Cut string
	Host       string
}

// compose writes one mail. part is "" for the first of a thread.
func (c *Channel) compose(to *mail.Address, key, part string, m *notify.Message) (*gomail.Msg, error) {
	p, subject := c.pageOf(part, m)
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(c.from)
	msg.ToMailAddress(to)
	msg.Subject(show.Plain(subject, maxSubject))
	msg.SetDateWithValue(c.o.Clock())
	first := c.id(key, "")
	msg.SetMessageIDWithValue(c.id(key, part))
	if part != "" {
		msg.SetGenHeader(gomail.HeaderInReplyTo, "<"+first+">")
		msg.SetGenHeader(gomail.HeaderReferences, "<"+first+">")
	}
	msg.SetGenHeader("List-Id", "Assent approvals <approvals."+c.host+">")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody is away from an approval
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	if p.Card != nil && p.Card.Risk.Class == "crit" || p.Notice != nil && p.Notice.Grave {
		msg.SetImportance(gomail.ImportanceHigh)
	}
	var text, html strings.Builder
	if err := plainPage.Execute(&text, p); err != nil {
		return nil, fmt.Errorf("writing a mail: %w", err)
	}
	if err := htmlPage.Execute(&html, p); err != nil {
		return nil, fmt.Errorf("writing a mail: %w", err)
	}
	msg.SetBodyString(gomail.TypeTextPlain, text.String())
	msg.AddAlternativeString(gomail.TypeTextHTML, html.String())
	return msg, nil
}

// id is the message id of one mail of a thread.
func (c *Channel) id(key, part string) string {
	sum := sha256.Sum256([]byte("assent-mail/1 " + c.o.Name + " " + key))
	s := hex.EncodeToString(sum[:12])
	if part != "" {
		s += "." + part
	}
	return s + "@" + c.host
}

func (c *Channel) pageOf(part string, m *notify.Message) (*page, string) {
	p := &page{Card: m.Card, Notice: m.Notice, Host: c.host}
	if n := m.Notice; n != nil {
		p.Lead, p.Full = n.Title, true
		if n.Path != "" {
			p.Link = strings.TrimSuffix(c.o.PublicURL, "/") + n.Path
		}
		return p, "[Assent] " + n.Title
	}
	k := m.Card
	p.Link, p.Full = k.URL, k.Pending
	p.Until = k.Expires.UTC().Format("Mon 2 Jan 15:04 UTC")
	if left := k.Expires.Sub(c.o.Clock()).Round(time.Minute); left > 0 {
		p.Until += fmt.Sprintf(" (in %s)", strings.TrimSuffix(left.String(), "0s"))
	}
	if k.Cut > 0 {
		p.Cut = "… and " + show.Plural(int64(k.Cut), "byte") + " more, in the console"
	}
	subject := "[Assent] " + k.Risk.Name + ": " + k.Title + " (" + k.Who + " for " + k.For + ")"
	switch {
	case !k.Pending:
		p.Lead = k.State.Says + "."
		if k.Decided != "" {
			p.Lead = k.Decided + ". " + p.Lead
		}
	case strings.HasPrefix(part, notify.Reminded):
		p.Lead = "This still waits for an answer."
	case strings.HasPrefix(part, notify.Escalated):
		p.Lead = "This still waits, and further people are asked."
	default:
		p.Lead = "Your answer is asked."
	}
	if part != "" {
		subject = "Re: " + subject // the thread's own: mail programs go by it too
	}
	return p, subject
}
