package ingestjson

import (
	"strconv"
	"unicode/utf8"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// AppendResponse appends the JSON of the response to dst and returns it: the
// same document as protojson's with EmitDefaultValues, without white space.
// Text that is not UTF-8 gets replacement characters.
func AppendResponse(dst []byte, r *ingestv1.IngestEventsResponse) []byte {
	dst = AppendCounts(dst, int64(r.GetAccepted()), int64(r.GetDuplicate()), int64(r.GetRejected()))
	for i, res := range r.GetResults() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendResult(dst, res, int64(res.GetIndex()))
	}
	return AppendEnd(dst, r.GetTraceId())
}

// AppendCounts appends the beginning of a response, up to its results.
func AppendCounts(dst []byte, accepted, duplicate, rejected int64) []byte {
	dst = append(dst, `{"accepted":`...)
	dst = strconv.AppendInt(dst, accepted, 10)
	dst = append(dst, `,"duplicate":`...)
	dst = strconv.AppendInt(dst, duplicate, 10)
	dst = append(dst, `,"rejected":`...)
	dst = strconv.AppendInt(dst, rejected, 10)
	return append(dst, `,"results":[`...)
}

// AppendEnd appends what follows the results of a response.
func AppendEnd(dst []byte, traceID string) []byte {
	dst = append(dst, `],"traceId":`...)
	return append(appendString(dst, traceID), '}')
}

// AppendResult appends one verdict, with index in place of its own.
func AppendResult(dst []byte, r *ingestv1.IngestResult, index int64) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, index, 10)
	dst = append(dst, `,"id":`...)
	dst = appendString(dst, r.GetId())
	dst = append(dst, `,"status":`...)
	if name, ok := ingestv1.IngestResult_Status_name[int32(r.GetStatus())]; ok {
		dst = appendString(dst, name)
	} else {
		dst = strconv.AppendInt(dst, int64(r.GetStatus()), 10)
	}
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, r.GetReason())
	dst = append(dst, `,"violations":[`...)
	for i, v := range r.GetViolations() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendViolation(dst, v)
	}
	dst = append(dst, `],"retryable":`...)
	dst = strconv.AppendBool(dst, r.GetRetryable())
	return append(dst, '}')
}

func appendViolation(dst []byte, v *typev1.FieldViolation) []byte {
	dst = append(dst, `{"field":`...)
	dst = appendString(dst, v.GetField())
	dst = append(dst, `,"rule":`...)
	dst = appendString(dst, v.GetRule())
	dst = append(dst, `,"remedy":`...)
	return append(appendString(dst, v.GetRemedy()), '}')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		n := plain(s, i)
		dst = append(dst, s[i:i+n]...)
		if i += n; i >= len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r) // a broken byte becomes U+FFFD
			i += n
		}
	}
	return append(dst, '"')
}
