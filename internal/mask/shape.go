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
func shapeOf(c detect.Class) shape { return shapes[c] }

var shapes = func() map[detect.Class]shape {
	out := map[detect.Class]shape{detect.Card: shapeCard, detect.IBAN: shapeIBAN}
	for _, c := range []detect.Class{
		detect.Phone, detect.Routing, detect.SortCode, detect.BankAccount, detect.IMEI, detect.NPI, detect.USSSN, detect.USITIN, detect.CASIN, detect.NHS,
		detect.Aadhaar, detect.TFN, detect.AUMed, detect.ABN, detect.SteuerID, detect.PESEL, detect.BSN, detect.CPF, detect.CNPJ, detect.RRN, detect.ZAID,
		detect.SEID, detect.DKID, detect.NOID, detect.TRID, detect.AHV, detect.BENR, detect.PTNIF,
	} {
		out[c] = shapeDigits
	}
	for _, c := range []detect.Class{
		detect.BIC, detect.VIN, detect.Passport, detect.Licence, detect.LicencePlate, detect.NationalID, detect.TaxID, detect.EmployeeID, detect.MBI, detect.DEA,
		detect.MRN, detect.MemberID, detect.Prescription, detect.NINO, detect.INPAN, detect.NIR, detect.NIF, detect.NIE, detect.Fiscale, detect.NRIC, detect.FIID,
		detect.CNID, detect.CURP,
	} {
		out[c] = shapeMixed
	}
	return out
}()

// fewValues reports whether a class has so few values that who may write some and
// compare their masks soon knows all of them. Masks of such are never linkable.
func fewValues(c detect.Class) bool {
	switch c {
	case detect.CVV, detect.CardExpiry, detect.DateOfBirth, detect.SortCode, detect.Routing, detect.BIC, detect.Diagnosis, detect.Drug, detect.Organisation, detect.Sensitive:
		return true
	}
	return false
}

// fits reports whether a value of a type can be of a class known by a name: a
// column "mail" of type boolean holds no address. An expression over an address
// can be anything, so this is asked of plain columns only.
func fits(class detect.Class, k kind) bool {
	switch k {
	case kindText, kindJSON, kindJSONB, kindBytea, kindOther, kindRecord, kindChar:
		return true
	case kindBool:
		return false
	case kindMAC, kindMAC8:
		return class == detect.MAC || class == detect.Sensitive
	}
	switch class {
	case detect.Sensitive, detect.DateOfBirth, detect.CardExpiry, detect.CVV, detect.Card, detect.USSSN, detect.Phone:
		return true
	case detect.IP:
		return !k.isTime() && k != kindUUID
	}
	// An id may be kept as a number. One that is a UUID is a key of somebody's own making.
	return shapeOf(class) != shapeNone && !k.isTime() && k != kindUUID
}
