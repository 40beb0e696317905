package sql

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func validUTF8(s string) bool { return utf8.ValidString(s) }

// shape hashes a tree without its literals. Two statements of one shape differ
// in values only, so that a person may permit the shape.
type shape struct{ h hash.Hash }

func newShape() shape { return shape{sha256.New()} }

func (s shape) sum() string { return hex.EncodeToString(s.h.Sum(nil)[:16]) }

func (s shape) number(n int64) {
	s.h.Write(binary.AppendVarint(nil, n))
}

func (s shape) text(t string) {
	s.number(int64(len(t)))
	s.h.Write([]byte(t))
}

func shapeOf(n *pg.Node) string {
	s := newShape()
	if n != nil {
		s.message(n.ProtoReflect(), false)
	}
	return s.sum()
}

// message hashes m. Positions in the text are left out. secret: strings too
// are literals here, as in options, which may hold passwords.
func (s shape) message(m protoreflect.Message, secret bool) {
	switch n := m.Interface().(type) {
	case *pg.Node: // one of 268 fields: asking each of them would take most of the time
		s.text("Node")
		if n.Node != nil {
			m := n.ProtoReflect()
			s.number(int64(m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Number()))
			s.message(inner(n), secret)
		}
		return
	case *pg.A_Const:
		s.text("const")
		return
	case *pg.CreateRoleStmt, *pg.AlterRoleStmt, *pg.CreateUserMappingStmt, *pg.AlterUserMappingStmt,
		*pg.CreateForeignServerStmt, *pg.AlterForeignServerStmt, *pg.CreateSubscriptionStmt, *pg.AlterSubscriptionStmt:
		secret = true
	case *pg.VariableSetStmt: // SET ROLE 'a' and SET ROLE 'b' are two things
		s.text(n.Name)
		for _, arg := range n.Args {
			value, _ := constText(arg)
			s.text(value)
		}
	case *pg.FetchStmt: // ALL is LONG_MAX, which the two builds differ about
		s.text("fetch")
		s.text(n.Portalname)
		s.number(int64(n.Direction))
		s.number(max(-math.MaxInt32, min(n.HowMany, math.MaxInt32)))
		return
	case *pg.DefElem:
		s.text(n.Defname)
		if secret && n.Arg.GetString_() != nil {
			return
		}
	}
	s.text(string(m.Descriptor().Name()))
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if m.Has(fd) && !position(fd) {
			s.number(int64(fd.Number()))
			s.field(m.Get(fd), fd, secret)
		}
	}
}

func position(fd protoreflect.FieldDescriptor) bool {
	name := string(fd.Name())
	return strings.HasSuffix(name, "location") || name == "stmt_len" || name == "payload" // of NOTIFY: a literal
}

func (s shape) field(v protoreflect.Value, fd protoreflect.FieldDescriptor, secret bool) {
	if fd.IsList() {
		list := v.List()
		s.number(int64(list.Len()))
		for i := range list.Len() {
			s.scalar(list.Get(i), fd, secret)
		}
		return
	}
	s.scalar(v, fd, secret)
}

func (s shape) scalar(v protoreflect.Value, fd protoreflect.FieldDescriptor, secret bool) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		s.message(v.Message(), secret)
	case protoreflect.StringKind:
		s.text(v.String())
	case protoreflect.EnumKind:
		s.number(int64(v.Enum()))
	case protoreflect.BoolKind:
		if v.Bool() {
			s.number(1)
		}
	default:
		s.text(v.String())
	}
}
