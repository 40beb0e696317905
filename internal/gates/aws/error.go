package aws

import (
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/aws"
)

// s3XML is the protocol of S3, whose errors look unlike those of REST XML.
const s3XML = "s3"

// guess is in which protocol a request is to be answered, from what everybody can see of it.
func guess(r *http.Request) *mark {
	m := &mark{protocol: classify.RestJSON}
	switch t := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(t, "application/x-amz-json-1.0"):
		m.protocol, m.version = classify.JSON, "1.0"
	case strings.HasPrefix(t, "application/x-amz-json-") || r.Header.Get("X-Amz-Target") != "":
		m.protocol, m.version = classify.JSON, "1.1"
	case strings.HasPrefix(t, "application/x-www-form-urlencoded") || strings.Contains(r.URL.RawQuery, "Action="):
		m.protocol = classify.Query
	case r.Header.Get("X-Amz-Content-Sha256") != "" || r.URL.Query().Has("X-Amz-Signature"):
		m.protocol = s3XML
	}
	return m
}

// setProtocol is guess once the scope is known.
func (m *mark) setProtocol(r *http.Request, c *classify.Classifier) {
	switch {
	case s3(m.scope.Service):
		if m.protocol = s3XML; r.Header.Get("X-Amz-Account-Id") != "" {
			m.protocol = classify.RestXML
		}
	case m.protocol == classify.JSON:
	case c.Protocol(m.scope.Service) == classify.JSON && m.protocol == classify.Query:
	default:
		if p := c.Protocol(m.scope.Service); p != "" {
			m.protocol = p
		}
	}
}

// problem is a refusal as AWS tells one. Its status is one that no SDK sends again by itself, unless
// sending it again is the right thing to do.
func problem(status int, d *gate.Denied, m *mark) (int, string) {
	if m.code != "" && d.Status == gate.StatusDenied {
		switch m.code {
		case "RequestEntityTooLarge":
			return http.StatusRequestEntityTooLarge, m.code
		case "AuthorizationHeaderMalformed", "IncompleteBody", "InvalidRequest", "InvalidURI":
			return http.StatusBadRequest, m.code
		}
		return http.StatusForbidden, m.code
	}
	switch d.Status {
	case gate.StatusPending:
		return http.StatusForbidden, "PendingApproval"
	case gate.StatusExpired:
		return http.StatusForbidden, "ApprovalExpired"
	case gate.StatusUnreadable:
		if status == http.StatusRequestEntityTooLarge {
			return status, "RequestEntityTooLarge"
		}
		if m.protocol == s3XML {
			return http.StatusBadRequest, "InvalidRequest"
		}
		return http.StatusBadRequest, "ValidationError"
	case gate.StatusLost: // sent again it might run twice
		return http.StatusConflict, "OutcomeUnknown"
	case gate.StatusNobody, gate.StatusUnreachable:
		return http.StatusServiceUnavailable, "ServiceUnavailable"
	case gate.StatusLimit:
		return http.StatusForbidden, "AnswerWithheld"
	}
	if status == http.StatusUnauthorized {
		return http.StatusForbidden, "InvalidClientTokenId"
	}
	return http.StatusForbidden, "AccessDenied"
}

// names are what protocols and services call the same thing.
func (m *mark) name(code string) string {
	switch {
	case m.protocol == s3XML:
		switch code {
		case "InvalidClientTokenId":
			return "InvalidAccessKeyId"
		case "MissingAuthenticationToken":
			return "AccessDenied"
		}
	case m.protocol == classify.EC2:
		switch code {
		case "AccessDenied":
			return "UnauthorizedOperation"
		case "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken":
			return "AuthFailure"
		case "ExpiredToken", "RequestTimeTooSkewed":
			return "RequestExpired"
		}
	case m.protocol == classify.JSON || m.protocol == classify.RestJSON:
		switch code {
		case "InvalidClientTokenId":
			return "UnrecognizedClientException"
		case "SignatureDoesNotMatch":
			return "InvalidSignatureException"
		case "ValidationError":
			return "ValidationException"
		}
		return code + "Exception"
	}
	return code
}

// Refuse answers in the protocol of the request.
func (g *Gate) Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied) {
	m := markOf(r)
	if g.o.S3 != nil {
		g.o.S3.Refused(r, d)
	}
	status, code := problem(status, d, m)
	code = m.name(code)
	h, id := w.Header(), rand.Text()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Amzn-Requestid", id)
	text := httpgate.Sentence(d)
	var body []byte
	switch m.protocol {
	case classify.JSON:
		h.Set("Content-Type", "application/x-amz-json-"+or(m.version, "1.1"))
		h.Set("X-Amzn-Errortype", code)
		body, _ = json.Marshal(map[string]string{"__type": code, "message": text, "Message": text})
	case classify.RestJSON:
		h.Set("Content-Type", "application/json")
		h.Set("X-Amzn-Errortype", code)
		body, _ = json.Marshal(map[string]string{"code": code, "message": text, "Message": text})
	case classify.EC2:
		h.Set("Content-Type", "text/xml;charset=UTF-8")
		body = document(ec2Error{Code: code, Message: text, ID: id})
	case s3XML:
		h.Set("Content-Type", "application/xml")
		h.Set("X-Amz-Request-Id", id)
		body = document(s3Error{Code: code, Message: text, ID: id})
	default:
		h.Set("Content-Type", "text/xml")
		kind := "Sender"
		if status >= 500 {
			kind = "Receiver"
		}
		body = document(queryError{Type: kind, Code: code, Message: text, ID: id})
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

type queryError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
	ID      string   `xml:"RequestId"`
}

type ec2Error struct {
	XMLName xml.Name `xml:"Response"`
	Code    string   `xml:"Errors>Error>Code"`
	Message string   `xml:"Errors>Error>Message"`
	ID      string   `xml:"RequestID"`
}

type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string   `xml:"Code"`
	Message string   `xml:"Message"`
	ID      string   `xml:"RequestId"`
}

func document(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		return nil
	}
	return append([]byte(xml.Header), b...)
}
