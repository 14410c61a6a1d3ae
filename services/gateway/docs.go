package gateway

import (
	"bytes"
	"html/template"
	"io/fs"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/gateway/explorer"
	"github.com/synapse-analytics/synapse/services/gateway/openapi"
)

// newExplorer makes the pages below /docs.
func newExplorer() (*site, error) {
	s := &site{files: make(map[string]*file)}
	files := explorer.Files()
	for name, path := range map[string]string{"index.html": "/docs.html", "explorer.js": "/docs/explorer.js", "explorer.css": "/docs/explorer.css"} {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if err := s.add(path, data); err != nil {
			return nil, err
		}
	}
	page, err := problemsPage()
	if err != nil {
		return nil, err
	}
	if err := s.add("/docs/problems.html", page); err != nil {
		return nil, err
	}
	if err := s.add("/openapi.json", openapi.Document()); err != nil {
		return nil, err
	}
	// The pages' addresses have no extension.
	s.files["/docs"], s.files["/docs/"] = s.files["/docs.html"], s.files["/docs.html"]
	s.files["/docs/problems"] = s.files["/docs/problems.html"]
	delete(s.files, "/docs.html")
	delete(s.files, "/docs/problems.html")
	return s, nil
}

// explore serves the explorer, the page of problems and the OpenAPI document.
func (g *Gateway) explore(c *call) { c.file(g.explorer.files[c.r.URL.Path]) }

var problemsTemplate = template.Must(template.New("problems").Parse(`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <link rel="icon" href="/favicon.svg" type="image/svg+xml">
    <title>Problems – Synapse API</title>
    <link rel="stylesheet" href="/docs/explorer.css">
  </head>
  <body>
    <main class="page">
      <h1><a href="/docs">Synapse API</a></h1>
      <h2>Problems</h2>
      <p>Every error answer is <code>application/problem+json</code> (RFC 9457). Its <code>reason</code> is one of these, in REST and in gRPC alike.</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Reasons">
      <table>
        <thead><tr><th scope="col">Reason</th><th scope="col">Status</th><th scope="col">What it means</th><th scope="col">What to do</th></tr></thead>
        <tbody>
{{- range .}}
          <tr id="{{.Reason}}"><th scope="row"><code>{{.Reason}}</code></th><td>{{.Status}}</td><td>{{.Meaning}}</td><td>{{.Remedy}}</td></tr>
{{- end}}
        </tbody>
      </table>
      </div>
    </main>
  </body>
</html>
`))

// problemsPage lists every reason; a problem's type points to its row.
func problemsPage() ([]byte, error) {
	type row struct {
		Reason          errs.Reason
		Status          int
		Meaning, Remedy string
	}
	var rows []row
	for _, r := range errs.Reasons() {
		e := explanations[r]
		rows = append(rows, row{r, e.status, e.meaning, e.remedy})
	}
	var buf bytes.Buffer
	if err := problemsTemplate.Execute(&buf, rows); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
