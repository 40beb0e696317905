package controls

import (
	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
)

// Frameworks of the table.
const (
	SOC2 = "SOC 2"
	NIST = "NIST SP 800-53"
)

func ofType(says string, types ...string) Query { return Query{Says: says, Types: types} }

func ofKind(says string, kind action.Kind) Query {
	return Query{Says: says, Types: []string{audit.TypeRequest}, Kind: string(kind)}
}

func decided(says, typ, decision string) Query {
	return Query{Says: says, Types: []string{typ}, Decision: decision}
}

// Table is every control.
func Table() []Control {
	requests := ofType("actions that were asked for and decided", audit.TypeRequest)
	denied := decided("of them denied", audit.TypeRequest, "deny")
	held := decided("of them held for people", audit.TypeRequest, "review")
	reviews := ofType("answers of reviewers", audit.TypeReview)
	refused := ofType("credentials, messages and reviews that were refused", audit.TypeRefused)
	tokens := ofType("credentials minted and revoked", audit.TypeToken)
	people := ofType("accounts, links, groups and stand-ins changed", audit.TypePerson)
	actors := ofType("agents registered, retired or seen", audit.TypeActor)
	passkeys := ofType("passkeys registered and revoked", audit.TypePasskey)
	standing := ofType("standing grants minted, used and revoked", audit.TypeStanding)
	alarms := ofType("alarms, with each emergency and each use of it", audit.TypeAlarm)
	freezes := ofType("freezes, and what was let go", audit.TypeFreeze)
	changes := ofType("changes of rules: asked, applied, refused", audit.TypeChange)
	policies := ofType("policies that came into force", audit.TypePolicy, audit.TypeConfig)
	exports := ofType("bundles of records taken away", audit.TypeEvidence)
	beats := ofType("starts, heartbeats and stops of nodes", audit.TypeStart, audit.TypeBeat, audit.TypeStop)
	notices := ofType("messages to people", audit.TypeNotice)
	ends := ofType("ends of actions", audit.TypeOutcome)
	erased := ofType("erasures and holds", audit.TypeErase, audit.TypeHold)
	traffic := ofType("closed segments of traffic, and those deleted past their term", audit.TypeSpoolSeal, audit.TypePrune)

	const otherWays = "What didn't go through a gate. That an agent has no other way to the system is for the network and the system's own credentials to show."
	const proper = "Whether a person ought to have what they were given: that is known to whoever employs them."
	return []Control{
		{
			"CC6.1", SOC2, "Access to systems and data is restricted", "Each action of an agent is decided by policy, under the agent's own credential, before it reaches the system; what policy doesn't allow waits for people or is denied.",
			[]Query{requests, held, denied, refused, tokens},
			[]Test{Undecided, Unreviewed, GlassOpen, RevokedUsed},
			otherWays,
		},
		{
			"CC6.2", SOC2, "Access is granted to whom it was registered for, and ends", "Accounts, agents, credentials and passkeys come and go on record, with who did it.",
			[]Query{people, actors, tokens, passkeys},
			[]Test{LeftActs, RevokedUsed},
			proper,
		},
		{
			"CC6.3", SOC2, "Rights follow roles, and duties are separated", "Nobody decides what they asked for themselves; groups, stand-ins and standing grants change on record, and by two.",
			[]Query{reviews, people, standing, changes},
			[]Test{OwnReview, Unreviewed, Alone, LeftActs},
			"Two accounts of one person that nobody linked. " + proper,
		},
		{
			"CC6.6", SOC2, "Access from outside is guarded", "What reaches out is an action like any other; messages and credentials that don't hold are refused on record.",
			[]Query{ofKind("requests that reach out", action.NetFetch), refused, ofType("people who signed in and out", audit.TypeSignIn)},
			[]Test{Undecided, Alarmed},
			otherWays,
		},
		{
			"CC6.7", SOC2, "Data that leaves is restricted to who may have it", "Exports and messages are decided as such, by what they hold; looking at a masked value is on record.",
			[]Query{ofKind("exports", action.DataExport), ofKind("messages", action.MessageSend), ofKind("requests that reach out", action.NetFetch), ofType("masked values that a reviewer looked at", audit.TypeUnmask), ofType("values read back from the vault, and erased", audit.TypeVault)},
			[]Test{Undecided, Unreviewed, GlassOpen},
			"Sensitive data that detection doesn't know for what it is (docs/accuracy.md has its rates). " + otherWays,
		},
		{
			"CC7.2", SOC2, "What runs is watched for what is out of the ordinary", "Alarms, refusals and agents that saw what makes them suspect are records; so is each node's heartbeat.",
			[]Query{alarms, refused, ofType("agents that saw what makes their next actions suspect", audit.TypeTaint), beats},
			[]Test{Silent, Alarmed},
			"Whether somebody watched. That a stream reached its SIEM is for the SIEM to show.",
		},
		{
			"CC7.3", SOC2, "What was found is looked into", "An emergency is reviewed by somebody else; people are told of what waits, and the message that can't be brought is on record.",
			[]Query{alarms, reviews, notices},
			[]Test{Alarmed, GlassOpen, NotTold},
			"What was found out, and where that is written.",
		},
		{
			"CC7.4", SOC2, "Incidents are answered", "A freeze stops an agent, a person, a resource or everything at once; credentials are revoked; each with who did it and why.",
			[]Query{freezes, tokens, alarms},
			[]Test{GlassOpen, GlassWrong, NotTold},
			"What was done outside of Assent.",
		},
		{
			"CC8.1", SOC2, "Changes are authorized, and then made", "A change of the rules takes another administrator and is applied exactly as approved; changes of schemas and code and deployments by agents are decided as such.",
			[]Query{changes, policies, ofKind("changes of schemas", action.SchemaChange), ofKind("changes of code", action.CodeChange), ofKind("deployments", action.Deploy)},
			[]Test{Unapproved, Alone, OwnReview, Unreviewed},
			"Whether a change was tested. Changes that people make themselves, beside the gates.",
		},

		{
			"AC-2", NIST, "Accounts are managed", "Accounts, agents, credentials and groups are made, changed and ended on record, with who did it.",
			[]Query{people, actors, tokens, passkeys},
			[]Test{LeftActs, RevokedUsed},
			proper,
		},
		{
			"AC-3", NIST, "Access is enforced", "Each action is decided by policy before it runs, and the decision names the policy and its rules.",
			[]Query{requests, held, denied},
			[]Test{Undecided, Unreviewed},
			otherWays,
		},
		{
			"AC-5", NIST, "Duties are separated", "Who asks, and who is behind the agent that asks, doesn't decide; who administers changes nothing alone.",
			[]Query{reviews, changes},
			[]Test{OwnReview, Alone, GlassWrong},
			"Two accounts of one person that nobody linked; people who decide for each other outside of Assent.",
		},
		{
			"AC-6", NIST, "No more rights than needed", "Rights, identities and secrets that agents ask for wait for people; standing grants are bounded in uses and time; masked values are opened one by one.",
			[]Query{ofKind("changes of rights", action.PrivilegeChange), ofKind("changes of identities", action.IdentityChange), ofKind("secrets", action.SecretAccess), standing, ofType("masked values that a reviewer looked at", audit.TypeUnmask)},
			[]Test{Unreviewed, GlassOpen},
			"What rights a gate's own credential has in the system behind it.",
		},
		{
			"AU-2", NIST, "What is logged is decided beforehand", "Requests, decisions, reviews, ends, changes of people, rules, credentials and keys, alarms and heartbeats are records, each of a type of its own.",
			[]Query{{Says: "records of every type"}},
			[]Test{Bare},
			"What the systems behind the gates log themselves.",
		},
		{
			"AU-3", NIST, "Records say what happened", "A record says when, who for whom, on what, by which policy and rules, and how it ended.",
			[]Query{requests, ends},
			[]Test{Bare, Cut},
			"Masked values and secrets, which never enter it.",
		},
		{
			"AU-4", NIST, "There is room for the log", "Segments of traffic are closed, moved to the archive and deleted past their term on record.",
			[]Query{traffic},
			nil, "How full disks were: metrics tell that (docs/retention.md).",
		},
		{
			"AU-5", NIST, "A log that fails is answered", "A node that falls silent shows by its missing heartbeats; a log that doesn't verify is an alarm and freezes everything.",
			[]Query{alarms, beats, freezes},
			[]Test{Silent, Alarmed},
			"That nothing runs while the log can't be written: what wasn't run leaves no record. Tests show it (docs/audit-log.md).",
		},
		{
			"AU-6", NIST, "The log is reviewed", "Who takes records away is on record with the question; emergencies are reviewed by somebody else.",
			[]Query{exports, alarms},
			[]Test{GlassOpen, Alarmed},
			"Who read the log on the console, in a SIEM or in the data directory.",
		},
		{
			"AU-7", NIST, "Records can be sifted and reported", "Each claim here has its search; this report is made from the same records, which stay as they are.",
			[]Query{exports},
			nil, "Searches, which change nothing and leave no record.",
		},
		{
			"AU-8", NIST, "Records have reliable times", "Each record has its time in UTC to the microsecond, never before the one in front of it.",
			[]Query{{Says: "records of every type"}},
			[]Test{Clock},
			"That the machine's clock was right; a witness's cosignature has a time of its own.",
		},
		{
			"AU-9", NIST, "The log is protected", "Records are leaves of a Merkle tree under signed checkpoints; keys are handed over on record, and what is erased for a person says so.",
			[]Query{ofType("handovers of the log's key", audit.TypeKey), erased, exports},
			[]Test{Missing, Alarmed},
			"That the records are those that were logged: assent verify proves it, of a data directory or a bundle.",
		},
		{
			"AU-10", NIST, "Nobody can deny what they did", "Each review names its person, the channel and how they had signed in; where passkeys are asked for it bears their signature over what was shown.",
			[]Query{reviews, passkeys},
			[]Test{OwnReview, Unreviewed},
			"Whether the signatures hold: assent verify checks each.",
		},
		{
			"AU-11", NIST, "Records are kept as long as they must be", "No record of the log is deleted; archived traffic past its term is, on record, and so are erasures and holds.",
			[]Query{traffic, erased},
			[]Test{Missing},
			"That the term that was set is the one the law asks for.",
		},
		{
			"AU-12", NIST, "Everything that must be is logged", "Every node logs from its start to its stop and says each interval that it is there; what begins has its end on record.",
			[]Query{beats, ends},
			[]Test{Silent, NoOutcome, UnknownEnd, Undecided},
			otherWays,
		},
		{
			"CM-3", NIST, "Changes of the configuration are controlled", "A change of policy, groups or settings takes another administrator, is applied exactly as approved and has its number; files that came into force without are named.",
			[]Query{changes, policies},
			[]Test{Unapproved, Alone, OwnReview},
			"Changes of the configuration file besides the policy, and of the machine.",
		},
		{
			"CM-5", NIST, "Who may change is restricted", "Rules are changed by administrators only, two of them; agents change schemas, code and infrastructure as policy decides.",
			[]Query{changes, ofKind("changes of infrastructure", action.InfraChange), ofKind("destroyed infrastructure", action.InfraDestroy), ofKind("changes of schemas", action.SchemaChange)},
			[]Test{Alone, Unapproved, Unreviewed, LeftActs},
			otherWays,
		},
	}
}
