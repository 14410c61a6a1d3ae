package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Header values that are shared between answers; never changed.
var (
	noStore   = []string{"no-store"}
	noSniff   = []string{"nosniff"}
	noFrame   = []string{"default-src 'none'; frame-ancestors 'none'"}
	typeJSON  = []string{mediaJSON}
	noReferer = []string{"no-referrer"}
	// pageCSP lets a page of ours load only what this server serves, run no inline
	// script or style, and be put in no frame.
	pageCSP = []string{"default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"}
	sameCOO = []string{"same-origin"}
	powers  = []string{"camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()"}
	hsts    = []string{"max-age=31536000"}
)

// secure sets the headers of every answer; those of pages are in securePage.
func (c *call) secure() {
	h := c.ResponseWriter.Header()
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = noFrame
	h["Referrer-Policy"] = noReferer
	h["Cross-Origin-Resource-Policy"] = sameCOO
	if c.https() {
		h["Strict-Transport-Security"] = hsts
	}
}

// securePage sets the headers of our own pages and what they load.
func (c *call) securePage() {
	h := c.ResponseWriter.Header()
	h["Content-Security-Policy"] = pageCSP
	h["Cross-Origin-Opener-Policy"] = sameCOO
	h["Permissions-Policy"] = powers
}

// https says whether the caller's connection is encrypted, as far as it is
// known: to this server, or to a trusted proxy that says so.
func (c *call) https() bool {
	if c.r.TLS != nil {
		return true
	}
	if len(c.g.proxies) == 0 || !strings.EqualFold(c.r.Header.Get("X-Forwarded-Proto"), "https") {
		return false
	}
	from, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := from.Addr().Unmap()
	for _, p := range c.g.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// keyMark begins every API key.
const keyMark = "syn_sk_"

// checkAddress refuses addresses that other parts of the way could read in
// another way than we do, and those that carry a key.
func checkAddress(r *http.Request) error {
	u := r.URL
	if strings.Contains(u.RawQuery, keyMark) || strings.Contains(u.Path, keyMark) {
		return errKeyInURL()
	}
	if strings.IndexByte(u.RawQuery, '%') >= 0 {
		if q, err := url.QueryUnescape(u.RawQuery); err != nil || strings.Contains(q, keyMark) {
			if err != nil {
				return errPath("has a broken escape")
			}
			return errKeyInURL()
		}
	}
	if u.Path == "" || u.Path[0] != '/' || u.Host != "" && r.Method == http.MethodConnect {
		return errPath("does not begin with a slash")
	}
	if u.RawPath != "" || strings.IndexByte(u.Path, '%') >= 0 {
		raw := u.EscapedPath()
		for i := 0; i+2 < len(raw); i++ {
			if raw[i] != '%' {
				continue
			}
			switch strings.ToUpper(raw[i+1 : i+3]) {
			case "2F", "5C", "25", "00":
				return errPath("has an escaped slash, backslash, per cent sign or NUL")
			}
		}
	}
	for i := range len(u.Path) {
		if c := u.Path[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return errPath("has a control character or backslash")
		}
	}
	if strings.Contains(u.Path, "/.") {
		for seg := range strings.SplitSeq(u.Path, "/") {
			if seg == "." || seg == ".." {
				return errPath("has a dot segment")
			}
		}
	}
	if strings.Contains(u.Path, "//") {
		return errPath("has an empty segment")
	}
	return nil
}
