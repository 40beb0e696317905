package sql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// volatile are the harmless functions that may answer otherwise when asked
// again. Each was looked at: it tells the time, chance, or what the server and
// the session are doing, and changes nothing that another statement could see
// (setseed but for the chance of its own session, lo_close and lo_lseek but for a
// place in a large object that its own session has open).
var volatile = words(`clock_timestamp current_query currval gen_random_uuid lastval lo_close lo_lseek lo_lseek64 lo_tell lo_tell64 pg_blocking_pids pg_collation_actual_version
	pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_size pg_indexes_size pg_is_in_recovery
	pg_is_wal_replay_paused pg_jit_available pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
	pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_relation_size pg_safe_snapshot_blocking_pids
	pg_sequence_last_value pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_status random setseed timeofday txid_status`)

// builtins returns rows of a query about the catalogue, as text.
func builtins(t testing.TB, conn *pgconn.PgConn, query string) [][]string {
	t.Helper()
	r, err := conn.Exec(t.Context(), query).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for _, row := range r[0].Rows {
		var line []string
		for _, v := range row {
			line = append(line, string(v))
		}
		out = append(out, line)
	}
	return out
}

// The lists of built-in names are closed: a function that is called harmless is
// one of the server's own, or of a newer server and unknown on this one; those
// that are volatile are listed; everything else that the server has is unknown or harmful.
func TestBuiltinFunctionsAreKnown(t *testing.T) {
	o := startOracle(t)
	have := map[string]string{}
	for _, f := range builtins(t, o.connect(t, o.User, "postgres"), `SELECT proname, string_agg(DISTINCT provolatile::text, ''), bool_or(prosecdef)
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1`) {
		have[f[0]] = f[1]
		if harmlessFunctions[f[0]] && f[2] == "t" {
			t.Errorf("%s runs with its owner's rights", f[0])
		}
	}
	c := New(Options{CacheEntries: -1})
	for name := range harmlessFunctions {
		vol, ok := have[name]
		switch {
		case ok && newer[name] > oracleVersion:
			t.Errorf("PostgreSQL 15 has %s, which is listed as newer", name)
		case !ok && newer[name] <= oracleVersion:
			t.Errorf("PostgreSQL 15 has no %s: a function of that name is a user's", name)
		case strings.Contains(vol, "v") && !volatile[name]:
			t.Errorf("%s is volatile: look at it", name)
		case !ok && c.Classify("SELECT "+name+"(1)", State{ServerVersion: oracleVersion}).Statements[0].ReadOnly():
			t.Errorf("%s is taken for a built-in function that PostgreSQL 15 has not", name)
		}
	}
	for name := range newer {
		if !harmlessFunctions[name] {
			t.Errorf("newer names %s, which is not harmless", name)
		}
	}
	for name := range volatile {
		if !strings.Contains(have[name], "v") || !harmlessFunctions[name] {
			t.Errorf("%s is listed as volatile", name)
		}
	}
	for name := range have {
		r := c.Classify(`SELECT pg_catalog."`+name+`"()`, State{ServerVersion: oracleVersion})
		if _, bad := harmful[name]; !bad && !harmlessFunctions[name] && !r.Statements[0].Has("unknown") {
			t.Errorf("%s is on no list and not unknown: %v", name, all(r))
		}
	}
}

// oracleVersion is the version whose catalogue the lists were held against. The
// tests of the lists ask for a server of it.
const oracleVersion = 150018

