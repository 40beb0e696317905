package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/show"
)

// What the keyboard is for.
const (
	browsing  = ""
	filtering = "filter"
	approving = "approve"
	denying   = "deny"
	asking    = "ask"
	helping   = "help"
)

const (
	mostListed = 200
	maxTyped   = 2_000 // bytes of a reason or a question
)

// inbox is the model: what is shown, and nothing that the server doesn't say.
type inbox struct {
	ctx      context.Context //nolint:containedctx // a model has no other way to hand it to its commands
	c        *client.Client
	readOnly bool

	all     []*client.Approval // pending, the gravest first
	more    bool
	filter  string
	at      string // id of the chosen one
	full    *client.Approval
	lines   []string // of full, drawn for a width; 2 MB are not drawn each second
	drawn   *client.Approval
	drawnAt int
	offset  int             // first line of the detail pane
	read    map[string]bool // digests and versions whose end was shown

	mode, typed string
	says        string // what came of the last answer, or why not
	bad         bool
	busy        bool
	lost        bool // changes are not heard of
	now         time.Time
	w, h        int
}

func newInbox(ctx context.Context, c *client.Client, readOnly bool) *inbox {
	return &inbox{ctx: ctx, c: c, readOnly: readOnly, read: map[string]bool{}, now: time.Now(), w: 80, h: 24}
}

func (m *inbox) Init() tea.Cmd { return tea.Batch(m.list(), beat()) }

func beat() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} }) }

const callTime = 15 * time.Second

func (m *inbox) list() tea.Cmd {
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(m.ctx, callTime)
		defer stop()
		page, err := m.c.Approvals(ctx, client.ListOptions{States: []string{"pending"}, Limit: mostListed})
		if err != nil {
			return listed{err: err}
		}
		return listed{all: page.Approvals, more: page.Next != ""}
	}
}

func (m *inbox) open(id string) tea.Cmd {
	if id == "" {
		return nil
	}
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(m.ctx, callTime)
		defer stop()
		p, err := m.c.Approval(ctx, id)
		return opened{p, err}
	}
}

// Update implements tea.Model.
func (m *inbox) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = time.Now()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = max(msg.Width, 20), max(msg.Height, 8)
	case tick:
		return m, beat()
	case changed:
		return m, m.list()
	case cut:
		m.lost = msg.on
	case listed:
		return m, m.take(msg)
	case opened:
		m.show(msg)
	case answered:
		return m, m.after(msg)
	case tea.PasteMsg:
		m.typing(msg.Content)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	return m, nil
}

// take puts a new list in place and keeps to what was chosen.
func (m *inbox) take(l listed) tea.Cmd {
	if l.err != nil {
		m.tell("reading the list: "+l.err.Error(), true)
		return nil
	}
	slices.SortStableFunc(l.all, func(x, y *client.Approval) int {
		return cmp.Or(cmp.Compare(y.Risk.Score, x.Risk.Score), x.Expires.Compare(y.Expires), cmp.Compare(x.ID, y.ID))
	})
	was := m.index()
	m.all, m.more = l.all, l.more
	if m.index() < 0 && m.mode != approving && m.mode != denying && m.mode != asking {
		m.choose(max(was, 0))
	}
	return m.open(m.at)
}

// shown are those that the filter lets through.
func (m *inbox) shown() []*client.Approval {
	if m.filter == "" {
		return m.all
	}
	return slices.DeleteFunc(slices.Clone(m.all), func(p *client.Approval) bool {
		return !strings.Contains(strings.ToLower(strings.Join([]string{p.ID, p.Title, who(p), p.Resource, p.Risk.Level}, " ")), strings.ToLower(m.filter))
	})
}

func (m *inbox) index() int {
	return slices.IndexFunc(m.shown(), func(p *client.Approval) bool { return p.ID == m.at })
}

// choose goes to the nth of the list, as near as there is one.
func (m *inbox) choose(n int) {
	l := m.shown()
	at := ""
	if len(l) > 0 {
		at = l[min(max(n, 0), len(l)-1)].ID
	}
	if at != m.at {
		m.at, m.full, m.offset = at, nil, 0
	}
}

func (m *inbox) show(o opened) {
	switch {
	case o.err != nil:
		m.tell("reading it: "+o.err.Error(), true)
	case o.p.ID == m.at:
		if m.full != nil && m.full.Version != o.p.Version && (m.mode == approving || m.mode == denying) {
			m.mode, m.typed = browsing, ""
			m.tell("It changed while you looked at it, and nothing was decided: read it again", true)
		}
		m.full = o.p
	}
}

func (m *inbox) tell(s string, bad bool) { m.says, m.bad = show.Plain(s, 500), bad }

// after says what came of an answer.
func (m *inbox) after(r answered) tea.Cmd {
	m.busy = false
	var e *client.Error
	switch {
	case client.Is(r.err, "changed"):
		m.tell("It changed while you looked at it, and nothing was decided: read it again", true)
	case errors.As(r.err, &e) && e.Need != "":
		m.tell("This needs "+e.Need+" assurance, more than a token: enter opens the console", true)
	case r.err != nil:
		m.tell("Nothing was decided: "+r.err.Error(), true)
	case r.what == asking:
		m.tell("Asked. The answer comes here", false)
	case r.p.State == "pending":
		m.tell("Your review counts; it still waits for "+missing(r.p), false)
	default:
		m.tell(r.p.State+": "+r.p.Title, false)
	}
	return m.list()
}
