// Package ingestjson turns the JSON of the ingest route into messages and
// verdicts into JSON: a strict decoder without reflection that accepts exactly
// what protojson accepts for synapse.ingest.v1.IngestEventsRequest and
// synapse.type.v1.EventInput, a line splitter for NDJSON, a CloudEvents reader
// and an encoder of verdicts.
//
// The decoder does no I/O and keeps no state. Strings of the decoded message
// share the memory of the document, so a document must not be longer than its
// caller can afford to keep alive. Nesting is bounded by the message itself: a
// value that no field expects is refused where it begins, so depth costs nothing.
package ingestjson