// samples are values of the types of arguments.
var samples = map[string]string{
	"bool": "true", "int2": "1::int2", "int4": "1", "int8": "1::int8", "float4": "0.5::float4", "float8": "0.5::float8", "numeric": "0.5",
	"money": "1::money", "text": "'a'::text", "name": "'a'::name", "bpchar": "'a'::bpchar", "varchar": "'a'::varchar", "char": `'a'::"char"`,
	"bytea": `'\x61'::bytea`, "bit": "B'1'", "varbit": "B'1'::varbit", "json": "'{\"a\": [1]}'::json", "jsonb": "'{\"a\": [1]}'::jsonb",
	"jsonpath": "'$.a'::jsonpath", "xml": "'<a/>'::xml", "date": "'2024-01-01'::date", "time": "'10:00'::time", "timetz": "'10:00+00'::timetz",
	"timestamp": "'2024-01-01'::timestamp", "timestamptz": "'2024-01-01'::timestamptz", "interval": "'1 day'::interval",
	"oid": "'orders'::regclass::oid", "regclass": "'ticket'::regclass", "regproc": "'version'::regproc", "regtype": "'int4'::regtype",
	"regconfig": "'simple'::regconfig", "regdictionary": "'simple'::regdictionary", "regrole": "'app'::regrole",
	"regnamespace": "'public'::regnamespace", "regcollation": `'"C"'::regcollation`, "regoperator": "'+(int4,int4)'::regoperator",
	"regoper": "'@@@'::regoper", "regprocedure": "'version()'::regprocedure", "xid": "'700'::xid", "xid8": "'700'::xid8", "cid": "'0'::cid", "tid": "'(0,1)'::tid",
	"pg_snapshot": "pg_current_snapshot()", "txid_snapshot": "txid_current_snapshot()", "pg_lsn": "'0/1'::pg_lsn", "uuid": "gen_random_uuid()",
	"inet": "'127.0.0.1'::inet", "cidr": "'127.0.0.0/8'::cidr", "macaddr": "'00:00:00:00:00:01'::macaddr",
	"macaddr8": "'00:00:00:00:00:00:00:01'::macaddr8", "point": "'(1,1)'::point", "line": "'{1,1,1}'::line", "lseg": "'[(0,0),(1,1)]'::lseg",
	"box": "'((0,0),(1,1))'::box", "path": "'[(0,0),(1,1)]'::path", "polygon": "'((0,0),(1,1),(1,0))'::polygon", "circle": "'<(0,0),1>'::circle",
	"tsvector": "'a b'::tsvector", "tsquery": "'a & b'::tsquery", "int4range": "'[1,2)'::int4range", "int8range": "'[1,2)'::int8range",
	"numrange": "'[1,2)'::numrange", "daterange": "'[2024-01-01,2024-01-02)'::daterange", "tsrange": "'[2024-01-01,2024-01-02)'::tsrange",
	"tstzrange": "'[2024-01-01,2024-01-02)'::tstzrange", "int4multirange": "'{[1,2)}'::int4multirange", "int8multirange": "'{[1,2)}'::int8multirange",
	"nummultirange": "'{[1,2)}'::nummultirange", "datemultirange": "'{}'::datemultirange", "tsmultirange": "'{}'::tsmultirange",
	"tstzmultirange": "'{}'::tstzmultirange", "aclitem": "'app=r/postgres'::aclitem", "refcursor": "'c'::refcursor", "record": "ROW(1, 'a'::text)",
	"int2vector": "'1 2'::int2vector", "oidvector": "'1 2'::oidvector", "pg_node_tree": "(SELECT conbin FROM pg_constraint WHERE conbin IS NOT NULL LIMIT 1)", "cstring": "'a'::cstring", "any": "'a'::text", "anyelement": "1", "anynonarray": "1",
	"anyarray": "ARRAY[1]", "anycompatible": "1", "anycompatiblenonarray": "1", "anycompatiblearray": "ARRAY[1]", "anyenum": "'ok'::mood",
	"anyrange": "'[1,2)'::int4range", "anycompatiblerange": "'[1,2)'::int4range", "anymultirange": "'{[1,2)}'::int4multirange",
	"anycompatiblemultirange": "'{[1,2)}'::int4multirange", "unknown": "'a'",
	"_text": "ARRAY['a']", "_int2": "ARRAY[1::int2]", "_int4": "ARRAY[1]", "_int8": "ARRAY[1::int8]", "_float8": "ARRAY[0.5::float8]", "_numeric": "ARRAY[0.5]",
	"_bool": "ARRAY[true]", "_oid": "ARRAY[1::oid]", "_name": "ARRAY['a'::name]", "_char": `ARRAY['a'::"char"]`, "_regtype": "ARRAY['int4'::regtype]", "_cstring": "ARRAY['a'::cstring]",
	"_aclitem": "ARRAY['app=r/postgres'::aclitem]", "_xml": "ARRAY['<a/>'::xml]", "_range": "ARRAY['[1,2)'::int4range]", "_int4range": "ARRAY['[1,2)'::int4range]",
	"_int8range": "ARRAY['[1,2)'::int8range]", "_numrange": "ARRAY['[1,2)'::numrange]", "_daterange": "ARRAY['[2024-01-01,2024-01-02)'::daterange]",
	"_tsrange": "ARRAY['[2024-01-01,2024-01-02)'::tsrange]", "_tstzrange": "ARRAY['[2024-01-01,2024-01-02)'::tstzrange]", "_float4": "ARRAY[0.5::float4]",
	"_record": "ARRAY[ROW(1)]", "_point": "ARRAY['(1,1)'::point]", "_varchar": "ARRAY['a'::varchar]",
}

