// Package scim is where identity providers provision: SCIM 2.0 (RFC 7643, 7644)
// as Okta and Microsoft Entra speak it.
//
// It promises that a provisioning credential reaches exactly one issuer's users
// and groups, as internal/people lets it, and nothing else; that a request is
// read in one way only; and that what it doesn't understand changes nothing.
package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// Prefix is the path below which everything is.
const Prefix = "/scim/v2/"

const requestTime = 20 * time.Second

// Credentials checks a bearer token.
type Credentials interface {
	Check(ctx context.Context, bearer string) (*identity.Caller, error)
}

// Options of the handler; all but Logger are needed.
type Options struct {
	Credentials Credentials
	Directory   *people.Directory
	PublicURL   string
	Logger      *slog.Logger
}

type handler struct {
	Options
	base string // of links
	mux  *http.ServeMux
}

// New makes the handler of everything below Prefix.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{Options: o, base: strings.TrimSuffix(o.PublicURL, "/") + Prefix, mux: http.NewServeMux()}
	h.discovery()
	h.route("POST Users", h.createUser)
	h.route("GET Users", h.query(fromAddress, h.addUsers))
	h.route("POST Users/.search", h.query(fromBody, h.addUsers))
	h.route("GET Users/{id}", h.getUser)
	h.route("PUT Users/{id}", h.putUser)
	h.route("PATCH Users/{id}", h.patchUser)
	h.route("DELETE Users/{id}", h.deleteUser)
	h.route("POST Groups", h.createGroup)
	h.route("GET Groups", h.query(fromAddress, h.addGroups))
	h.route("POST Groups/.search", h.query(fromBody, h.addGroups))
	h.route("POST .search", h.query(fromBody, h.addUsers, h.addGroups))
	h.route("GET Groups/{id}", h.getGroup)
	h.route("PUT Groups/{id}", h.putGroup)
	h.route("PATCH Groups/{id}", h.patchGroup)
	h.route("DELETE Groups/{id}", h.deleteGroup)
	return h
}

// An Error is SCIM's own document (RFC 7644 section 3.12).
type Error struct {
	Schemas []string `json:"schemas"`
	Status  string   `json:"status"`
	Type    string   `json:"scimType,omitempty"`
	Detail  string   `json:"detail,omitempty"`

	status int
}

func (e *Error) Error() string { return e.Type + ": " + e.Detail }

func failure(status int, kind, format string, args ...any) *Error {
	return &Error{Schemas: []string{errorMessage}, Status: fmt.Sprint(status), Type: kind, Detail: fmt.Sprintf(format, args...), status: status}
}

// wrong is what a client did.
func wrong(kind, format string, args ...any) *Error {
	return failure(http.StatusBadRequest, kind, format, args...)
}

// A request is one that was let in.
type request struct {
	*http.Request
	by *people.Provisioning
}

// An answer is what goes back; body nil: nothing.
type answer struct {
	status int
	body   any
	at     string // Location
}

func (h *handler) route(pattern string, fn func(*request) (*answer, error)) {
	method, path, _ := strings.Cut(pattern, " ")
	h.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		a, err := h.entered(r, fn)
		h.write(w, r, pattern, a, err)
	})
}

// ServeHTTP lets nobody's browser in, and answers every path with SCIM's own documents.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		h.write(w, r, "", nil, failure(http.StatusForbidden, "", "this is for identity providers, not for browsers"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	r = r.WithContext(ctx)
	if _, pattern := h.mux.Handler(r); pattern == "" {
		a, err := h.entered(r, h.nothing)
		h.write(w, r, "", a, err)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// nothing answers whoever is let in and asks for what isn't here.
func (h *handler) nothing(r *request) (*answer, error) {
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := h.mux.Handler(probe); pattern != "" {
			return nil, failure(http.StatusMethodNotAllowed, "", "%.10s is not for this resource", r.Method)
		}
	}
	if rest := strings.TrimPrefix(r.URL.Path, Prefix); rest == "Me" || rest == "Bulk" {
		return nil, failure(http.StatusNotImplemented, "", "%s is not offered", rest)
	}
	return nil, failure(http.StatusNotFound, "", "there is nothing under this path")
}

// entered checks the credential: its issuer is the only one that the request can reach.
func (h *handler) entered(r *http.Request, fn func(*request) (*answer, error)) (*answer, error) {
	denied := failure(http.StatusUnauthorized, "", "send a provisioning credential as Authorization: Bearer ast_…; it may have expired or been revoked")
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return nil, denied
	}
	scheme, bearer, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" || len(bearer) > 512 {
		return nil, denied
	}
	c, err := h.Credentials.Check(r.Context(), bearer)
	if err != nil || c == nil || !time.Now().Before(c.Expires) {
		return nil, denied
	}
	if c.Kind != identity.KindProvision || !c.Has(identity.ScopeSCIM) {
		return nil, failure(http.StatusForbidden, "", "this credential is not a provisioning one")
	}
	by, err := h.Directory.Provisioning(c.Issuer, c.Token)
	if err != nil {
		return nil, failure(http.StatusForbidden, "", "the credential's issuer is not provisioned here")
	}
	return fn(&request{r, by})
}

// body reads the object that a request carries.
func (r *request) body() (object, error) {
	t, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/scim+json" && t != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, failure(http.StatusUnsupportedMediaType, "", "send the body as Content-Type: application/scim+json")
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, wrong("invalidSyntax", "the body ended early")
	}
	if len(data) > maxBody {
		return nil, failure(http.StatusRequestEntityTooLarge, "", "the body is larger than %d bytes", maxBody)
	}
	o, err := parse(data)
	if err != nil {
		return nil, wrong("invalidSyntax", "%v", err)
	}
	return o, nil
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, pattern string, a *answer, err error) {
	if err != nil {
		e := h.explain(r, err)
		a = &answer{status: e.status, body: e}
		if e.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
	}
	h.Logger.InfoContext(r.Context(), "provisioning", "operation", pattern, "status", a.status, "remote", r.RemoteAddr)
	if a.at != "" {
		w.Header().Set("Location", a.at)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	out, err := json.Marshal(a.body)
	if err != nil {
		h.Logger.ErrorContext(r.Context(), "writing an answer to provisioning", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(a.status)
	_, _ = w.Write(out) // the client left: nobody to tell
}

// explain says to a client what went wrong, and no more than that.
func (h *handler) explain(r *http.Request, err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, people.ErrTaken):
		return failure(http.StatusConflict, "uniqueness", "%v", err)
	case errors.Is(err, people.ErrUnknown):
		return failure(http.StatusNotFound, "", "%v", err)
	case errors.Is(err, people.ErrRefused):
		return wrong("invalidValue", "%v", err)
	case errors.Is(err, people.ErrFull):
		return failure(http.StatusInsufficientStorage, "", "%v", err)
	}
	h.Logger.ErrorContext(r.Context(), "provisioning failed", "err", err)
	return failure(http.StatusServiceUnavailable, "", "nothing was changed: try again later")
}
