package slack

import (
	"strconv"
	"strings"
)

// An answer is of what a card showed: the value of its buttons.
type answer struct {
	Approval, Digest string
	Version          int64
}

func (a answer) String() string {
	return a.Approval + " " + a.Digest + " " + strconv.FormatInt(a.Version, 10)
}

func parseAnswer(s string) (a answer, ok bool) {
	p := strings.Split(s, " ")
	if len(s) > maxValue || len(p) != 3 || p[0] == "" || p[1] == "" {
		return a, false
	}
	v, err := strconv.ParseInt(p[2], 10, 64)
	return answer{p[0], p[1], v}, err == nil && v > 0
}