// Every overload of every harmless function, every operator of pg_catalog and
// every cast between built-in types is run once with plausible arguments: none
// of them moves anything.
func TestBuiltinsMoveNothing(t *testing.T) {
	o := startOracle(t)
	prepareOracle(t, o)
	conn := o.connect(t, o.User, "regression")
	texts := slices.Concat(calls(t, conn), operations(t, conn), casts(t, conn))
	s := newSubject(t, o.connect(t, o.User, "regression"), newWitness(t, o, "regression"), New(Options{CacheEntries: -1}), newTwin())
	s.do("SELECT nextval('ticket')") // or currval has nothing to tell
	s.look()
	s.do("BEGIN")
	ran := map[string]bool{} // functions, and texts
	for _, text := range texts {
		b := s.run(text)
		if len(b.moved) > 0 {
			t.Errorf("%s: %s", strings.Join(b.moved, ", "), text)
		}
		switch {
		case b.refused:
			t.Errorf("%s: %s", b.message, text)
		case !b.ran():
			s.do("ROLLBACK")
			s.do("BEGIN")
		default:
			ran[text] = true
			for _, name := range b.result.Statements[0].Functions {
				ran[lastPart(name)] = true
			}
			if !b.readOnly() && !strings.Contains(text, "mood") {
				t.Errorf("made of harmless parts, but %v (%s): %s", all(b.result), why(b.result), text)
			}
		}
	}
	for name := range harmlessFunctions {
		if !ran[name] && newer[name] <= oracleVersion && !elsewhere[name] {
			t.Errorf("%s never ran: give it arguments in choosy", name)
		}
	}
	t.Logf("%d texts, %d functions and texts ran", len(texts), len(ran))
	if len(texts) < 1800 {
		t.Errorf("only %d texts", len(texts))
	}
}

// arguments are values for a list of types, or false.
func arguments(types string) (string, bool) {
	var out []string
	for _, typ := range strings.Fields(types) {
		v, ok := samples[typ]
		if !ok {
			return "", false
		}
		out = append(out, v)
	}
	return strings.Join(out, ", "), true
}

// calls are calls of the harmless functions.
func calls(t testing.TB, conn *pgconn.PgConn) []string {
	var out []string
	for _, f := range builtins(t, conn, `SELECT proname, prokind, aggkind, aggnumdirectargs, prorettype::regtype, array_to_string(
		ARRAY(SELECT typname FROM unnest(proargtypes) WITH ORDINALITY AS a(o, n) JOIN pg_type ON pg_type.oid = o ORDER BY n), ' ')
		FROM pg_proc LEFT JOIN pg_aggregate ON aggfnoid = pg_proc.oid WHERE pronamespace = 'pg_catalog'::regnamespace ORDER BY 1, 6`) {
		name, kind, aggregate, direct, result := f[0], f[1], f[2], f[3], f[4]
		args, ok := arguments(f[5])
		if !harmlessFunctions[name] || !ok || result == "internal" {
			continue
		}
		list := strings.Split(args, ", ")
		switch {
		case kind == "w":
			out = append(out, fmt.Sprintf(`SELECT "%s"(%s) OVER ()`, name, args))
		case aggregate == "o" && direct == "0":
			out = append(out, fmt.Sprintf(`SELECT "%s"() WITHIN GROUP (ORDER BY %s)`, name, args))
		case aggregate == "o" || aggregate == "h":
			out = append(out, fmt.Sprintf(`SELECT "%s"(%s) WITHIN GROUP (ORDER BY %s)`, name, list[0], list[len(list)-1]))
		case result == "record" && strings.Contains(name, "_to_record"):
			out = append(out, fmt.Sprintf(`SELECT * FROM "%s"(%s) AS r(a int)`, name, args))
		default:
			out = append(out, fmt.Sprintf(`SELECT "%s"(%s)`, name, args))
		}
	}
	for _, text := range choosy {
		out = append(out, "SELECT "+text)
	}
	return slices.Compact(out)
}

