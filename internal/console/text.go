package console

import "github.com/assenthq/assent/internal/show"

// A Piece is a run of text with one look. Class is a CSS class of ours, never text of an agent.
type Piece struct{ Class, Text, Title string }

const (
	maxTitle = 300     // bytes of a title or condition that are shown
	maxName  = 120     // bytes of a name or URN in the sentence at the top; the tooltip has more
	maxClaim = 4_000   // bytes of an agent's own words that are shown
	maxShown = 200_000 // bytes of a statement; a longer one can't be approved here, because it can't be read
)

func visible(s string, max int) []Piece       { return pieces(show.Line(s, max)) }
func plain(s string, max int) string          { return show.Plain(s, max) }
func bounded(s string, max int) (string, int) { return show.Bounded(s, max) }
func escapes(s, class string) []Piece         { return pieces(show.Escapes(s, class)) }
func thousands(n int64) string                { return show.Thousands(n) }

func pieces(in []show.Piece) []Piece {
	out := make([]Piece, len(in))
	for i, p := range in {
		out[i] = Piece(p)
	}
	return out
}
