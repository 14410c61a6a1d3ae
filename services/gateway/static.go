package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// site is a set of static files in memory, each with its ETag and packed once.
type site struct {
	files map[string]*file // by path, beginning with a slash
}

type file struct {
	data, packed []byte
	kind         string
	etag         string
	// forever says that the name holds a hash of the content.
	forever bool
}

// staticTypes are types that the mime package may not know, or knows otherwise by the system's
// tables.
var staticTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8", ".map": "application/json",
	".woff2": "font/woff2",
}

func newSite(fsys fs.FS) (*site, error) {
	s := &site{files: make(map[string]*file)}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return s.add("/"+name, data)
	})
	return s, err
}

func (s *site) add(name string, data []byte) error {
	ext := path.Ext(name)
	kind, ok := staticTypes[ext]
	if !ok {
		if kind = mime.TypeByExtension(ext); kind == "" {
			kind = "application/octet-stream"
		}
	}
	sum := sha256.Sum256(data)
	f := &file{
		data: data, kind: kind, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		forever: strings.HasPrefix(name, "/assets/"),
	}
	if len(data) > 1024 && (strings.HasPrefix(kind, "text/") || strings.Contains(kind, "json") || strings.Contains(kind, "svg")) {
		var buf bytes.Buffer
		zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := zw.Write(data); err != nil {
			return err
		}
		if err := zw.Close(); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if buf.Len() < len(data) {
			f.packed = buf.Bytes()
		}
	}
	s.files[name] = f
	return nil
}

// paths lists the files, sorted.
func (s *site) paths() []string {
	out := make([]string, 0, len(s.files))
	for p := range s.files {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// asset serves the dashboard. An address without a file is a place inside the
// dashboard if a page was asked for, and unknown otherwise.
func (g *Gateway) asset(c *call) {
	name := c.r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	f := g.site.files[name]
	if f == nil && path.Ext(name) == "" && !strings.HasPrefix(name, "/docs") && strings.Contains(c.r.Header.Get("Accept"), "text/html") {
		f = g.site.files["/index.html"]
	}
	if f == nil {
		c.fail(errNoRoute())
		return
	}
	c.file(f)
}

// file answers with a static file.
func (c *call) file(f *file) {
	c.securePage()
	h := c.Header()
	data, etag := f.data, f.etag
	if f.packed != nil && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		data, etag = f.packed, strings.TrimSuffix(f.etag, `"`)+`-gz"`
		h["Content-Encoding"] = []string{"gzip"}
	}
	h["Content-Type"] = []string{f.kind}
	h["Etag"] = []string{etag}
	h["Vary"] = []string{"Accept-Encoding"}
	if f.forever {
		h["Cache-Control"] = []string{"public, max-age=31536000, immutable"}
	} else {
		h["Cache-Control"] = []string{"no-cache"}
	}
	if c.unchanged() {
		delete(h, "Content-Encoding")
		c.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	c.WriteHeader(http.StatusOK)
	if c.r.Method != http.MethodHead {
		_, _ = c.Write(data)
	}
}
