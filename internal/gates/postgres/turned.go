package postgres

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// textless are types whose values hold no text, and arrays of them: an expression
// that turns one around hides no class that is found by its form. Any other type
// may, also one that nobody knows.
var textless = map[uint32]bool{
	16: true, 20: true, 21: true, 23: true, 26: true, 700: true, 701: true, 790: true, 1700: true, // bool, int8, int2, int4, oid, float4, float8, money, numeric
	1082: true, 1083: true, 1114: true, 1184: true, 1186: true, 1266: true, 2950: true, // date, time, timestamp, timestamptz, interval, timetz, uuid
	24: true, 2205: true, 2206: true, 4089: true, 4096: true, // regproc, regclass, regtype, regnamespace, regrole
	1000: true, 1016: true, 1005: true, 1007: true, 1028: true, 1021: true, 1022: true, 791: true, 1231: true, // their arrays
	1182: true, 1183: true, 1115: true, 1185: true, 1187: true, 1270: true, 2951: true,
}

// rowColumns are columns that every table has beside its own.
var rowColumns = []string{"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}

// systemTexts are what in the system's own relations shows what others said or stored.
var systemTexts = []string{"pg_stat_activity", "pg_prepared_statements", "pg_cursors", "pg_stat_statements"}

// systemColumns are what others wrote into the system's own relations: settings,
// options of servers, comments, code.
var systemColumns = map[string][]string{
	"pg_attribute": {"attmissingval", "attfdwoptions"}, "pg_db_role_setting": {"setconfig"}, "pg_roles": {"rolconfig"}, "pg_user": {"useconfig"},
	"pg_foreign_server": {"srvoptions"}, "pg_foreign_table": {"ftoptions"}, "pg_foreign_data_wrapper": {"fdwoptions"},
	"pg_settings": {"setting", "boot_val", "reset_val"}, "pg_description": {"description"}, "pg_shdescription": {"description"},
	"pg_seclabel": {"label"}, "pg_shseclabel": {"label"}, "pg_seclabels": {"label"}, "pg_proc": {"prosrc"}, "pg_trigger": {"tgargs"},
}

// tells reports whether a column of the system's own shows what others wrote.
func tells(table, column string) bool {
	columns := systemColumns[strings.TrimPrefix(table, "pg_catalog.")]
	return slices.Contains(columns, column) || column == "*" && columns != nil
}

// schemaViews are views of information_schema. A parsed source has no schema.
var schemaViews = strings.Fields(`applicable_roles columns column_privileges constraint_column_usage constraint_table_usage domains
	element_types enabled_roles key_column_usage parameters referential_constraints role_table_grants routines schemata sequences
	table_constraints table_privileges tables triggers views`)

// turned reports whether a column shows text in a form in which its classes can't be
// found. The parser says which expressions turn text; the catalogue, whether there
// was any. objects are what the statement touches, by name.
func (s *snapshot) turned(col action.Column, among []*relation, objects []string) bool {
	text := false
	for _, source := range col.Sources {
		dot := strings.LastIndexByte(source, '.')
		if dot <= 0 {
			continue // a member's name
		}
		table, name := source[:dot], source[dot+1:]
		behind := s.behind(table, among)
		if len(behind) == 0 {
			text = text || !system(table) || tells(table, name) || slices.Contains(objects, "pg_temp."+table)
		}
		for _, r := range behind {
			text = text || s.holdsText(r, []string{source})
			for _, c := range r.columns {
				if (name == "*" || name == c.name) && r.from[c.name].turned {
					return true
				}
			}
		}
	}
	return col.Turned && text
}

// holdsText reports whether one of the columns that sources name can hold text.
func (s *snapshot) holdsText(r *relation, sources []string) bool {
	for _, source := range sources {
		name := source[strings.LastIndexByte(source, '.')+1:]
		known := slices.Contains(rowColumns, name)
		for _, c := range r.columns {
			if name == "*" || name == c.name {
				known = true
				if t := s.types[c.typ]; !textless[c.typ] && (t == nil || t.kind != 'e') { // an enum's labels are the schema's
					return true
				}
			}
		}
		if !known {
			return true
		}
	}
	return false
}

// system reports whether a relation that the snapshot lacks tells of the schema
// and not of its rows.
func system(table string) bool {
	table = strings.TrimPrefix(strings.TrimPrefix(table, "pg_catalog."), "information_schema.")
	return strings.HasPrefix(table, "pg_") && !slices.Contains(systemTexts, table) || slices.Contains(schemaViews, table)
}
