package mask

import "github.com/assenthq/assent/internal/detect"

// A shape is how values of a class are written, as far as masks keep it.
type shape uint8

const (
	shapeNone   shape = iota // text, or nothing that could be kept
	shapeDigits              // digits and separators
	shapeCard                // digits that may end in Luhn's check digit
	shapeMixed               // digits, letters and separators
	shapeIBAN
)

// shapeOf is the shape of a class. One that isn't listed has none: it is redacted
// where a method would have to keep one.
func shapeOf(c detect.Class) shape {
	switch c {
	case detect.Card:
		return shapeCard
	case detect.USSSN, detect.Phone:
		return shapeDigits
	case detect.IBAN:
		return shapeIBAN
	}
	return shapeNone
}

// fewValues reports whether a class has so few values that who may write some and
// compare their masks soon knows all of them. Masks of such are never linkable.
func fewValues(c detect.Class) bool {
	switch c {
	case "cvv", "date-of-birth", "gender", "blood-type", "postcode", "diagnosis", "drug", detect.Sensitive:
		return true
	}
	return false
}
