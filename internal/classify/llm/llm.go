// Package llm knows the shapes of OpenAI's and Anthropic's APIs: which request a method
// and a path are, which text a body holds and where, which of it is cut over the
// events of a stream, what a model used and which tools it called.
//
// It promises that every string and every name in a body is shown to who looks for values,
// whether it knows the member or not, and that what it can't look into is said to be
// unscanned. Of a path on no list it says unknown. It can't see what a file, a stored
// response or a conversation at the provider holds that a request only names.
package llm

import (
	"strings"

	"github.com/assenthq/assent/action"
)

// An API is whose shapes a provider speaks.
type API string

// The APIs.
const (
	OpenAI    API = "openai"
	Anthropic API = "anthropic"
)

// A Body is what a request carries.
type Body uint8

// The bodies.
const (
	None Body = iota
	JSON
	Form // multipart/form-data
)

// An Op is one operation of an API.
type Op struct {
	API      API
	Name     string // "chat", "messages.count_tokens", "files.create"; "" is none that is known
	Kinds    []action.Kind
	Harmless string // why nobody needs to decide
	Body     Body
	Billed   bool   // it is answered by a model, which counts tokens
	Unseen   bool   // it acts on what lies at the provider and isn't seen here
	Gone     string // it is refused, and why
	ID       string // of what the path names
}

const (
	callOf   = action.LLMCall
	readOf   = action.DataRead
	writeOf  = action.DataWrite
	deleteOf = action.DataDelete
)

type route struct {
	method, path string // * stands for one segment
	op           Op
}

func kinds(k ...action.Kind) []action.Kind { return k }

