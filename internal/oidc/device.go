package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// A Device is a device code under way (RFC 8628). Code is a secret: it stays on the server.
type Device struct {
	Code         string
	UserCode     string
	Verification string // where the person types UserCode
	Complete     string // the same with the code filled in; may be ""
	Expires      time.Time
	Interval     time.Duration
}

// BeginDevice asks for a device code.
func (i *Issuer) BeginDevice(ctx context.Context) (*Device, error) {
	at, err := i.ready(ctx)
	if err != nil {
		return nil, err
	}
	if at.meta.Device == "" {
		return nil, i.refused("it has no device codes", "use another issuer, or the console")
	}
	ctx, cancel := i.context(ctx)
	defer cancel()
	var out struct {
		DeviceCode string  `json:"device_code"`
		UserCode   string  `json:"user_code"`
		URI        string  `json:"verification_uri"`
		URIs       string  `json:"verification_uri_complete"`
		ExpiresIn  float64 `json:"expires_in"`
		Interval   float64 `json:"interval"`
	}
	body, err := i.post(ctx, at, at.meta.Device, url.Values{"scope": {strings.Join(i.c.Scopes, " ")}}, "a device code")
	if err != nil {
		return nil, err
	}
	u, uerr := error(nil), json.Unmarshal(body, &out)
	for _, link := range []string{out.URI, out.URIs} {
		if link != "" && u == nil {
			u = CheckURL(strings.SplitN(link, "?", 2)[0])
		}
	}
	if uerr != nil || u != nil || out.DeviceCode == "" || out.UserCode == "" || out.URI == "" || len(out.UserCode) > 64 || !clean(out.UserCode) || !clean(out.URI) || !clean(out.URIs) {
		return nil, i.refused("its device code can't be read", "use the console")
	}
	life := time.Duration(min(max(out.ExpiresIn, 60), 1800)) * time.Second
	return &Device{
		Code: out.DeviceCode, UserCode: out.UserCode, Verification: out.URI, Complete: out.URIs,
		Expires: i.c.Clock().Add(life), Interval: time.Duration(min(max(out.Interval, 5), 60)) * time.Second,
	}, nil
}

// PollDevice asks once whether somebody confirmed. ErrPending and ErrSlow: ask again.
func (i *Issuer) PollDevice(ctx context.Context, code string) (*SignIn, error) {
	at, err := i.ready(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.context(ctx)
	defer cancel()
	body, err := i.post(ctx, at, at.endpoint.TokenURL, url.Values{"grant_type": {deviceGrant}, "device_code": {code}}, "polling for the device code")
	if err != nil {
		return nil, err
	}
	tok := &oauth2.Token{}
	extra := map[string]any{}
	if json.Unmarshal(body, tok) != nil || json.Unmarshal(body, &extra) != nil || tok.AccessToken == "" {
		return nil, i.refused("its answer to the device code can't be read", "")
	}
	return i.signedIn(ctx, at, tok.WithExtra(extra), expect{})
}

// post calls an endpoint as this client and returns the body of a success.
func (i *Issuer) post(ctx context.Context, at *found, to string, v url.Values, what string) ([]byte, error) {
	o, err := i.oauth(ctx, at, "")
	if err != nil {
		return nil, err
	}
	v.Set("client_id", o.ClientID)
	if o.ClientSecret != "" && at.endpoint.AuthStyle == oauth2.AuthStyleInParams {
		v.Set("client_secret", o.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(v.Encode()))
	if err != nil {
		return nil, i.note(i.down(what, err))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if o.ClientSecret != "" && at.endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		r.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret))
	}
	res, err := i.http.Do(r)
	if err != nil {
		return nil, i.doubt(ctx, what, err)
	}
	defer res.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return nil, i.doubt(ctx, what, errStatus)
	}
	if res.StatusCode == http.StatusOK {
		return body, nil
	}
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &said)
	switch said.Error {
	case "authorization_pending":
		return nil, &Error{Issuer: i.c.Name, What: "nobody has confirmed the code yet", Kind: ErrPending}
	case "slow_down":
		return nil, &Error{Issuer: i.c.Name, What: "it is asked too often", Kind: ErrSlow}
	}
	return nil, i.tokenError(ctx, what, &oauth2.RetrieveError{Response: res, ErrorCode: said.Error}, i.doubt)
}
