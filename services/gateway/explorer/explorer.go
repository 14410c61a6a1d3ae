// Package explorer holds the pages of the offline API explorer. They load
// nothing from elsewhere and run no inline script or style.
package explorer

import (
	"embed"
	"io/fs"
)

//go:embed static
var files embed.FS

// Files returns the pages: index.html, explorer.js, explorer.css.
func Files() fs.FS {
	sub, err := fs.Sub(files, "static")
	if err != nil { // the name is constant and valid
		return files
	}
	return sub
}
