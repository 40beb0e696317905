package mask

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// A kind is how values of a PostgreSQL type are masked.
type kind uint8

const (
	kindOther  kind = iota // a type we don't know
	kindOpaque             // a known type that holds no text
	kindText
	kindChar
	kindJSON
	kindJSONB
	kindBytea
	kindBool
	kindInt2
	kindInt4
	kindInt8
	kindFloat4
	kindFloat8
	kindNumeric
	kindMoney
	kindOID
	kindUUID
	kindDate
	kindTimestamp
	kindTimestampTZ
	kindTime
	kindTimeTZ
	kindInterval
	kindInet
	kindCIDR
	kindMAC
	kindMAC8
	kindRange
	kindArray
	kindRecord
)

func (k kind) isTime() bool { return k >= kindDate && k <= kindInterval }

// kindOf maps the OIDs of pg_type.dat, which never change.
func kindOf(oid uint32) kind {
	switch oid {
	case 25, 1043, 1042, 19, 142, 705, 2275:
		return kindText
	case 18:
		return kindChar
	case 114:
		return kindJSON
	case 3802:
		return kindJSONB
	case 17:
		return kindBytea
	case 16:
		return kindBool
	case 21:
		return kindInt2
	case 23:
		return kindInt4
	case 20:
		return kindInt8
	case 700:
		return kindFloat4
	case 701:
		return kindFloat8
	case 1700:
		return kindNumeric
	case 790:
		return kindMoney
	case 26, 28, 29:
		return kindOID
	case 2950:
		return kindUUID
	case 1082:
		return kindDate
	case 1114:
		return kindTimestamp
	case 1184:
		return kindTimestampTZ
	case 1083:
		return kindTime
	case 1266:
		return kindTimeTZ
	case 1186:
		return kindInterval
	case 869:
		return kindInet
	case 650:
		return kindCIDR
	case 829:
		return kindMAC
	case 774:
		return kindMAC8
	case 3904, 3906, 3908, 3910, 3912, 3926:
		return kindRange
	case 2249:
		return kindRecord
	case 600, 601, 602, 603, 604, 628, 718, 1560, 1562, 27, 5069, 3220:
		return kindOpaque
	}
	if elementOf(oid) != 0 {
		return kindArray
	}
	return kindOther
}

// elementOf returns the element type of an array type, or 0.
func elementOf(oid uint32) uint32 {
	switch oid {
	case 143:
		return 142
	case 199:
		return 114
	case 651:
		return 650
	case 775:
		return 774
	case 791:
		return 790
	case 1000:
		return 16
	case 1001:
		return 17
	case 1002:
		return 18
	case 1003:
		return 19
	case 1005:
		return 21
	case 1007:
		return 23
	case 1009:
		return 25
	case 1014:
		return 1042
	case 1015:
		return 1043
	case 1016:
		return 20
	case 1021:
		return 700
	case 1022:
		return 701
	case 1028:
		return 26
	case 1040:
		return 829
	case 1041:
		return 869
	case 1115:
		return 1114
	case 1182:
		return 1082
	case 1183:
		return 1083
	case 1185:
		return 1184
	case 1187:
		return 1186
	case 1231:
		return 1700
	case 1270:
		return 1266
	case 2287:
		return 2249
	case 2951:
		return 2950
	case 3807:
		return 3802
	}
	return 0
}

// zeros are the masked values of types that hold no text, in both formats.
var zeros = map[kind]struct {
	text   string
	binary []byte
}{
	kindChar:        {"*", []byte("*")},
	kindBytea:       {`\x`, []byte{}},
	kindBool:        {"f", make([]byte, 1)},
	kindInt2:        {"0", make([]byte, 2)},
	kindInt4:        {"0", make([]byte, 4)},
	kindInt8:        {"0", make([]byte, 8)},
	kindFloat4:      {"0", make([]byte, 4)},
	kindFloat8:      {"0", make([]byte, 8)},
	kindNumeric:     {"0", make([]byte, 8)},
	kindMoney:       {"$0.00", make([]byte, 8)},
	kindOID:         {"0", make([]byte, 4)},
	kindUUID:        {"00000000-0000-0000-0000-000000000000", make([]byte, 16)},
	kindDate:        {"2000-01-01", make([]byte, 4)},
	kindTimestamp:   {"2000-01-01 00:00:00", make([]byte, 8)},
	kindTimestampTZ: {"2000-01-01 00:00:00+00", make([]byte, 8)},
	kindTime:        {"00:00:00", make([]byte, 8)},
	kindTimeTZ:      {"00:00:00+00", make([]byte, 12)},
	kindInterval:    {"00:00:00", make([]byte, 16)},
	kindInet:        {"0.0.0.0", []byte{2, 32, 0, 4, 0, 0, 0, 0}},
	kindCIDR:        {"0.0.0.0/32", []byte{2, 32, 1, 4, 0, 0, 0, 0}},
	kindMAC:         {"00:00:00:00:00:00", make([]byte, 6)},
	kindMAC8:        {"00:00:00:00:00:00:00:00", make([]byte, 8)},
	kindRange:       {"empty", []byte{1}},
}

// firstUserType is the first OID that CREATE TYPE gives out (FirstNormalObjectId).
const firstUserType = 16384

// isText reports whether bytes of an unknown type are text, as of an enum or citext.
func isText(v []byte) bool {
	for _, b := range v {
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' {
			return false
		}
	}
	return utf8.Valid(v)
}

// decimal appends a binary number in decimal.
func decimal(dst []byte, k kind, v []byte) ([]byte, error) {
	switch {
	case k == kindInt2 && len(v) == 2:
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(v))), 10), nil
	case k == kindInt4 && len(v) == 4:
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(v))), 10), nil
	case k == kindInt8 && len(v) == 8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(v)), 10), nil
	case k == kindFloat4 && len(v) == 4:
		return dst, nil // seven digits hold no number we look for
	case k == kindFloat8 && len(v) == 8:
		f := math.Float64frombits(binary.BigEndian.Uint64(v))
		if math.Abs(f) >= 1<<63 || math.IsNaN(f) {
			return dst, nil
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
	case k == kindNumeric && len(v) >= 8:
		return decimalNumeric(dst, v)
	}
	return nil, errMalformed
}

// decimalNumeric appends the integer part of a numeric: base-10000 digits behind
// count, weight, sign and scale (numeric_send). Numbers of more than 64 digits
// are none we look for.
func decimalNumeric(dst, v []byte) ([]byte, error) {
	count, weight := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:])))
	if len(v) != 8+2*count {
		return nil, errMalformed
	}
	if binary.BigEndian.Uint16(v[4:])&0x8000 != 0 || weight < 0 || weight > 16 {
		return dst, nil
	}
	for k := 0; k <= weight; k++ {
		d := uint16(0)
		if k < count {
			d = binary.BigEndian.Uint16(v[8+2*k:])
		}
		if d > 9999 {
			return nil, errMalformed
		}
		if len(dst) > 0 {
			dst = append(dst, byte('0'+d/1000), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
		} else {
			dst = strconv.AppendUint(dst, uint64(d), 10)
		}
	}
	return dst, nil
}
