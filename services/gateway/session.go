package gateway

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// Browser sessions. The dashboard says by the CSRF header that it is a browser's
// page: then the tokens go into cookies that no script can read, and out of the
// answer. Without the header the same routes answer with the tokens, for
// programs.
const (
	csrfHeader    = "X-Synapse-Csrf"
	sessionCookie = "synapse_session" // the access token, for all paths
	refreshCookie = "synapse_refresh" // the refresh token, for the refresh only
	// maxCookie is about what browsers keep of one cookie, less its attributes.
	maxCookie = 3900
)

// signIn serves POST /v1/sessions.
func (g *Gateway) signIn(c *call) {
	req := &authv1.SignInRequest{}
	g.session(c, req, func(ctx context.Context, a *answers) (*authv1.Session, error) {
		return g.auth.SignIn(ctx, req, a.options()...)
	})
}

// refresh serves POST /v1/sessions:refresh. A browser's refresh token is in its
// cookie, a program's in the body.
func (g *Gateway) refresh(c *call) {
	req := &authv1.RefreshSessionRequest{}
	g.session(c, req, func(ctx context.Context, a *answers) (*authv1.Session, error) {
		if c.browser() {
			cookie, err := c.r.Cookie(refreshCookie)
			if err != nil || cookie.Value == "" {
				return nil, errs.Unauthenticated(errs.CredentialMissing, "there is no session to refresh", "sign in")
			}
			req.RefreshToken = cookie.Value
		}
		s, err := g.auth.RefreshSession(ctx, req, a.options()...)
		if c.browser() && err != nil && httpStatus(errs.FromError(err)) == http.StatusUnauthorized {
			c.clearCookies() // the session has ended
		}
		return s, err
	})
}

// browser says whether the request comes from a page that wants cookies.
func (c *call) browser() bool { return len(c.r.Header[http.CanonicalHeaderKey(csrfHeader)]) > 0 }

// session runs one of the two calls that give tokens.
func (g *Gateway) session(c *call, req proto.Message, do func(context.Context, *answers) (*authv1.Session, error)) {
	s, err := g.tokens(c, req, do)
	if err != nil {
		c.fail(err)
		return
	}
	if c.browser() {
		now := g.now()
		c.setCookie(sessionCookie, "/", s.GetAccessToken(), s.GetExpireTime(), now)
		c.setCookie(refreshCookie, templateRefresh, s.GetRefreshToken(), s.GetRefreshExpireTime(), now)
		s.AccessToken, s.RefreshToken = "", ""
	}
	body, err := answerJSON.Marshal(s)
	if err != nil {
		c.fail(errs.Fault(err))
		return
	}
	c.answer(http.StatusOK, body)
}

func (g *Gateway) tokens(c *call, req proto.Message, do func(context.Context, *answers) (*authv1.Session, error)) (*authv1.Session, error) {
	if c.browser() {
		if err := c.sameSite(); err != nil {
			return nil, err
		}
	}
	doc, err := c.document()
	if err != nil {
		return nil, err
	}
	if doc != "" {
		if err := decode(doc, req); err != nil {
			if e, ok := decodeError(err.Error()); ok {
				return nil, e
			}
			return nil, errs.Fault(err)
		}
	}
	// No credential goes along: these RPCs are how one gets it.
	md := metadata.MD{}
	g.tel.inject(c.ctx, md)
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(c.ctx, md), g.cfg.RequestTimeout)
	defer cancel()
	var a answers
	s, err := do(ctx, &a)
	c.headers(a.header, a.trailer)
	return s, err
}

// signOut serves DELETE /v1/sessions/current. The cookies go once the service has
// ended the session. When it refuses an access token that has expired they stay:
// the page refreshes the session and tries again, so that the session really
// ends instead of living on in the refresh token.
func (g *Gateway) signOut(c *call) {
	md, err := c.outgoing()
	if err != nil {
		c.fail(err)
		return
	}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(c.ctx, md), g.cfg.RequestTimeout)
	defer cancel()
	var a answers
	_, err = g.auth.SignOut(ctx, &authv1.SignOutRequest{}, a.options()...)
	c.headers(a.header, a.trailer)
	if err != nil {
		c.fail(err)
		return
	}
	if len(c.r.Header["Authorization"]) == 0 {
		c.clearCookies()
	}
	c.answer(http.StatusOK, []byte("{}"))
}

func (c *call) setCookie(name, path, value string, expires *timestamppb.Timestamp, now time.Time) {
	age := int(expires.AsTime().Sub(now) / time.Second)
	if value == "" || expires == nil || age <= 0 {
		value, age = "", -1
	}
	if len(value) > maxCookie {
		c.g.log.Warn("a session cookie is longer than browsers keep", "cookie", name, "bytes", len(value))
	}
	http.SetCookie(c, &http.Cookie{ //nolint:gosec // Secure follows the connection: the dashboard also works on plain loopback
		Name: name, Value: value, Path: path, MaxAge: age,
		HttpOnly: true, Secure: c.https(), SameSite: http.SameSiteStrictMode,
	})
}

func (c *call) clearCookies() {
	c.setCookie(sessionCookie, "/", "", nil, time.Time{})
	c.setCookie(refreshCookie, templateRefresh, "", nil, time.Time{})
}
