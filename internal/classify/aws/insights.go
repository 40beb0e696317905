package aws

import (
	"regexp"
	"strings"

	"github.com/assenthq/assent/action"
)

// What a query of CloudWatch Logs Insights may hold to be known: plain fields, and comparisons with
// plain values. Larger and smaller only with numbers too short to be a finding, or a value could be
// found by halves.
const (
	insightsField = "[@A-Za-z_][@A-Za-z0-9_.]*"
	insightsValue = `("[^"]*"|'[^']*'|-?[0-9]+)`
	insightsTest  = insightsField + `\s*(!?=\s*` + insightsValue + `|[<>]=?\s*-?[0-9]{1,6}\b|\s(not\s+)?in\s*\[\s*` + insightsValue + `(\s*,\s*` + insightsValue + `)*\s*\])`
)

var (
	// insightsPlain are the commands that take no value apart, and bring none under another name.
	insightsPlain = regexp.MustCompile(`(?is)^(` +
		`(fields|display)\s+` + insightsField + `(\s*,\s*` + insightsField + `)*` +
		`|sort\s+` + insightsField + `(\s+(asc|desc))?(\s*,\s*` + insightsField + `(\s+(asc|desc))?)*` +
		`|limit\s+[0-9]+` +
		`|filter\s+` + insightsTest + `(\s+(and|or)\s+` + insightsTest + `)*` +
		`)$`)
	insightsCommand = regexp.MustCompile(`(?i)^(fields|display|sort|limit|filter|parse|stats|dedup|pattern|diff|unnest)\b`)
	insightsWord    = regexp.MustCompile(insightsField)
	insightsQuoted  = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	insightsUnmask  = regexp.MustCompile(`(?i)\bunmask\b`)
)

// insights judges a query of CloudWatch Logs Insights. Its answer has values beside the names of
// their fields, and not under them: nothing masks them by name.
func (a *Analysis) insights(p *params) {
	text, language := "", ""
	for i := range p.list {
		switch strings.ToLower(leaf(p.list[i].name)) {
		case "querystring":
			text += p.list[i].value
		case "querylanguage":
			language += p.list[i].value
		}
	}
	if insightsUnmask.MatchString(text) {
		a.add("what data protection masks is shown", action.SecretAccess)
	}
	if strings.TrimSpace(text) == "" || language != "" && language != "CWLI" {
		a.add("it can't be told what its query does", action.Unknown)
		a.Inferred = append(a.Inferred, anyColumn)
		return
	}
	// Within a value a bar would be a command of no known name, which is the safe side.
	for command := range strings.SplitSeq(text, "|") {
		command = strings.TrimSpace(command)
		if !insightsCommand.MatchString(command) {
			a.add("it can't be told what its query does", action.Unknown)
		}
		if strings.ContainsAny(command, "\\#`") || !insightsPlain.MatchString(command) {
			a.Inferred = append(a.Inferred, anyColumn)
			continue
		}
		for _, field := range insightsWord.FindAllString(insightsQuoted.ReplaceAllString(command, ""), -1) {
			if field[0] == '@' { // of the service's own
				continue
			}
			for name := range strings.SplitSeq(field, ".") {
				a.Inferred = append(a.Inferred, "."+name)
			}
		}
	}
}
