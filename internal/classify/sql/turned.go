package sql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/assenthq/assent/action"
)

// A value that has no class by its name is found by its form when it passes. An
// expression that turns text (reverse, substr, md5, a cast to bytea, a letter
// glued to its end) leaves nothing to be found. What does not turn text stands on
// the closed lists below; all else does.
//
// Marks travel among the sources of a column while a statement is walked, so
// that they follow it through subqueries, WITH, set operations and renaming.
const (
	turnedMark    = "\x00turned"
	aggregateMark = "\x00aggregate"
)

func isMark(s string) bool { return strings.HasPrefix(s, "\x00") }

// withoutMarks returns sources without marks; it may reuse the slice.
func withoutMarks(sources []string) []string {
	if !slices.ContainsFunc(sources, isMark) {
		return sources
	}
	if sources = slices.DeleteFunc(sources, isMark); len(sources) == 0 {
		return nil
	}
	return sources
}

// marksOf returns the marks that a relation made of cols must keep.
func marksOf(cols []action.Column) []string {
	if slices.ContainsFunc(cols, func(c action.Column) bool { return c.Turned || slices.Contains(c.Sources, turnedMark) }) {
		return []string{turnedMark}
	}
	return nil
}

// marked turns the marks among the sources of columns into their facts.
func marked(cols []action.Column) []action.Column {
	if !slices.ContainsFunc(cols, func(c action.Column) bool { return slices.ContainsFunc(c.Sources, isMark) }) {
		return cols
	}
	out := slices.Clone(cols)
	for i, c := range out {
		out[i].Turned = c.Turned || slices.Contains(c.Sources, turnedMark)
		out[i].Aggregate = c.Aggregate || slices.Contains(c.Sources, aggregateMark)
		out[i].Sources = withoutMarks(slices.Clone(c.Sources))
	}
	return out
}

// plainFunctions return what they are given, a part of it that is a value of
// its own (an element, a member), or how much there is of it.
var plainFunctions = words(
	`coalesce count sum avg min max any_value array_agg json_agg jsonb_agg json_agg_strict jsonb_agg_strict json_object_agg jsonb_object_agg
	first_value last_value nth_value lag lead mode percentile_disc row_number rank dense_rank ntile grouping`,
	`length char_length character_length octet_length bit_length cardinality array_length array_ndims json_array_length
	jsonb_array_length json_typeof jsonb_typeof pg_typeof pg_column_size num_nulls num_nonnulls`,
	`lower upper quote_literal quote_nullable quote_ident`,
	`unnest array_append array_prepend array_cat json_each json_each_text jsonb_each jsonb_each_text json_array_elements
	json_array_elements_text jsonb_array_elements jsonb_array_elements_text json_extract_path json_extract_path_text jsonb_extract_path
	jsonb_extract_path_text json_object_keys jsonb_object_keys json_strip_nulls jsonb_strip_nulls jsonb_pretty to_json to_jsonb
	row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array array_to_json`,
)

// trims take blanks from the ends of a text when they are given nothing else.
var trims = words(`btrim ltrim rtrim trim`)

// joins put texts together: with the separator before, behind, or between the texts themselves.
var joins = map[string]int{"concat_ws": 0, "string_agg": 1, "array_to_string": 1, "concat": -1}

// plainOperators compare for being the same, or take a member.
var plainOperators = words(`= <> != -> ->> #> #>>`)

// memberOperators and memberFunctions take a member by its key. The key tells the
// class of what stands under it, so one that nobody can read hides it: doc ->> ('pass' || 'word').
var (
	memberOperators = words(`-> ->> #> #>>`)
	memberFunctions = words(`json_extract_path json_extract_path_text jsonb_extract_path jsonb_extract_path_text`)
)

// constKey reports whether a key stands in the text of the statement.
func constKey(n *pg.Node) bool {
	if _, constant := constText(n); constant {
		return true
	}
	array := n.GetAArrayExpr()
	return array != nil && !slices.ContainsFunc(array.Elements, func(e *pg.Node) bool { return !constKey(e) })
}

// subscriptTurns reports whether (x)[…] takes a member by a key that is not in the text.
func subscriptTurns(n *pg.A_Indirection) bool {
	return slices.ContainsFunc(n.Indirection, func(i *pg.Node) bool {
		s := i.GetAIndices()
		return s.GetUidx() != nil && !constKey(s.Uidx) || s.GetLidx() != nil && !constKey(s.Lidx)
	})
}

