package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const signInBody = `{"email":"u@example.com","password":"right"}`

var page = with(csrfHeader, "1")

func cookie(name, value string) option {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
}

func cookies(w *httptest.ResponseRecorder) map[string]*http.Cookie {
	out := map[string]*http.Cookie{}
	for _, c := range w.Result().Cookies() {
		out[c.Name] = c
	}
	return out
}

func TestSignIn(t *testing.T) {
	e := newEdge(t, &backend{})
	// A program gets the tokens.
	w := e.do(t, "POST", "/v1/sessions", signInBody, anonymous)
	body := decoded(t, w)
	require.Equal(t, "access-1", body["accessToken"])
	require.Equal(t, "refresh-1", body["refreshToken"])
	require.Empty(t, cookies(w))

	// A page gets cookies.
	w = e.do(t, "POST", "/v1/sessions", signInBody, anonymous, page)
	body = decoded(t, w)
	require.Equal(t, "", body["accessToken"])
	require.Equal(t, "", body["refreshToken"])
	require.Equal(t, "users/u", body["user"].(map[string]any)["name"])
	require.NotContains(t, w.Body.String(), "access-1")
	got := cookies(w)
	for name, want := range map[string]struct{ value, path string }{
		sessionCookie: {"access-1", "/"}, refreshCookie: {"refresh-1", "/v1/sessions:refresh"},
	} {
		c := got[name]
		require.NotNil(t, c, name)
		require.Equal(t, want.value, c.Value)
		require.Equal(t, want.path, c.Path)
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteStrictMode, c.SameSite)
		require.False(t, c.Secure, "not over plain HTTP")
		require.Positive(t, c.MaxAge)
		require.Empty(t, c.Domain)
	}
	tls := newEdge(t, &backend{}, func(d *Deps) { d.Config.TrustedProxies = []string{"192.0.2.1"} })
	w = tls.do(t, "POST", "/v1/sessions", signInBody, anonymous, page, with("X-Forwarded-Proto", "https"))
	require.True(t, cookies(w)[sessionCookie].Secure)

	require.Equal(t, errs.CredentialUnknown, problem(t, e.do(t, "POST", "/v1/sessions", `{"email":"u@example.com","password":"x"}`, anonymous)).Reason)
	require.Equal(t, "pass", problem(t, e.do(t, "POST", "/v1/sessions", `{"pass":"x"}`, anonymous)).Violations[0].Field)
	require.Equal(t, 415, e.do(t, "POST", "/v1/sessions", signInBody, with("Content-Type", "text/plain")).Code, "what a form of another site can send")
	require.Equal(t, errs.CrossOrigin, problem(t, e.do(t, "POST", "/v1/sessions", signInBody, anonymous, page, with("Sec-Fetch-Site", "cross-site"))).Reason)

	// A credential does not go along.
	e.do(t, "POST", "/v1/sessions", signInBody)
	md, _ := e.backend.seen()
	require.Empty(t, md.Get("authorization"))
}

func TestRefresh(t *testing.T) {
	e := newEdge(t, &backend{})
	body := decoded(t, e.do(t, "POST", "/v1/sessions:refresh", `{"refreshToken":"refresh-1"}`, anonymous))
	require.Equal(t, "access-2", body["accessToken"])

	w := e.do(t, "POST", "/v1/sessions:refresh", "", anonymous, page, cookie(refreshCookie, "refresh-1"))
	require.Equal(t, "", decoded(t, w)["refreshToken"])
	require.Equal(t, "access-2", cookies(w)[sessionCookie].Value)
	require.Equal(t, "refresh-2", cookies(w)[refreshCookie].Value)

	// Without the header the cookie does not count.
	w = e.do(t, "POST", "/v1/sessions:refresh", "", anonymous, cookie(refreshCookie, "refresh-1"))
	require.Equal(t, 401, w.Code)
	_, last := e.backend.seen()
	require.Empty(t, last.(*authv1.RefreshSessionRequest).GetRefreshToken())

	require.Equal(t, errs.CredentialMissing, problem(t, e.do(t, "POST", "/v1/sessions:refresh", "", anonymous, page)).Reason)
	require.Equal(t, 403, e.do(t, "POST", "/v1/sessions:refresh", "", anonymous, page, cookie(refreshCookie, "refresh-1"), with("Origin", "https://evil.example")).Code)
	w = e.do(t, "POST", "/v1/sessions:refresh", "", anonymous, page, cookie(refreshCookie, "old"))
	require.Equal(t, errs.CredentialExpired, problem(t, w).Reason)
	require.Negative(t, cookies(w)[sessionCookie].MaxAge, "a session that has ended leaves no cookie")
}