// choosy are calls of functions that take none of the samples, and of the ways
// of calling that samples do not show.
var choosy = []string{
	`acldefault('r', 10)`, `acosh(2)`, `bool('true'::jsonb)`, `convert('a', 'UTF8', 'LATIN1')`, `convert_from('a', 'UTF8')`, `convert_to('a', 'UTF8')`,
	`current_setting('work_mem')`, `date_part('day', now())`, `date_trunc('day', now(), 'UTC')`, `datemultirange('[2024-01-01,2024-01-02)'::daterange)`,
	`decode('YQ==', 'base64')`, `encode('a', 'base64')`, `extract(day FROM now())`, `get_bit(B'1', 0)`, `get_byte('a', 0)`,
	`has_any_column_privilege('app', 'orders', 'SELECT')`, `has_column_privilege('app', 'orders', 'id', 'SELECT')`,
	`has_database_privilege('app', 'postgres', 'CONNECT')`, `has_foreign_data_wrapper_privilege(10, 'USAGE')`,
	`has_function_privilege('app', 'version()', 'EXECUTE')`, `has_language_privilege('app', 'sql', 'USAGE')`,
	`has_parameter_privilege('app', 'work_mem', 'SET')`, `has_schema_privilege('app', 'archive', 'USAGE')`,
	`has_sequence_privilege('app', 'ticket', 'USAGE')`, `has_server_privilege(10, 'USAGE')`, `has_table_privilege('app', 'orders', 'SELECT')`,
	`has_tablespace_privilege('app', 'pg_default', 'CREATE')`, `has_type_privilege('app', 'pair', 'USAGE')`, `pg_has_role('app', 'auditor', 'USAGE')`,
	`is_normalized('a', 'NFC')`, `normalize('a', NFC)`, `json_array_elements('[1]')`, `json_array_elements_text('[1]')`, `json_array_length('[1]')`,
	`json_extract_path('{}', 'a')`, `json_extract_path_text('{}', 'a')`, `json_populate_record(c, '{}') FROM customers c LIMIT 1`,
	`json_populate_recordset(c, '[{}]') FROM customers c LIMIT 1`, `json_to_tsvector('{}', '"all"')`, `jsonb_array_elements('[1]')`,
	`jsonb_array_elements_text('[1]')`, `jsonb_array_length('[1]')`, `jsonb_extract_path('{}', 'a')`, `jsonb_extract_path_text('{}', 'a')`,
	`jsonb_insert('{}', '{a}', '1')`, `jsonb_populate_record(c, '{}') FROM customers c LIMIT 1`, `jsonb_populate_recordset(c, '[{}]') FROM customers c LIMIT 1`,
	`jsonb_to_tsvector('{}', '"all"')`, `jsonb_delete('[1]', 0)`, `'[1]'::jsonb - 0`, `* FROM json_to_record('{"a": 1}') AS r(a int)`, `* FROM json_to_recordset('[{"a": 1}]') AS r(a int)`,
	`* FROM jsonb_to_record('{"a": 1}') AS r(a int)`, `* FROM jsonb_to_recordset('[{"a": 1}]') AS r(a int)`, `json_object('{a,b}')`, `json_build_object('a', 1)`, `count(*)`,
	`line('(0,0)', '(1,1)')`, `make_timestamptz(2024, 1, 1, 1, 1, 1, 'UTC')`, `makeaclitem(10, 10, 'SELECT', false)`,
	`pg_collation_actual_version(100)`, `pg_database_size('postgres')`, `pg_describe_object(1259, 'orders'::regclass, 0)`,
	`pg_get_object_address('table', '{public,orders}', '{}')`, `pg_get_publication_tables('feed')`, `pg_get_serial_sequence('orders', 'id')`,
	`pg_identify_object(1259, 'orders'::regclass, 0)`, `pg_identify_object_as_address(1259, 'orders'::regclass, 0)`, `pg_size_bytes('1 MB')`,
	`pg_tablespace_location(1663)`, `pg_tablespace_size('pg_default')`, `pg_relation_size('orders', 'fsm')`, `polygon('((0,0),(1,1),(1,0))'::path)`,
	`regexp_count('a', 'a', 1, 'i')`, `regexp_replace('a', 'a', 'b', 'g')`, `set_bit(B'1', 0, 1)`, `set_byte('a', 0, 1)`, `to_ascii('a', 'LATIN1')`,
	`to_number('1', '9')`, `to_regoperator('+(int4,int4)')`, `to_regprocedure('version()')`, `ts_headline('a', 'a', 'StartSel=b')`,
	`ts_parse('default', 'a b')`, `ts_token_type('default')`, `ts_rank('{0.1,0.2,0.3,0.4}', 'a', 'a')`, `ts_rank_cd('{0.1,0.2,0.3,0.4}', 'a', 'a')`,
	`width_bucket(1, 0, 2, 4)`, `xpath('/a', '<a/>', '{{n,http://example.com}}')`, `xpath_exists('/a', '<a/>', '{{n,http://example.com}}')`,
	`timezone('UTC', now())`, `pg_get_viewdef('customer_names'::regclass, true)`, `pg_get_triggerdef(oid) FROM pg_trigger`, `pg_get_constraintdef(oid) FROM pg_constraint`,
	`pg_get_ruledef(oid) FROM pg_rewrite`, `pg_get_functiondef('writes'::regproc)`, `pg_get_indexdef('orders_customer'::regclass)`, `pg_options_to_table('{a=b}')`,
}

