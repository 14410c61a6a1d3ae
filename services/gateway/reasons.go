package gateway

import (
	"strings"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// explanation is what the problem page says about a reason.
type explanation struct {
	title string
	// meaning and remedy in a sentence each.
	meaning, remedy string
	// status is the usual HTTP status.
	status int
}

// explanations has an entry for every reason; a test holds it complete.
var explanations = map[errs.Reason]explanation{
	errs.InvalidField:         {"Invalid field", "Fields of the request break their rules; the violations name them.", "Correct the fields that are named.", 400},
	errs.MalformedRequest:     {"Malformed request", "The request could not be read: its address, JSON, compression or encoding is broken.", "Correct the request at the place that the detail names.", 400},
	errs.UnsupportedMediaType: {"Unsupported media type", "The content type or encoding of the request is not one that is read, or the accepted types are not ones that are answered.", "Send JSON, NDJSON or CloudEvents, plain or packed with gzip or zstd.", 415},
	errs.RequestTooLarge:      {"Request too large", "The body, packed or unpacked, is larger than the limit that the detail names.", "Split it into several requests.", 413},
	errs.IDRepeatedInBatch:    {"Id repeated in batch", "An id occurs twice in one batch with different texts.", "Give each event an id of its own.", 400},
	errs.InvalidPageToken:     {"Invalid page token", "The page token or cursor was changed, or belongs to another query.", "Take it unchanged from the answer before, with the same parent and filter.", 400},
	errs.InvalidFilter:        {"Invalid filter", "The filter does not follow AIP-160 or names an unknown field.", "Correct the filter at the column that is named.", 400},
	errs.AmbiguousProject:     {"Ambiguous project", "projects/- was used with a credential that has not exactly one project.", "Name the project.", 400},
	errs.NotFound:             {"Not found", "It does not exist in the project, or the address or method is unknown.", "Check the name; an event that is still on its way appears within a moment.", 404},
	errs.AlreadyExists:        {"Already exists", "The id is taken.", "Choose another id.", 409},
	errs.CredentialMissing:    {"Credential missing", "The request carries no credential.", "Send `Authorization: Bearer <key or token>`.", 401},
	errs.CredentialMalformed:  {"Credential malformed", "The credential has not the form of a key or token.", "Check that it was copied as a whole.", 401},
	errs.CredentialUnknown:    {"Credential unknown", "There is no such key, or the password is wrong.", "Use a key of this installation.", 401},
	errs.CredentialExpired:    {"Credential expired", "The key, token or session has ended.", "Refresh the session, or create a new key.", 401},
	errs.CredentialRevoked:    {"Credential revoked", "The key or session was revoked.", "Use another key, or sign in again.", 401},
	errs.PermissionDenied:     {"Permission denied", "The credential may not do this in that project, or the project does not exist; the two are not told apart.", "Use a credential of the project that has the scope.", 403},
	errs.CrossOrigin:          {"Cross-origin request", "A browser's request with a session cookie came from another site or without the X-Synapse-Csrf header.", "Use the dashboard's own pages, or an Authorization header.", 403},
	errs.RateLimited:          {"Rate limited", "A rate limit of the key or project is used up.", "Wait as long as Retry-After says.", 429},
	errs.SignInThrottled:      {"Sign-in throttled", "There were too many failed sign-ins for this account.", "Wait as long as Retry-After says.", 429},
	errs.BacklogFull:          {"Backlog full", "The queue holds as much as it may; nothing of the request was taken over.", "Wait as long as Retry-After says, then send the same events again.", 429},
	errs.DiskFull:             {"Disk full", "The free space is at its floor; nothing of the request was taken over.", "Free space or add some, then send the same events again.", 429},
	errs.TooManyStreams:       {"Too many streams", "As many streams are open as may be.", "Close streams that nobody reads.", 429},
	errs.StoreBusy:            {"The store is busy", "Every connection to the store is taken.", "Try again in a second; when it lasts, raise max_conns of the role's store.", 429},
	errs.Unprocessable:        {"Unprocessable", "An event failed every try to score it; it is kept as a dead letter.", "See the dead letter; replay it after the cause is gone.", 422},
	errs.Unavailable:          {"Unavailable", "A part of the system does not answer at the moment.", "Try again a little later; see /readyz for the part.", 503},
	errs.ShuttingDown:         {"Shutting down", "The server is being stopped.", "Connect again.", 503},
	errs.DeadlineExceeded:     {"Deadline exceeded", "The call took longer than its deadline.", "Try again; ask for less at once if it lasts.", 504},
	errs.Canceled:             {"Canceled", "The caller gave up before the answer.", "Send the request again.", statusClientClosed},
	errs.Internal:             {"Internal error", "A fault of the server.", "Try again; if it lasts, give the trace id to the operator.", 500},
}

func titleOf(r errs.Reason) string {
	if e, ok := explanations[r]; ok {
		return e.title
	}
	// A service that is newer than this gateway may know more reasons.
	s := strings.ToLower(strings.ReplaceAll(string(r), "_", " "))
	if s == "" {
		return "Error"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// problemType is the address of the page that explains a reason, relative to
// the server.
func problemType(r errs.Reason) string {
	if _, ok := explanations[r]; !ok {
		return "about:blank"
	}
	return "/docs/problems#" + string(r)
}
