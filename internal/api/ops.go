package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assenthq/assent/internal/identity"
)

const (
	operationTime = 10 * time.Second // for an operation that neither streams nor waits
	readTime      = 15 * time.Second // for a body to arrive
)

// An operation is one row of the table that says who may do what.
type operation struct {
	id, method, path string
	scopes           []string // any of them opens it, with the kind of credential it belongs to
	public           bool     // no credential asked
	anyone           bool     // any valid credential
	open             bool     // public where the configuration makes the log public
	stream           bool     // ends by itself: no time limit of ours
	answers          bool     // says no in a document of its own: what is frozen hears it there
	status           int      // of success, when not 200
	also             int      // another status of success, with the same body
	body             int64    // bytes of a request's body, when not maxBody
	tag, summary     string
}

// Who the rows below are for.
const (
	act, gateway, review, read, admin = identity.ScopeAct, identity.ScopeGate, identity.ScopeReview, identity.ScopeRead, identity.ScopeAdmin

	forAskers, forPeople, forAdmins, forAll = "Asking", "Approvals and audit", "Administration", "Service"
)

const mint = identity.ScopeMint

// operations is that table, by id. An operation that isn't in it is open to nobody.
func operations() map[string]*operation {
	rows := []operation{
		{id: "evaluate", method: "POST", path: "/access/v1/evaluation", scopes: []string{act, gateway}, tag: forAskers, summary: "May this action run? (AuthZEN)"},
		{id: "evaluateMany", method: "POST", path: "/access/v1/evaluations", scopes: []string{act, gateway}, tag: forAskers, summary: "May these actions run? (AuthZEN)"},
		{id: "createRequest", method: "POST", path: "/access/v1/requests", scopes: []string{act, gateway}, status: 202, tag: forAskers, summary: "Ask people for an action that was denied but may be requested"},
		{id: "listRequests", method: "GET", path: "/access/v1/requests", scopes: []string{act}, tag: forAskers, summary: "My own requests, newest first, and the standing grants I may use"},
		{id: "getRequest", method: "GET", path: "/access/v1/requests/{id}", scopes: []string{act, gateway}, stream: true, tag: forAskers, summary: "How far is my request? Waits for a change when asked to"},
		{id: "cancelRequest", method: "POST", path: "/access/v1/requests/{id}/cancel", scopes: []string{act, gateway}, tag: forAskers, summary: "Take my request back"},
		{id: "reportOutcome", method: "POST", path: "/access/v1/requests/{id}/outcome", scopes: []string{gateway}, tag: forAskers, summary: "How the approved action ended"},

		{id: "answerHook", method: "POST", path: "/v1/hooks/{agent}", scopes: []string{act}, stream: true, answers: true, tag: forAskers, summary: "A coding agent's hook: its document in, the document it acts on out"},
		{id: "askCommand", method: "POST", path: "/v1/commands", scopes: []string{act}, stream: true, also: 202, body: maxCommand, tag: forAskers, summary: "May this command run here? Waits for people when asked to"},
		{id: "maskOutput", method: "POST", path: "/v1/commands/{run}/output", scopes: []string{act}, tag: forAskers, summary: "Mask a piece of what a command printed"},
		{id: "endRun", method: "POST", path: "/v1/commands/{run}/outcome", scopes: []string{act}, status: 204, tag: forAskers, summary: "How a command ended"},

		{id: "scan", method: "POST", path: "/v1/scan", scopes: []string{act, gateway, review, read, admin}, body: maxScan, tag: forAskers, summary: "Which sensitive values does this text or file hold? It is not kept"},
		{id: "mask", method: "POST", path: "/v1/mask", scopes: []string{act, gateway, review, read, admin}, body: maxScan, tag: forAskers, summary: "This text with sensitive values masked. It is not kept"},
		{id: "reportFindings", method: "POST", path: "/v1/findings", scopes: []string{act, gateway, admin}, status: 204, tag: forAskers, summary: "Tell what was found in a file or log of one's own, without its values"},

		{id: "environment", method: "GET", path: "/v1/environment", scopes: []string{act}, tag: forAskers, summary: "Which gates are there, for a program that works through them?"},
		{id: "awsCredentials", method: "GET", path: "/v1/aws/credentials", scopes: []string{act}, tag: forAskers, summary: "A short-lived key pair for gates of AWS, as SDKs ask a container for one"},

		{id: "exchangeToken", method: "POST", path: exchangePath, public: true, tag: forAskers, summary: "Exchange a credential for an actor's short-lived token (RFC 8693)"},

		{id: "listApprovals", method: "GET", path: "/v1/approvals", scopes: []string{review, read, admin}, tag: forPeople, summary: "Approvals, newest first"},
		{id: "getApproval", method: "GET", path: "/v1/approvals/{id}", scopes: []string{review, read, admin}, stream: true, tag: forPeople, summary: "One approval. Waits for a decision when asked to"},
		{id: "reviewApproval", method: "POST", path: "/v1/approvals/{id}/review", scopes: []string{review}, tag: forPeople, summary: "Approve or deny what you saw"},
		{id: "askQuestion", method: "POST", path: "/v1/approvals/{id}/questions", scopes: []string{review}, tag: forPeople, summary: "Ask the asker's side a question. It decides nothing and moves no deadline"},
		{id: "snoozeApproval", method: "POST", path: "/v1/approvals/{id}/snooze", scopes: []string{review}, tag: forPeople, summary: "Put it aside for yourself; it still waits, and others are still asked"},
		{id: "getQuietHours", method: "GET", path: "/v1/quiet-hours", scopes: []string{review, read, admin}, tag: forPeople, summary: "Hours in which nobody writes to you"},
		{id: "setQuietHours", method: "PUT", path: "/v1/quiet-hours", scopes: []string{review}, tag: forPeople, summary: "Set them"},
		{id: "answerQuestion", method: "POST", path: "/v1/approvals/{id}/questions/{question}/answer", scopes: []string{act, gateway, review}, tag: forAskers, summary: "Answer a reviewer's question, as the asker or the person behind it"},
		{id: "withdrawApproval", method: "POST", path: "/v1/approvals/{id}/withdraw", scopes: []string{review, admin}, tag: forPeople, summary: "End an approval without a decision"},
		{id: "listRecords", method: "GET", path: "/v1/audit/records", scopes: []string{read, admin}, tag: forPeople, summary: "Audit records, newest first"},
		{id: "getCheckpoint", method: "GET", path: "/v1/audit/checkpoint", scopes: []string{review, read, admin}, tag: forPeople, summary: "The log's newest signed tree head (C2SP tlog-checkpoint)"},
		{id: "getProof", method: "GET", path: "/v1/audit/proof", scopes: []string{read, admin}, tag: forPeople, summary: "Proof that a record is in the log (C2SP tlog-proof)"},
		{id: "exportEvidence", method: "POST", path: "/v1/audit/evidence", scopes: []string{read, admin}, stream: true, tag: forPeople, summary: "The records of a period in one file that anybody can verify, on record (application/zip)"},
		{id: "publishedCheckpoint", method: "GET", path: "/log/checkpoint", scopes: []string{review, read, admin}, open: true, tag: forPeople, summary: "The log's published tree head with its witnesses' cosignatures (C2SP tlog-tiles)"},
		{id: "getTile", method: "GET", path: "/log/tile/{tile...}", scopes: []string{review, read, admin}, open: true, tag: forPeople, summary: "A tile of hashes of the log's tree (C2SP tlog-tiles)"},
		{id: "getBundle", method: "GET", path: "/log/tile/entries/{bundle...}", scopes: []string{read, admin}, tag: forPeople, summary: "Up to 256 records as the tree covers them (C2SP tlog-tiles entry bundle)"},
		{id: "streamEvents", method: "GET", path: "/v1/events", scopes: []string{review, read, admin}, stream: true, tag: forPeople, summary: "Approvals as they change, and on request records as they are written (server-sent events)"},

		{id: "listFreezes", method: "GET", path: "/v1/freezes", scopes: []string{review, read, admin}, tag: forPeople, summary: "What is frozen"},
		{id: "createFreeze", method: "POST", path: "/v1/freezes", scopes: []string{review, admin}, status: 201, tag: forPeople, summary: "Stop an actor, a person's agents, a resource, a gate or everything, at once"},
		{id: "thaw", method: "POST", path: "/v1/freezes/{id}/thaw", scopes: []string{review, admin}, status: 202, tag: forPeople, summary: "Ask to let it go: somebody else must allow it"},
		{id: "previewStanding", method: "GET", path: "/v1/approvals/{id}/standing", scopes: []string{review, read, admin}, tag: forPeople, summary: "What a standing grant minted from it would have covered lately"},
		{id: "listStanding", method: "GET", path: "/v1/standing", scopes: []string{review, read, admin}, tag: forPeople, summary: "Standing grants, newest first"},
		{id: "revokeStanding", method: "POST", path: "/v1/standing/{id}/revoke", scopes: []string{review, admin}, tag: forPeople, summary: "End a standing grant at once"},
		{id: "listEmergencies", method: "GET", path: "/v1/emergencies", scopes: []string{review, read, admin}, tag: forPeople, summary: "Emergencies for which the glass was broken, newest first"},
		{id: "breakGlass", method: "POST", path: "/v1/emergencies", scopes: []string{review, admin}, status: 201, tag: forPeople, summary: "Break the glass: what an actor asks on a resource runs without waiting, loudly"},
		{id: "reviewEmergency", method: "POST", path: "/v1/emergencies/{id}/review", scopes: []string{review, admin}, tag: forPeople, summary: "Say afterwards whether an emergency was one"},
		{id: "applyPolicy", method: "POST", path: "/v1/policy", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to put packs in force, in the place of all that are: another administrator must allow it"},
		{id: "listChanges", method: "GET", path: "/v1/changes", scopes: []string{review, read, admin}, tag: forAdmins, summary: "Changes of the rules, newest first"},
		{id: "getChange", method: "GET", path: "/v1/changes/{id}", scopes: []string{review, read, admin}, tag: forAdmins, summary: "One change of the rules"},

		{id: "listAccounts", method: "GET", path: "/v1/accounts", scopes: []string{review, read, admin}, tag: forPeople, summary: "Accounts and links that lead to you; administrators see everybody's"},
		{id: "endLink", method: "DELETE", path: "/v1/links/{id}", scopes: []string{review, admin}, status: 204, tag: forPeople, summary: "End a link of accounts: both sides stay excluded where the other is"},
		{id: "listStandIns", method: "GET", path: "/v1/standins", scopes: []string{review, read, admin}, tag: forPeople, summary: "Who stands in for whom"},
		{id: "endStandIn", method: "DELETE", path: "/v1/standins/{id}", scopes: []string{review, admin}, status: 204, tag: forPeople, summary: "End a stand-in at once"},
		{id: "listOnCall", method: "GET", path: "/v1/oncall", scopes: []string{review, read, admin}, tag: forPeople, summary: "Who is on call"},
		{id: "createSwap", method: "POST", path: "/v1/oncall/swaps", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to put another of a rotation's people on call for a while: another administrator must allow it"},
		{id: "endSwap", method: "DELETE", path: "/v1/oncall/swaps/{id}", scopes: []string{admin}, status: 204, tag: forAdmins, summary: "End that at once"},

		{id: "erasePerson", method: "POST", path: "/v1/erasures", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to erase a person: another administrator, who isn't that person, must allow it"},
		{id: "listHolds", method: "GET", path: "/v1/holds", scopes: []string{admin}, tag: forAdmins, summary: "Legal holds: what isn't erased"},
		{id: "placeHold", method: "POST", path: "/v1/holds", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to keep a person or a time from erasure: another administrator must allow it"},
		{id: "releaseHold", method: "POST", path: "/v1/holds/{id}/release", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to end that: another administrator must allow it"},
		{id: "listGroups", method: "GET", path: "/v1/groups", scopes: []string{review, read, admin}, tag: forPeople, summary: "Groups, and who is in them"},
		{id: "changeGroup", method: "POST", path: "/v1/groups", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to add members to a group, or remove some: another administrator must allow what permits more"},
		{id: "listSettings", method: "GET", path: "/v1/settings", scopes: []string{review, read, admin}, tag: forPeople, summary: "Limits that may be changed while the server runs"},
		{id: "changeSettings", method: "POST", path: "/v1/settings", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to change some: another administrator must allow what permits more"},

		{id: "listTools", method: "GET", path: "/v1/tools", scopes: []string{review, read, admin}, tag: forPeople, summary: "Tools of MCP servers: pinned, or held since they changed"},
		{id: "getTool", method: "GET", path: "/v1/tools/{id}", scopes: []string{review, read, admin}, tag: forPeople, summary: "One tool, with what changed line by line"},
		{id: "releaseTool", method: "POST", path: "/v1/tools/{id}/release", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Ask to rely on a held definition: another administrator must allow it"},
		{id: "holdTool", method: "POST", path: "/v1/tools/{id}/hold", scopes: []string{admin}, status: 202, tag: forAdmins, summary: "Refuse calls of a tool, at once"},

		{id: "listRecordings", method: "GET", path: "/v1/recordings", scopes: []string{read, admin}, tag: forPeople, summary: "What terminals showed, newest first"},
		{id: "getRecording", method: "GET", path: "/v1/recordings/{id}", scopes: []string{read, admin}, stream: true, tag: forPeople, summary: "One recording, and whether its file is still what the log says"},
		{id: "getCast", method: "GET", path: "/v1/recordings/{id}/cast", scopes: []string{read, admin}, stream: true, tag: forPeople, summary: "The recording itself, as asciicast version 2"},

		{id: "readVault", method: "POST", path: "/v1/vault/read", scopes: []string{review}, tag: forPeople, summary: "Read the value behind a token back, on record"},
		{id: "eraseVault", method: "POST", path: "/v1/vault/erase", scopes: []string{admin}, tag: forAdmins, summary: "Erase values behind tokens for ever, on record"},

		{id: "listPasskeys", method: "GET", path: "/v1/passkeys", scopes: []string{review, read, admin}, tag: forPeople, summary: "Your passkeys; administrators see everybody's"},
		{id: "revokePasskey", method: "DELETE", path: "/v1/passkeys/{id}", scopes: []string{review, admin}, status: 204, tag: forPeople, summary: "End a passkey for good: what it approved and did not run yet no longer runs"},

		{id: "listActors", method: "GET", path: "/v1/actors", scopes: []string{review, read, admin}, tag: forPeople, summary: "Agents, pipelines and services, their owners, and when they were last seen"},
		{id: "registerActor", method: "POST", path: "/v1/actors", scopes: []string{mint, admin}, status: 201, tag: forPeople, summary: "Make an actor of one's own"},
		{id: "retireActor", method: "POST", path: "/v1/actors/{id}/retire", scopes: []string{mint, admin}, status: 204, tag: forPeople, summary: "End an actor that was registered, for ever"},

		{id: "listChannels", method: "GET", path: "/v1/channels", scopes: []string{admin}, tag: forAdmins, summary: "Slack, Teams, e-mail and webhooks: where they lead, and what fails"},
		{id: "testChannel", method: "POST", path: "/v1/channels/{name}/test", scopes: []string{admin}, stream: true, tag: forAdmins, summary: "Tell every place of a channel that this is a test"},
		{id: "listDeliveries", method: "GET", path: "/v1/deliveries", scopes: []string{admin}, tag: forAdmins, summary: "What could not be told, the oldest first"},
		{id: "replayDelivery", method: "POST", path: "/v1/deliveries/{id}/replay", scopes: []string{admin}, status: 204, tag: forAdmins, summary: "Try a dead delivery again"},

		{id: "reviewerQuality", method: "GET", path: "/v1/reviewers/quality", scopes: []string{review, read, admin}, tag: forPeople, summary: "How you review; administrators see everybody: time taken, share approved, pairs who approve each other's"},
		{id: "createToken", method: "POST", path: "/v1/tokens", scopes: []string{admin}, status: 201, tag: forAdmins, summary: "Mint a credential; its text is shown once"},
		{id: "inviteConnector", method: "POST", path: "/v1/connectors", scopes: []string{admin}, tag: forAdmins, summary: "Make a one-time token by which a connector enrols"},
		{id: "listConnectors", method: "GET", path: "/v1/connectors", scopes: []string{admin}, tag: forAdmins, summary: "Connectors, and which are connected"},
		{id: "revokeConnector", method: "DELETE", path: "/v1/connectors/{name}", scopes: []string{admin}, status: 204, tag: forAdmins, summary: "End a connector and all that is open through it, at once"},
		{id: "listTokens", method: "GET", path: "/v1/tokens", scopes: []string{admin}, tag: forAdmins, summary: "Credentials, without their secrets"},
		{id: "revokeToken", method: "DELETE", path: "/v1/tokens/{id}", scopes: []string{admin}, status: 204, tag: forAdmins, summary: "End a credential at once"},

		{id: "inviteMember", method: "POST", path: "/v1/members", scopes: []string{admin}, status: 201, tag: forAdmins, summary: "Invite a part that runs elsewhere, such as a gate: a token with which it enrols, once"},
		{id: "listMembers", method: "GET", path: "/v1/members", scopes: []string{admin}, tag: forAdmins, summary: "Parts that run elsewhere, and whether they are there"},
		{id: "endMember", method: "DELETE", path: "/v1/members/{role}/{name}", scopes: []string{admin}, status: 204, tag: forAdmins, summary: "End a part that runs elsewhere: its certificates are worthless at once"},

		{id: "startLogin", method: "POST", path: "/v1/login", public: true, tag: forAll, summary: "Sign a command in by a device code (RFC 8628): what comes of it reads, and never reviews"},
		{id: "pollLogin", method: "POST", path: "/v1/login/poll", public: true, tag: forAll, summary: "Has the person confirmed the code?"},
		{id: "listSessions", method: "GET", path: "/v1/sessions", scopes: []string{review, read, admin}, tag: forPeople, summary: "Your open sessions; with scope admin, everybody's"},
		{id: "endSession", method: "DELETE", path: "/v1/sessions/{id}", scopes: []string{review, read, admin}, status: 204, tag: forPeople, summary: "End a session of yours; with scope admin, anybody's"},
		{id: "whoami", method: "GET", path: "/v1/whoami", anyone: true, tag: forAll, summary: "Who does this credential stand for?"},
		{id: "metrics", method: "GET", path: "/metrics", scopes: []string{read, admin}, tag: forAll, summary: "Prometheus metrics"},
		{id: "health", method: "GET", path: "/healthz", public: true, tag: forAll, summary: "The process answers"},
		{id: "ready", method: "GET", path: "/readyz", public: true, tag: forAll, summary: "Every part works, or which one doesn't"},
		{id: "configuration", method: "GET", path: "/.well-known/authzen-configuration", public: true, tag: forAll, summary: "What this decision point supports (AuthZEN)"},
		{id: "authorizationServer", method: "GET", path: "/.well-known/oauth-authorization-server", public: true, tag: forAll, summary: "What the token endpoint supports (RFC 8414)"},
		{id: "egressCA", method: "GET", path: "/v1/ca", public: true, tag: forAll, summary: "Certificates of the authority that egress gates sign with, for programs to trust (PEM)"},
		{id: "keys", method: "GET", path: "/.well-known/jwks.json", public: true, tag: forAll, summary: "Public keys of grants and sealed tokens (RFC 7517)"},
	}
	table := make(map[string]*operation, len(rows))
	for i := range rows {
		table[rows[i].id] = &rows[i]
	}
	return table
}

// register gives each row its handler.
func (s *server) register() {
	ops := operations()
	add(s, ops["evaluate"], s.evaluate)
	add(s, ops["evaluateMany"], s.evaluateMany)
	add(s, ops["createRequest"], s.createRequest)
	add(s, ops["listRequests"], s.listRequests)
	add(s, ops["getRequest"], s.getRequest)
	add(s, ops["cancelRequest"], s.cancelRequest)
	add(s, ops["reportOutcome"], s.reportOutcome)
	add(s, ops["answerHook"], s.answerHook)
	add(s, ops["askCommand"], s.askCommand)
	add(s, ops["maskOutput"], s.maskOutput)
	add(s, ops["endRun"], s.endRun)
	add(s, ops["scan"], s.scanContent)
	add(s, ops["mask"], s.maskContent)
	add(s, ops["reportFindings"], s.reportFindings)
	add(s, ops["environment"], s.environment)
	add(s, ops["awsCredentials"], s.awsCredentials)
	add(s, ops["exchangeToken"], s.exchangeToken)
	s.oauthAnswers()
	add(s, ops["listApprovals"], s.listApprovals)
	add(s, ops["getApproval"], s.getApproval)
	add(s, ops["reviewApproval"], s.reviewApproval)
	add(s, ops["askQuestion"], s.askQuestion)
	add(s, ops["answerQuestion"], s.answerQuestion)
	add(s, ops["snoozeApproval"], s.snooze)
	add(s, ops["getQuietHours"], s.getQuiet)
	add(s, ops["setQuietHours"], s.setQuiet)
	add(s, ops["withdrawApproval"], s.withdrawApproval)
	add(s, ops["listRecords"], s.listRecords)
	add(s, ops["getCheckpoint"], s.getCheckpoint)
	add(s, ops["getProof"], s.getProof)
	add(s, ops["exportEvidence"], s.exportEvidence)
	add(s, ops["publishedCheckpoint"], s.publishedCheckpoint)
	add(s, ops["getTile"], s.getTile)
	add(s, ops["getBundle"], s.getBundle)
	add(s, ops["streamEvents"], s.streamEvents)
	add(s, ops["listFreezes"], s.listFreezes)
	add(s, ops["createFreeze"], s.createFreeze)
	add(s, ops["thaw"], s.thaw)
	add(s, ops["previewStanding"], s.previewStanding)
	add(s, ops["listStanding"], s.listStanding)
	add(s, ops["revokeStanding"], s.revokeStanding)
	add(s, ops["listEmergencies"], s.listEmergencies)
	add(s, ops["breakGlass"], s.breakGlass)
	add(s, ops["reviewEmergency"], s.reviewEmergency)
	add(s, ops["applyPolicy"], s.applyPolicy)
	add(s, ops["listChanges"], s.listChanges)
	add(s, ops["getChange"], s.getChange)
	add(s, ops["listAccounts"], s.listAccounts)
	add(s, ops["endLink"], s.endLink)
	add(s, ops["listStandIns"], s.listStandIns)
	add(s, ops["endStandIn"], s.endStandIn)
	add(s, ops["listOnCall"], s.listOnCall)
	add(s, ops["createSwap"], s.createSwap)
	add(s, ops["endSwap"], s.endSwap)
	add(s, ops["erasePerson"], s.erasePerson)
	add(s, ops["listHolds"], s.listHolds)
	add(s, ops["placeHold"], s.placeHold)
	add(s, ops["releaseHold"], s.releaseHold)
	add(s, ops["listGroups"], s.listGroups)
	add(s, ops["changeGroup"], s.changeGroup)
	add(s, ops["listSettings"], s.listSettings)
	add(s, ops["changeSettings"], s.changeSettings)
	add(s, ops["listRecordings"], s.listRecordings)
	add(s, ops["getRecording"], s.getRecording)
	add(s, ops["getCast"], s.getCast)
	add(s, ops["listTools"], s.listTools)
	add(s, ops["getTool"], s.getTool)
	add(s, ops["releaseTool"], s.releaseTool)
	add(s, ops["holdTool"], s.holdTool)
	add(s, ops["readVault"], s.readVault)
	add(s, ops["eraseVault"], s.eraseVault)
	add(s, ops["listPasskeys"], s.listPasskeys)
	add(s, ops["revokePasskey"], s.revokePasskey)
	add(s, ops["listActors"], s.listActors)
	add(s, ops["registerActor"], s.registerActor)
	add(s, ops["retireActor"], s.retireActor)
	add(s, ops["listChannels"], s.listChannels)
	add(s, ops["testChannel"], s.testChannel)
	add(s, ops["listDeliveries"], s.listDeliveries)
	add(s, ops["replayDelivery"], s.replayDelivery)
	add(s, ops["reviewerQuality"], s.reviewerQuality)
	add(s, ops["createToken"], s.createToken)
	add(s, ops["inviteConnector"], s.inviteConnector)
	add(s, ops["listConnectors"], s.listConnectors)
	add(s, ops["revokeConnector"], s.revokeConnector)
	add(s, ops["listTokens"], s.listTokens)
	add(s, ops["revokeToken"], s.revokeToken)
	add(s, ops["inviteMember"], s.inviteMember)
	add(s, ops["listMembers"], s.listMembers)
	add(s, ops["endMember"], s.endMember)
	add(s, ops["startLogin"], s.startLogin)
	add(s, ops["pollLogin"], s.pollLogin)
	add(s, ops["listSessions"], s.listSessions)
	add(s, ops["endSession"], s.endSession)
	add(s, ops["whoami"], s.whoami)
	add(s, ops["metrics"], s.scrape)
	add(s, ops["health"], s.health)
	add(s, ops["ready"], s.ready)
	add(s, ops["configuration"], s.configuration)
	add(s, ops["authorizationServer"], s.authorizationServer)
	add(s, ops["egressCA"], s.egressCA)
	add(s, ops["keys"], s.keys)
}

// add registers one operation; errors of its handler leave as problems only.
func add[I, O any](s *server, op *operation, handle func(context.Context, *I) (*O, error)) {
	op.public = op.public || op.open && s.PublicLog
	security := []map[string][]string{{"token": op.scopes}}
	if op.public {
		security = []map[string][]string{}
	}
	schemas := s.api.OpenAPI().Components.Schemas
	problemSchema := schemas.Schema(reflect.TypeFor[Problem](), true, "")
	responses := map[string]*huma.Response{"default": {
		Description: "A problem document (RFC 9457)",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problemSchema}},
	}}
	if body, ok := reflect.TypeFor[O]().FieldByName("Body"); ok && op.also != 0 {
		responses[strconv.Itoa(op.also)] = &huma.Response{
			Description: http.StatusText(op.also), Content: map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(body.Type, true, "")}},
		}
	}
	huma.Register(s.api, huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: describe(op),
		Tags: []string{op.tag}, DefaultStatus: op.status, Security: security,
		MaxBodyBytes: cmp.Or(op.body, maxBody) + 1, BodyReadTimeout: readTime, RejectUnknownQueryParameters: true,
		Responses: responses,
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err == nil {
			return out, nil
		}
		var refused *OAuthError
		if errors.As(err, &refused) {
			return nil, refused
		}
		p := asProblem(err)
		if p.Status >= http.StatusInternalServerError {
			s.Logger.ErrorContext(ctx, "operation failed", "request_id", infoOf(ctx).id, "operation", op.path, "error", err)
		}
		return nil, p
	})
	if short := strings.Replace(op.path, "...}", "}", 1); short != op.path { // OpenAPI has no name for the rest of a path
		paths := s.api.OpenAPI().Paths
		paths[short] = paths[op.path]
		delete(paths, op.path)
	}
}

func describe(op *operation) string {
	switch {
	case op.public:
		return "Open to everyone."
	case op.anyone:
		return "Any valid credential."
	}
	text := "Scope: "
	for i, scope := range op.scopes {
		if i > 0 {
			text += " or "
		}
		text += scope
	}
	return text + "."
}

// humaConfig has none of huma's own pages: its docs load a CDN.
func humaConfig(version, base string) huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	strict := huma.Format{Marshal: marshal, Unmarshal: decodeStrict}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Assent", Version: version, Description: "Approval gateway between AI agents and production systems.\n\n" +
				"Every error is a problem document (RFC 9457). JSON is strict: unknown members, duplicate members, members in another case and anything after the value are refused."},
			Servers: []*huma.Server{{URL: base}},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "A token made by assent token or POST /v1/tokens: ast_…"}},
			},
		},
		Formats:       map[string]huma.Format{"application/json": strict, "json": strict},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transform},
	}
}

func marshal(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