// elsewhere are harmless functions that run on a standby only, or on a large object
// that is open, which oracle.jsonl has.
var elsewhere = words(`pg_is_wal_replay_paused lo_close lo_lseek lo_lseek64 lo_tell lo_tell64`)

// operations are uses of the operators.
func operations(t testing.TB, conn *pgconn.PgConn) []string {
	var out []string
	for _, f := range builtins(t, conn, `SELECT oprname, coalesce(l.typname, ''), r.typname FROM pg_operator
		LEFT JOIN pg_type l ON l.oid = oprleft JOIN pg_type r ON r.oid = oprright WHERE oprnamespace = 'pg_catalog'::regnamespace ORDER BY 1, 2, 3`) {
		if !operators[f[0]] {
			t.Errorf("operator %s is built in and not listed", f[0])
		}
		left, ok := arguments(f[1])
		right, also := arguments(f[2])
		if ok && also {
			out = append(out, "SELECT "+left+" "+f[0]+" "+right)
		}
	}
	return out
}

// casts are the casts that run a function or an input function.
func casts(t testing.TB, conn *pgconn.PgConn) []string {
	var out []string
	for _, f := range builtins(t, conn, `SELECT s.typname, d.typname FROM pg_cast JOIN pg_type s ON s.oid = castsource JOIN pg_type d ON d.oid = casttarget
		WHERE pg_cast.oid < 16384 AND d.typname !~ '^pg_(ndistinct|dependencies|mcv_list|brin)' ORDER BY 1, 2`) {
		if v, ok := samples[f[0]]; ok {
			out = append(out, "SELECT "+v+`::pg_catalog."`+f[1]+`"`)
		}
	}
	return out
}
