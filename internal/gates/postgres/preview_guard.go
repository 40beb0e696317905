package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/classify/sql"
)

// guard asks, in the transaction that will run the query, for what the planner could
// find instead of what the parser took a name for: the classifier's word is good for
// the server's own functions and operators, and for tables that are no more than tables.
// oids are the relations that st names.
func (q *asker) guard(st *sql.Statement, oids []uint32) error {
	list := make([]string, 0, len(oids))
	for _, oid := range oids {
		list = append(list, strconv.FormatUint(uint64(oid), 10))
	}
	names := []string{"''"}
	for _, f := range st.Functions {
		names = append(names, literal(f[strings.LastIndexByte(f, '.')+1:]))
	}
	slices.Sort(names)
	rows, err := q.rows("WITH RECURSIVE kin(oid) AS (SELECT pg_catalog.unnest('{" + strings.Join(list, ",") + "}'::pg_catalog.oid[]) UNION " +
		"SELECT n.oid FROM kin, LATERAL (SELECT inhrelid AS oid FROM pg_catalog.pg_inherits WHERE inhparent = kin.oid UNION ALL " +
		"SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass " +
		"AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass WHERE r.ev_class = kin.oid) n), " +
		"rel AS (SELECT c.* FROM kin JOIN pg_catalog.pg_class c USING (oid)) SELECT " +
		"(SELECT pg_catalog.count(*) FROM rel WHERE relkind = 'f'), " +
		"(SELECT pg_catalog.count(*) FROM rel WHERE relrowsecurity), " +
		"(SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc p WHERE p.oid" + userMade + " AND (p.proname IN (" + strings.Join(slices.Compact(names), ", ") + ") " +
		"OR p.proargtypes[0] IN (SELECT reltype FROM rel))), " +
		"(SELECT pg_catalog.count(*) FROM pg_catalog.pg_operator o WHERE o.oid" + userMade + " AND o.oprleft < 16384 AND o.oprright < 16384 " +
		"AND o.oprname IN (SELECT oprname FROM pg_catalog.pg_operator WHERE oid < 16384))")
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0]) != 4 {
		return errRow
	}
	for i, why := range []noPreview{
		"finding out would ask another system",
		"finding out could run code: a table has row security",
		"finding out could run code: a function of the database's own has a name that it uses",
		"finding out could run code: the database has operators of its own under names of the server's",
	} {
		if string(rows[0][i]) != "0" {
			return why
		}
	}
	return nil
}