// OpenAI's, behind /v1.
var openAI = []route{
	{"POST", "chat/completions", Op{Name: "chat", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"GET", "chat/completions", Op{Name: "chat.list", Kinds: kinds(readOf)}},
	{"GET", "chat/completions/*", Op{Name: "chat.get", Kinds: kinds(readOf)}},
	{"GET", "chat/completions/*/messages", Op{Name: "chat.messages", Kinds: kinds(readOf)}},
	{"POST", "chat/completions/*", Op{Name: "chat.update", Kinds: kinds(writeOf), Body: JSON}},
	{"DELETE", "chat/completions/*", Op{Name: "chat.delete", Kinds: kinds(deleteOf)}},
	{"POST", "completions", Op{Name: "completions", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "responses", Op{Name: "responses", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "responses/compact", Op{Name: "responses.compact", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "responses/input_tokens", Op{Name: "responses.count_tokens", Kinds: kinds(callOf), Body: JSON}},
	{"GET", "responses/*", Op{Name: "responses.get", Kinds: kinds(readOf)}},
	{"GET", "responses/*/input_items", Op{Name: "responses.input_items", Kinds: kinds(readOf)}},
	{"POST", "responses/*/cancel", Op{Name: "responses.cancel", Kinds: kinds(writeOf), Body: JSON}},
	{"DELETE", "responses/*", Op{Name: "responses.delete", Kinds: kinds(deleteOf)}},
	{"POST", "conversations", Op{Name: "conversations.create", Kinds: kinds(writeOf), Body: JSON}},
	{"GET", "conversations/*", Op{Name: "conversations.get", Kinds: kinds(readOf)}},
	{"POST", "conversations/*", Op{Name: "conversations.update", Kinds: kinds(writeOf), Body: JSON}},
	{"DELETE", "conversations/*", Op{Name: "conversations.delete", Kinds: kinds(deleteOf)}},
	{"GET", "conversations/*/items", Op{Name: "conversations.items", Kinds: kinds(readOf)}},
	{"POST", "conversations/*/items", Op{Name: "conversations.add", Kinds: kinds(writeOf), Body: JSON}},
	{"GET", "conversations/*/items/*", Op{Name: "conversations.item", Kinds: kinds(readOf)}},
	{"DELETE", "conversations/*/items/*", Op{Name: "conversations.remove", Kinds: kinds(deleteOf)}},
	{"POST", "embeddings", Op{Name: "embeddings", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "moderations", Op{Name: "moderations", Kinds: kinds(callOf), Body: JSON}},
	{"POST", "files", Op{Name: "files.create", Kinds: kinds(callOf, writeOf), Body: Form}},
	{"GET", "files", Op{Name: "files.list", Kinds: kinds(readOf)}},
	{"GET", "files/*", Op{Name: "files.get", Kinds: kinds(readOf)}},
	{"GET", "files/*/content", Op{Name: "files.content", Kinds: kinds(readOf)}},
	{"DELETE", "files/*", Op{Name: "files.delete", Kinds: kinds(deleteOf)}},
	{"POST", "batches", Op{Name: "batches.create", Kinds: kinds(callOf), Body: JSON, Unseen: true}},
	{"GET", "batches", Op{Name: "batches.list", Kinds: kinds(readOf)}},
	{"GET", "batches/*", Op{Name: "batches.get", Kinds: kinds(readOf)}},
	{"POST", "batches/*/cancel", Op{Name: "batches.cancel", Kinds: kinds(writeOf), Body: JSON}},
	{"POST", "audio/speech", Op{Name: "audio.speech", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "audio/transcriptions", Op{Name: "audio.transcriptions", Kinds: kinds(callOf), Body: Form, Billed: true}},
	{"POST", "audio/translations", Op{Name: "audio.translations", Kinds: kinds(callOf), Body: Form, Billed: true}},
	{"POST", "images/generations", Op{Name: "images.generations", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "images/edits", Op{Name: "images.edits", Kinds: kinds(callOf), Body: Form, Billed: true}},
	{"POST", "images/variations", Op{Name: "images.variations", Kinds: kinds(callOf), Body: Form, Billed: true}},
	{"GET", "models", Op{Name: "models.list", Harmless: "list of models"}},
	{"GET", "models/*", Op{Name: "models.get", Harmless: "list of models"}},
}

// Anthropic's, behind /v1.
var anthropic = []route{
	{"POST", "messages", Op{Name: "messages", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"POST", "messages/count_tokens", Op{Name: "messages.count_tokens", Kinds: kinds(callOf), Body: JSON}},
	{"POST", "messages/batches", Op{Name: "batches.create", Kinds: kinds(callOf), Body: JSON, Billed: true}},
	{"GET", "messages/batches", Op{Name: "batches.list", Kinds: kinds(readOf)}},
	{"GET", "messages/batches/*", Op{Name: "batches.get", Kinds: kinds(readOf)}},
	{"GET", "messages/batches/*/results", Op{Name: "batches.results", Kinds: kinds(readOf)}},
	{"POST", "messages/batches/*/cancel", Op{Name: "batches.cancel", Kinds: kinds(writeOf), Body: JSON}},
	{"DELETE", "messages/batches/*", Op{Name: "batches.delete", Kinds: kinds(deleteOf)}},
	{"POST", "files", Op{Name: "files.create", Kinds: kinds(callOf, writeOf), Body: Form}},
	{"GET", "files", Op{Name: "files.list", Kinds: kinds(readOf)}},
	{"GET", "files/*", Op{Name: "files.get", Kinds: kinds(readOf)}},
	{"GET", "files/*/content", Op{Name: "files.content", Kinds: kinds(readOf)}},
	{"DELETE", "files/*", Op{Name: "files.delete", Kinds: kinds(deleteOf)}},
	{"GET", "models", Op{Name: "models.list", Harmless: "list of models"}},
	{"GET", "models/*", Op{Name: "models.get", Harmless: "list of models"}},
}

// Route says which operation a method and a path behind the provider's name are. The
// path is /v1/…, as the provider has it.
func Route(api API, method, path string) Op {
	rest, is := strings.CutPrefix(path, "/v1/")
	table := openAI
	if api == Anthropic {
		table = anthropic
	}
	segments := strings.Split(rest, "/")
	if is && api == OpenAI && (segments[0] == "assistants" || segments[0] == "threads") {
		return Op{API: api, Gone: "Assistants keep their conversations at the provider, where nobody here sees them: use responses or chat completions"}
	}
	var found *Op
	var id string
	for i := range table {
		r := &table[i]
		if !is || r.method != method {
			continue
		}
		if name, fits := match(r.path, segments); fits && (found == nil || id != "" && name == "") {
			found, id = &r.op, name
		}
	}
	if found == nil {
		return Op{API: api, Kinds: kinds(action.Unknown), Body: JSON}
	}
	op := *found
	op.API, op.ID = api, id
	return op
}

// match compares a path of the table; id is what its last * stands for.
func match(pattern string, segments []string) (id string, fits bool) {
	want := strings.Split(pattern, "/")
	if len(want) != len(segments) {
		return "", false
	}
	for i, w := range want {
		switch {
		case w == "*" && segments[i] != "":
			id = segments[i]
		case w != segments[i]:
			return "", false
		}
	}
	return id, true
}
