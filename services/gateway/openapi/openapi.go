// Package openapi holds the OpenAPI 3.1 document of the REST API. It is made
// from the documents that the contracts generate (gen/openapi) and from what the
// contracts do not say: problems, security, and the routes of the gateway.
package openapi

import (
	_ "embed"
)

// gen writes the document: `go run ./services/gateway/openapi/gen` in the root
// of the repository. A test fails if it is not current.
//
//go:generate go run ./gen -in ../../../gen/openapi -out openapi.json

//go:embed openapi.json
var document []byte

// Document returns the merged document as JSON. It must not be changed.
func Document() []byte { return document }
