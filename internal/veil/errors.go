package veil

import (
	"errors"

	"github.com/assenthq/assent/gate"
)

// Why a reply is withheld. They hold nothing of it.
var (
	errDeep   = withheld("it is nested too deeply to be masked", "")
	errName   = withheld("a name in it is too long to be masked", "")
	errNames  = withheld("more names in it tell of sensitive values than can be told apart", "ask for less at a time")
	errCut    = withheld("it ends in the middle of a value", "")
	errMoved  = withheld("masking it would have moved what follows", "")
	errLong   = withheld("a part of it is too long to be masked", "ask for less at a time")
	errBomb   = withheld("it is compressed beyond all measure", "ask for it uncompressed")
	errBroken = withheld("it is not coded as it says", "ask for it uncompressed")
	errRange  = withheld("a part of it can't be masked, since a value may be cut apart", "ask for the whole")
	errMark   = withheld("what stands between its parts is more than that", "")
	errTwo    = withheld("it changes the protocol", "")
)

func withheld(why, hint string) *gate.Denied {
	return &gate.Denied{Status: gate.StatusLimit, Reason: "it ran, and its answer is withheld: " + why, Hint: hint}
}

// opaque is for what can't be looked into.
func opaque(what string) error {
	return withheld("values in it would be masked, and nobody can look into "+what, "ask for it in another form; an operator can let it pass where nothing is masked")
}

// told is err as a client may be told.
func told(err error) error {
	if err == nil {
		return nil
	}
	if d := (*gate.Denied)(nil); errors.As(err, &d) {
		return err
	}
	return withheld("it could not be masked", "the server's own log says what is wrong")
}
