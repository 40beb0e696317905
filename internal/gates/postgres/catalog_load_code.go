package postgres

import (
	"crypto/sha256"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/classify/sql"
)

// newestSyntax is for what the server prints of its own definitions: syntax, never a user's function of that name.
const newestSyntax = 170000

func (l *loader) number(b []byte) int {
	n, err := strconv.Atoi(string(b))
	if err != nil && l.err == nil {
		l.err = errRow
	}
	return n
}

func (l *loader) foreign(s *snapshot) error {
	rows, err := l.query("SELECT f.ftrelid, v.srvname, CAST(f.ftoptions AS text), CAST(v.srvoptions AS text) FROM pg_catalog.pg_foreign_table f "+
		"JOIN pg_catalog.pg_foreign_server v ON v.oid = f.ftserver", 4)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if r := s.relations[l.oid(row[0])]; r != nil {
			r.server, r.options = string(row[1]), string(row[2])+" "+string(row[3])
		}
	}
	return nil
}

// memberOf joins the extension that an object of a catalogue belongs to.
func memberOf(class, oid string) string {
	return " LEFT JOIN pg_catalog.pg_depend d ON d.classid = " + class + " AND d.objid = " + oid + " AND d.objsubid = 0 AND d.refclassid = 3079 AND d.deptype = 'e' " +
		"LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid "
}

func (l *loader) userTypes(s *snapshot) error {
	rows, err := l.query("SELECT t.oid, n.nspname, t.typname, t.typtype, t.typbasetype, t.typelem, t.typrelid, e.extname "+
		"FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"+memberOf("1247", "t.oid")+
		"WHERE t.oid"+userMade+" AND n.nspname NOT LIKE 'pg~_temp~_%' ESCAPE '~' AND n.nspname <> 'pg_toast'", 8)
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := &userType{
			oid: l.oid(row[0]), schema: string(row[1]), base: string(row[2]), kind: l.char(row[3]), of: l.oid(row[4]),
			relation: l.oid(row[6]), extension: string(row[7]),
		}
		if elem := l.oid(row[5]); t.kind == 'b' && elem != 0 {
			t.of = elem
		}
		s.types[t.oid] = t
		s.typeNamed[t.name()] = t
	}
	rows, err = l.query("SELECT c.contypid, c.conname, pg_catalog.pg_get_expr(c.conbin, 0) FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0 AND c.contype = 'c'", 3)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if t := s.types[l.oid(row[0])]; t != nil {
			t.checks = append(t.checks, expression{"check " + string(row[1]), string(row[2])})
		}
	}
	return nil
}

func (l *loader) loadFunctions(s *snapshot) error {
	rows, err := l.query("SELECT c.oid, n.nspname, c.proname, c.prokind, c.provolatile, CASE WHEN c.prosecdef THEN 1 ELSE 0 END, "+
		"g.lanname, e.extname, c.pronargdefaults, c.provariadic, CAST(c.proargtypes AS text), "+
		"CASE WHEN c.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(c.oid) END, c.proowner, "+
		"CAST(a.aggtransfn AS oid), CAST(a.aggfinalfn AS oid), CAST(a.aggcombinefn AS oid), CAST(a.aggmtransfn AS oid), "+
		"CAST(a.aggminvtransfn AS oid), CAST(a.aggmfinalfn AS oid) "+
		"FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace JOIN pg_catalog.pg_language g ON g.oid = c.prolang "+
		"LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = c.oid"+memberOf("1255", "c.oid")+
		"WHERE "+madeByUsers+" AND n.nspname NOT LIKE 'pg~_temp~_%' ESCAPE '~' ORDER BY c.oid", 19)
	if err != nil {
		return err
	}
	texts := make(map[*function]string, len(rows))
	for _, row := range rows {
		f := &function{
			oid: l.oid(row[0]), schema: string(row[1]), base: string(row[2]), kind: l.char(row[3]), volatility: l.char(row[4]), definer: string(row[5]) == "1",
			language: string(row[6]), extension: string(row[7]), defaults: l.number(row[8]), variadic: l.oid(row[9]) != 0,
		}
		for _, arg := range strings.Fields(string(row[10])) {
			f.args = append(f.args, l.oid([]byte(arg)))
		}
		for _, part := range row[13:] {
			if part != nil {
				f.parts = append(f.parts, l.oid(part))
			}
		}
		f.hash = sha256.Sum256([]byte(string(row[11]) + "\x00" + string(row[12]) + "\x00" + string(row[10])))
		texts[f] = string(row[11])
		s.functions[f.base] = append(s.functions[f.base], f)
		s.code[f.oid] = f
	}
	for f, text := range texts {
		f.words = wordsOf(text, func(w string) bool { return len(s.functions[w]) > 0 && w != f.base || len(s.bare[w]) > 0 })
	}
	return nil
}