// plainTypes print a text as it was read, or don't read it.
var plainTypes = words(`text varchar bpchar int2 int4 int8 numeric bool json jsonb uuid date time timestamp timestamptz`)

// turnsCall reports whether a function returns text in another form than it was given.
func turnsCall(name string, args []*pg.Node) bool {
	switch at, is := joins[name]; {
	case is && at >= 0:
		return len(args) <= at || !separates(args[at])
	case is:
		return !separated(args)
	case trims[name]:
		return len(args) > 1
	case memberFunctions[name]:
		return len(args) > 0 && slices.ContainsFunc(args[1:], func(key *pg.Node) bool { return !constKey(key) })
	}
	return !plainFunctions[name]
}

// attributeTurns reports whether (x).name calls a function that turns x, or (x)[…] hides which member it is.
func attributeTurns(n *pg.A_Indirection) bool {
	return slices.ContainsFunc(n.Indirection, func(i *pg.Node) bool {
		name := i.GetString_().GetSval()
		return harmlessFunctions[name] && !fieldNames[name] && turnsCall(name, nil)
	}) || subscriptTurns(n)
}

// turnsExpr is turnsCall for the other nodes of an output list.
func turnsExpr(m protoreflect.Message) bool {
	switch n := m.Interface().(type) {
	case *pg.A_Expr:
		switch n.Kind {
		case pg.A_Expr_Kind_AEXPR_NULLIF, pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_IN:
			return false
		case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
			op := nameOf(n.Name)
			if memberOperators[op] && !constKey(n.Rexpr) {
				return true
			}
			return !plainOperators[op] && (op != "||" || !separated(pieces(n, nil)))
		}
		return true
	case *pg.TypeCast:
		return !plainTypes[lastPart(nameOf(n.TypeName.GetNames()))] || len(n.TypeName.GetTypmods()) > 0 || len(n.TypeName.GetArrayBounds()) > 0
	case *pg.XmlExpr, *pg.XmlSerialize, *pg.JsonFuncExpr, *pg.JsonScalarExpr, *pg.JsonSerializeExpr:
		return true
	}
	return false
}

// pieces takes a chain of || apart.
func pieces(n *pg.A_Expr, out []*pg.Node) []*pg.Node {
	for _, side := range []*pg.Node{n.Lexpr, n.Rexpr} {
		if inner := side.GetAExpr(); inner != nil && inner.Kind == pg.A_Expr_Kind_AEXPR_OP && nameOf(inner.Name) == "||" {
			out = pieces(inner, out)
			continue
		}
		out = append(out, side)
	}
	return out
}

// separated reports whether no two texts touch, and no literal touches a text
// with a letter or digit: glued to a value, it hides the value from who looks for it.
func separated(parts []*pg.Node) bool {
	touching := false // what stands before is a text without separator behind it
	for i, p := range parts {
		text, constant := constText(p)
		switch {
		case constant && text == "":
		case constant:
			if !separator(text, i > 0, i < len(parts)-1) {
				return false
			}
			touching = false
		case touching:
			return false
		default:
			touching = true
		}
	}
	return true
}

// separates reports whether a constant may stand between texts.
func separates(n *pg.Node) bool {
	text, constant := constText(n)
	return constant && text != "" && separator(text, true, true)
}

// separator reports whether text may stand beside another: with blanks or
// punctuation where they touch, and without digits, which might join them.
func separator(text string, before, behind bool) bool {
	const ends = " \t\n,;:|"
	return !strings.ContainsAny(text, "0123456789") &&
		(!before || strings.IndexByte(ends, text[0]) >= 0) && (!behind || strings.IndexByte(ends, text[len(text)-1]) >= 0)
}

// aggregateFunctions fold the rows of a group into one.
var aggregateFunctions = words(`any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg
	json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique jsonb_agg jsonb_agg_strict jsonb_object_agg
	jsonb_object_agg_strict max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count
	regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp
	variance xmlagg`)

func aggregates(name string, f *pg.FuncCall) bool {
	return aggregateFunctions[name] || f.AggStar || f.AggDistinct || f.AggWithinGroup || f.AggFilter != nil || len(f.AggOrder) > 0
}
