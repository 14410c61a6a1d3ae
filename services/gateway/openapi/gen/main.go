// Command gen writes the merged OpenAPI document.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/synapse-analytics/synapse/services/gateway/openapi"
)

func main() {
	in := flag.String("in", "gen/openapi", "folder of the generated documents")
	out := flag.String("out", "services/gateway/openapi/openapi.json", "file to write")
	flag.Parse()
	doc, err := openapi.Merge(os.DirFS(*in))
	if err != nil {
		log.Fatal("openapi: ", err)
	}
	if err := os.WriteFile(*out, doc, 0o644); err != nil { //nolint:gosec // a public document
		log.Fatal("openapi: ", err)
	}
}