func (l *loader) operators(s *snapshot) error {
	rows, err := l.query("SELECT o.oprname, n.nspname, o.oprleft, o.oprright, CAST(o.oprcode AS oid) FROM pg_catalog.pg_operator o "+
		"JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid"+userMade, 5)
	if err != nil {
		return err
	}
	for _, row := range rows {
		symbol := string(row[0])
		s.operators[symbol] = append(s.operators[symbol], &operator{string(row[1]), l.oid(row[2]), l.oid(row[3]), l.oid(row[4])})
	}
	return nil
}

func (l *loader) casts(s *snapshot) error {
	rows, err := l.query("SELECT c.castsource, c.casttarget, c.castfunc, c.castcontext FROM pg_catalog.pg_cast c WHERE c.oid"+userMade+" ORDER BY c.oid", 4)
	if err != nil {
		return err
	}
	for _, row := range rows {
		source, target := l.oid(row[0]), l.oid(row[1])
		if f := s.code[l.oid(row[2])]; f != nil {
			r := s.routine(f, []uint32{source, target})
			r.Implicit = string(row[3]) == "i"
			s.casts = append(s.casts, r)
			if r.Implicit && !r.Harmless && s.needs(source) == "" && s.needs(target) != "" {
				s.everywhere = append(s.everywhere, s.needs(target))
			}
		}
	}
	return nil
}

func (l *loader) rules(s *snapshot) error {
	rows, err := l.query("SELECT c.ev_class, c.rulename, pg_catalog.pg_get_ruledef(c.oid) FROM pg_catalog.pg_rewrite c "+
		"WHERE c.ev_class"+userMade+" AND c.rulename <> '_RETURN' AND c.ev_enabled <> 'D' ORDER BY c.rulename", 3)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if r := s.relations[l.oid(row[0])]; r != nil {
			r.rules = append(r.rules, rule{string(row[1]), string(row[2])})
		}
	}
	return nil
}

func (l *loader) triggers(s *snapshot) error {
	rows, err := l.query("SELECT c.tgrelid, c.tgname, pg_catalog.pg_get_triggerdef(c.oid), c.tgfoid, c.tgtype FROM pg_catalog.pg_trigger c "+
		"WHERE NOT c.tgisinternal AND c.tgenabled <> 'D' ORDER BY c.tgname", 5)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if r := s.relations[l.oid(row[0])]; r != nil {
			r.triggers = append(r.triggers, trigger{string(row[1]), string(row[2]), l.oid(row[3]), l.number(row[4])})
		}
	}
	if rows, err = l.query("SELECT c.evtname, c.evtevent, c.evtfoid FROM pg_catalog.pg_event_trigger c WHERE c.evtenabled <> 'D' ORDER BY c.evtname", 3); err != nil {
		return err
	}
	for _, row := range rows {
		s.events = append(s.events, trigger{name: string(row[0]), definition: string(row[1]), function: l.oid(row[2])})
	}
	return nil
}

// expressions are what the server evaluates when it reads or writes rows.
func (l *loader) expressions(s *snapshot) error {
	rows, err := l.query("SELECT c.polrelid, 'policy ' || c.polname, pg_catalog.pg_get_expr(c.polqual, c.polrelid), pg_catalog.pg_get_expr(c.polwithcheck, c.polrelid), 1 "+
		"FROM pg_catalog.pg_policy c UNION ALL "+
		"SELECT c.conrelid, 'check ' || c.conname, pg_catalog.pg_get_expr(c.conbin, c.conrelid), NULL, 0 FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid"+userMade+" UNION ALL "+
		"SELECT c.adrelid, 'default', pg_catalog.pg_get_expr(c.adbin, c.adrelid), NULL, 0 FROM pg_catalog.pg_attrdef c UNION ALL "+
		"SELECT c.indrelid, 'index', pg_catalog.pg_get_expr(c.indexprs, c.indrelid), pg_catalog.pg_get_expr(c.indpred, c.indrelid), 0 FROM pg_catalog.pg_index c "+
		"WHERE c.indrelid"+userMade+" AND (c.indexprs IS NOT NULL OR c.indpred IS NOT NULL)", 5)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r := s.relations[l.oid(row[0])]
		if r == nil {
			continue
		}
		for _, text := range row[2:4] {
			if text == nil {
				continue
			}
			e := expression{string(row[1]), string(text)}
			if string(row[4]) == "1" {
				r.policies = append(r.policies, e)
			} else {
				r.checks = append(r.checks, e)
			}
		}
	}
	return nil
}

// cascades are the foreign keys by which a change of one table's rows changes another's.
func (l *loader) cascades(s *snapshot) error {
	rows, err := l.query("SELECT c.confrelid, c.conrelid FROM pg_catalog.pg_constraint c "+
		"WHERE c.contype = 'f' AND (c.confdeltype IN ('c','n','d') OR c.confupdtype IN ('c','n','d'))", 2)
	if err != nil {
		return err
	}
	for _, row := range rows {
		from, to := s.relations[l.oid(row[0])], s.relations[l.oid(row[1])]
		if from != nil && to != nil {
			from.cascades = append(from.cascades, to)
		}
	}
	return nil
}

var _ sql.Catalog = (*snapshot)(nil)
