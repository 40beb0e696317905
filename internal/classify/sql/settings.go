package sql

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/assenthq/assent/action"
)

// set classifies SET and RESET.
func (a *analysis) set(n *pg.VariableSetStmt) {
	s := &a.stmt
	s.Verb, s.Target, s.Harmless = "set", strings.ToLower(n.Name), "harmless setting"
	name := s.Target
	switch n.Kind {
	case pg.VariableSetKind_VAR_SET_VALUE:
		value, known := joinArgs(n.Args)
		a.setting(name, value, known, n.IsLocal)
	case pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_RESET:
		s.Verb = "reset"
		a.reset(name, n.IsLocal)
	case pg.VariableSetKind_VAR_RESET_ALL:
		s.Verb = "reset all"
		s.Session = append(s.Session, SessionEffect{Kind: SessionReset, Name: "*"})
		a.kind("RESET ALL takes back every setting", action.ConfigChange)
	case pg.VariableSetKind_VAR_SET_CURRENT:
		s.Session = append(s.Session, SessionEffect{Kind: SessionSet, Name: name})
		a.kind("SET … FROM CURRENT", action.ConfigChange)
	case pg.VariableSetKind_VAR_SET_MULTI:
		a.setMulti(n)
	default:
		a.unknown("SET of an unknown form")
	}
}

func joinArgs(args []*pg.Node) (string, bool) {
	parts := make([]string, 0, len(args))
	for _, n := range args {
		v, known := constText(n)
		if !known {
			return "", false
		}
		parts = append(parts, v)
	}
	return strings.Join(parts, ", "), true
}

// setMulti classifies SET TRANSACTION and SET SESSION CHARACTERISTICS.
func (a *analysis) setMulti(n *pg.VariableSetStmt) {
	switch n.Name {
	case "TRANSACTION", "SESSION CHARACTERISTICS":
		a.stmt.Harmless = "transaction control"
		a.transactionModes(n.Args)
		kind := SessionSet
		if n.Name == "TRANSACTION" {
			kind = SessionSetLocal
		}
		a.stmt.Session = append(a.stmt.Session, SessionEffect{Kind: kind, Name: strings.ToLower(n.Name), Local: kind == SessionSetLocal})
	case "TRANSACTION SNAPSHOT":
		a.kind("takes another session's view of the data", action.ConfigChange)
	default:
		a.unknown("SET of an unknown form")
	}
}

// setting classifies setting name to value, by SET or by set_config.
func (a *analysis) setting(name, value string, known, local bool) {
	eff := SessionEffect{Kind: SessionSet, Name: name, Value: value, Known: known, Local: local}
	if local {
		eff.Kind = SessionSetLocal
	}
	if !known {
		eff.Value = ""
	}
	switch name {
	case "role":
		eff.Kind = SessionRole
		a.kind("SET ROLE changes whose rights count", action.PrivilegeChange)
	case "session_authorization":
		eff.Kind = SessionAuthorization
		a.kind("SET SESSION AUTHORIZATION changes who the session is", action.PrivilegeChange, action.IdentityChange)
	case "search_path":
		eff.Kind = SessionSearchPath
		a.kind("SET search_path changes what names mean", action.ConfigChange)
	default:
		a.ordinarySetting(name, value, known)
	}
	a.stmt.Session = append(a.stmt.Session, eff)
}

func (a *analysis) ordinarySetting(name, value string, known bool) {
	value = strings.ToLower(value)
	pinned, parse := parseSettings[name]
	switch {
	case parse && known && samePin(pinned, value):
	case parse:
		a.kind("SET "+name+" changes how the server reads a text", action.ConfigChange, action.Unknown)
	case harmlessSettings[name]:
	case name == "transaction_read_only" || name == "default_transaction_read_only":
		if !known || value != "on" && value != "true" && value != "1" {
			a.kind("leaves read-only mode", action.ConfigChange)
		}
	default:
		a.kind("SET of a setting that is not known to be harmless", action.ConfigChange)
	}
}

// samePin reports whether value says what pinned says, in any of its spellings.
func samePin(pinned, value string) bool {
	switch value {
	case pinned:
		return true
	case "true", "yes", "1":
		return pinned == "on"
	case "false", "no", "0":
		return pinned == "off"
	case "utf-8", "unicode":
		return pinned == "utf8"
	}
	return false
}

// reset classifies RESET name and SET name TO DEFAULT.
func (a *analysis) reset(name string, local bool) {
	eff := SessionEffect{Kind: SessionReset, Name: name, Local: local}
	switch name {
	case "role":
		eff.Kind = SessionRole
		a.kind("RESET ROLE changes whose rights count", action.PrivilegeChange)
	case "session_authorization":
		eff.Kind = SessionAuthorization
		a.kind("SET SESSION AUTHORIZATION changes who the session is", action.PrivilegeChange, action.IdentityChange)
	case "search_path":
		eff.Kind = SessionSearchPath
		a.kind("RESET search_path changes what names mean", action.ConfigChange)
	default:
		if _, parse := parseSettings[name]; parse {
			a.kind("RESET "+name+" changes how the server reads a text", action.ConfigChange, action.Unknown)
		} else if !harmlessSettings[name] {
			a.kind("RESET of a setting that is not known to be harmless", action.ConfigChange)
		}
	}
	a.stmt.Session = append(a.stmt.Session, eff)
}

func (a *analysis) discard(n *pg.DiscardStmt) {
	s := &a.stmt
	s.Verb, s.Harmless = "discard", "discard session caches"
	target := ""
	switch n.Target {
	case pg.DiscardMode_DISCARD_ALL:
		target = "*"
		s.Deallocate = "*"
		s.Cursor = &Cursor{Op: CursorClose, Name: "*"}
		a.kind("DISCARD ALL takes back every setting, also a role set for this session", action.ConfigChange)
	case pg.DiscardMode_DISCARD_PLANS:
		target = "plans"
	case pg.DiscardMode_DISCARD_SEQUENCES:
		target = "sequences"
	case pg.DiscardMode_DISCARD_TEMP:
		target = "temp"
		a.kind("DISCARD TEMP drops temporary tables", action.SchemaChange)
	default:
		a.unknown("DISCARD of an unknown form")
	}
	s.Target = target
	s.Session = append(s.Session, SessionEffect{Kind: SessionDiscard, Name: target})
}