func TestSignOut(t *testing.T) {
	e := newEdge(t, &backend{})
	w := e.do(t, "DELETE", "/v1/sessions/current", "", anonymous, page, cookie(sessionCookie, "good"))
	decoded(t, w)
	for _, name := range []string{sessionCookie, refreshCookie} {
		require.Negative(t, cookies(w)[name].MaxAge)
		require.Empty(t, cookies(w)[name].Value)
	}
	require.Equal(t, "/v1/sessions:refresh", cookies(w)[refreshCookie].Path)
	w = e.do(t, "DELETE", "/v1/sessions/current", "", anonymous, page, cookie(sessionCookie, "expired"))
	require.Equal(t, 401, w.Code)
	require.Empty(t, cookies(w), "the page can refresh and try again")
	w = e.do(t, "DELETE", "/v1/sessions/current", "", anonymous, cookie(sessionCookie, "good"))
	require.Equal(t, 403, w.Code)
	require.Empty(t, cookies(w), "another site can not sign one out")
	require.Equal(t, 200, e.do(t, "DELETE", "/v1/sessions/current", "").Code, "a program's token")
}

func TestCookieMatrix(t *testing.T) {
	e := newEdge(t, &backend{})
	const ingest, read = "/v1/projects/p/events:ingest", "/v1/projects/p/balance"
	good := cookie(sessionCookie, "good")
	tests := []struct {
		name, method, target string
		opts                 []option
		status               int
		reason               errs.Reason
	}{
		{"read with cookie", "GET", read, []option{anonymous, good}, 200, ""},
		{"read with a wrong cookie", "GET", read, []option{anonymous, cookie(sessionCookie, "bad")}, 401, errs.CredentialUnknown},
		{"read with another cookie", "GET", read, []option{anonymous, cookie("x", "good")}, 401, errs.CredentialMissing},
		{"write with cookie alone", "POST", ingest, []option{anonymous, good}, 403, errs.CrossOrigin},
		{"write with cookie and header", "POST", ingest, []option{anonymous, good, page}, 200, ""},
		{"wrong header", "POST", ingest, []option{anonymous, good, with(csrfHeader, "0")}, 403, errs.CrossOrigin},
		{"same origin", "POST", ingest, []option{anonymous, good, page, with("Sec-Fetch-Site", "same-origin")}, 200, ""},
		{"same site is not same origin", "POST", ingest, []option{anonymous, good, page, with("Sec-Fetch-Site", "same-site")}, 403, errs.CrossOrigin},
		{"cross site", "POST", ingest, []option{anonymous, good, page, with("Sec-Fetch-Site", "cross-site")}, 403, errs.CrossOrigin},
		{"foreign origin", "POST", ingest, []option{anonymous, good, page, with("Origin", "https://evil.example")}, 403, errs.CrossOrigin},
		{"own origin", "POST", ingest, []option{anonymous, good, page, with("Origin", "http://example.com")}, 200, ""},
		{"header wins over cookie", "POST", ingest, []option{cookie(sessionCookie, "bad")}, 200, ""},
		{"bad header with a good cookie", "GET", read, []option{with("Authorization", "Bearer x"), good}, 401, errs.CredentialUnknown},
		{"a key is no browser's", "POST", ingest, []option{with("Sec-Fetch-Site", "cross-site")}, 200, ""},
		{"score with cookie", "POST", "/v1/texts:score", []option{anonymous, good}, 403, errs.CrossOrigin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := ""
			if tt.method == "POST" {
				if body = `{"events":[{"text":"x"}]}`; tt.target != ingest {
					body = `{"text":"x"}`
				}
			}
			w := e.do(t, tt.method, tt.target, body, tt.opts...)
			require.Equal(t, tt.status, w.Code, w.Body.String())
			if tt.status != 200 {
				require.Equal(t, tt.reason, problem(t, w).Reason)
			}
		})
	}
}
