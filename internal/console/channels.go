package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/sealed"
)

// Channels tell people beside the console. Administrators see how they are doing.
type Channels interface {
	States(ctx context.Context) ([]notify.ChannelState, error)
	Deliveries(ctx context.Context) ([]notify.Delivery, error)
	Replay(ctx context.Context, id, by string) error
}

// mostDead bounds how many deliveries the page lists.
const mostDead = 50

// channelsView is what the settings page shows of channels.
type channelsView struct {
	All  []notify.ChannelState
	Dead []notify.Delivery
	More int // dead ones that are not listed
	Err  bool
}

func (c *Console) channelsOf(ctx context.Context) (v channelsView) {
	if c.o.Channels == nil {
		return v
	}
	all, err := c.o.Channels.States(ctx)
	if err == nil {
		v.All = all
		var bad []notify.Delivery
		bad, err = c.o.Channels.Deliveries(ctx)
		for i := range bad {
			switch {
			case !bad[i].Dead:
			case len(v.Dead) < mostDead:
				v.Dead = append(v.Dead, bad[i])
			default:
				v.More++
			}
		}
	}
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading how channels are doing", "err", err)
		v.Err = true
	}
	return v
}

// replay tries a dead delivery again. Only an administrator does.
func (c *Console) replay(w http.ResponseWriter, r *http.Request, p *who) {
	if c.o.Channels == nil || !c.administers(p) || !c.confirmed(r, p) || !c.administers(p) {
		c.fail(w, r, http.StatusForbidden, "This is for administrators.", "Ask one of them to replay it.")
		return
	}
	switch err := c.o.Channels.Replay(r.Context(), r.PathValue("id"), p.ID); {
	case err == nil:
		http.Redirect(w, r, "/settings", http.StatusSeeOther)
	case errors.Is(err, sealed.ErrNotFound), errors.Is(err, notify.ErrNotDead), errors.Is(err, sealed.ErrConflict):
		c.fail(w, r, http.StatusConflict, "This is not dead any more.", "It was told, or is tried again by itself. Go back to the settings.")
	default:
		c.o.Logger.ErrorContext(r.Context(), "replaying a delivery", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "It could not be replayed.", "Try again in a minute; the server's log says why.")
	}
}
