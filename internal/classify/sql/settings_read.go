package sql

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/assenthq/assent/action"
)

// Settings hold secrets too: those that users named (app.token), connection strings,
// and commands of the server. To ask for one of them is a read, so its value is masked.

// settingsColumn is where the values of such settings come from.
const settingsColumn = "pg_settings.setting"

// tellingSettings are built-in settings whose values may hold passwords.
var tellingSettings = words(`all primary_conninfo archive_command restore_command archive_cleanup_command recovery_end_command
	ssl_passphrase_command synchronous_standby_names`)

// storedTexts are functions that show what others wrote, and the column it lies in.
var storedTexts = map[string]string{
	"obj_description": "pg_description.description", "col_description": "pg_description.description", "shobj_description": "pg_shdescription.description",
	"pg_get_functiondef": "pg_proc.prosrc",
}

func telling(setting string) bool {
	setting = strings.ToLower(setting)
	return strings.Contains(setting, ".") || tellingSettings[setting]
}

// settingRead notes what current_setting(name) shows.
func (a *analysis) settingRead(name *pg.Node, e env) {
	setting, known := constText(name)
	if known && !telling(setting) {
		return
	}
	a.kind("", action.DataRead)
	a.key(name, e)
	if !known {
		e = e.turning() // the name would tell the class
	}
	a.take(e, settingsColumn)
}

// show classifies SHOW.
func (a *analysis) show(n *pg.VariableShowStmt) {
	s := &a.stmt
	s.Verb, s.Target, s.Harmless = "show", n.Name, "show setting"
	if !telling(n.Name) {
		return
	}
	a.kind("", action.DataRead)
	if n.Name == "all" {
		return
	}
	col := action.Column{Name: n.Name, Sources: []string{settingsColumn}}
	for _, word := range strings.Split(n.Name, ".") {
		col.Sources = append(col.Sources, "."+word)
	}
	s.Columns = []action.Column{col}
}
