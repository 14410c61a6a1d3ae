package errs

// Reason is why a call or an event was refused: a closed list, the same words
// in gRPC, REST, metrics and the dashboard.
type Reason string

// The reasons.
const (
	// InvalidField: fields of the request break their rules.
	InvalidField Reason = "INVALID_FIELD"
	// MalformedRequest: the request could not be read: JSON, encoding, compression.
	MalformedRequest Reason = "MALFORMED_REQUEST"
	// UnsupportedMediaType: the content type or encoding is not one that is read.
	UnsupportedMediaType Reason = "UNSUPPORTED_MEDIA_TYPE"
	// RequestTooLarge: the body is larger than the limit, packed or unpacked.
	RequestTooLarge Reason = "REQUEST_TOO_LARGE"
	// IDRepeatedInBatch: an id occurs twice in a batch with different texts.
	IDRepeatedInBatch Reason = "ID_REPEATED_IN_BATCH"
	// InvalidPageToken: a page token or cursor was changed, or is of another query.
	InvalidPageToken Reason = "INVALID_PAGE_TOKEN"
	// InvalidFilter: a filter does not follow AIP-160 or names an unknown field.
	InvalidFilter Reason = "INVALID_FILTER"
	// AmbiguousProject: `projects/-` with a credential of several projects.
	AmbiguousProject Reason = "AMBIGUOUS_PROJECT"
	// NotFound: it does not exist in the caller's project.
	NotFound Reason = "NOT_FOUND"
	// AlreadyExists: the id is taken.
	AlreadyExists Reason = "ALREADY_EXISTS"
	// CredentialMissing: the call carries no credential.
	CredentialMissing Reason = "CREDENTIAL_MISSING" //nolint:gosec // a reason, no credential
	// CredentialMalformed: the credential has not the form of a key or token.
	CredentialMalformed Reason = "CREDENTIAL_MALFORMED" //nolint:gosec // a reason, no credential
	// CredentialUnknown: no such key, or a wrong password.
	CredentialUnknown Reason = "CREDENTIAL_UNKNOWN" //nolint:gosec // a reason, no credential
	// CredentialExpired: the key, token or session has ended.
	CredentialExpired Reason = "CREDENTIAL_EXPIRED" //nolint:gosec // a reason, no credential
	// CredentialRevoked: the key or session was revoked.
	CredentialRevoked Reason = "CREDENTIAL_REVOKED" //nolint:gosec // a reason, no credential
	// PermissionDenied: no right, or no such project.
	PermissionDenied Reason = "PERMISSION_DENIED"
	// CrossOrigin: a browser's call from another site, or without the CSRF header.
	CrossOrigin Reason = "CROSS_ORIGIN"
	// RateLimited: a rate limit of the key or project is used up.
	RateLimited Reason = "RATE_LIMITED"
	// SignInThrottled: too many failed sign-ins for the account.
	SignInThrottled Reason = "SIGN_IN_THROTTLED"
	// BacklogFull: the queue holds as much as it may.
	BacklogFull Reason = "BACKLOG_FULL"
	// DiskFull: the free space is at its floor.
	DiskFull Reason = "DISK_FULL"
	// TooManyStreams: the limit of open streams is reached.
	TooManyStreams Reason = "TOO_MANY_STREAMS"
	// StoreBusy: every connection to the store is taken.
	StoreBusy Reason = "STORE_BUSY"
	// Unprocessable: an event failed every try to score it; it is a dead letter.
	Unprocessable Reason = "UNPROCESSABLE"
	// Unavailable: a part of the system does not answer.
	Unavailable Reason = "UNAVAILABLE"
	// ShuttingDown: the server is being stopped.
	ShuttingDown Reason = "SHUTTING_DOWN"
	// DeadlineExceeded: the deadline passed.
	DeadlineExceeded Reason = "DEADLINE_EXCEEDED"
	// Canceled: the caller gave up.
	Canceled Reason = "CANCELED"
	// Internal: a fault of the server.
	Internal Reason = "INTERNAL"
)

// Reasons lists all reasons, in the order of this file; a test holds it
// complete.
func Reasons() []Reason {
	return []Reason{
		InvalidField, MalformedRequest, UnsupportedMediaType, RequestTooLarge, IDRepeatedInBatch,
		InvalidPageToken, InvalidFilter, AmbiguousProject, NotFound, AlreadyExists,
		CredentialMissing, CredentialMalformed, CredentialUnknown, CredentialExpired, CredentialRevoked,
		PermissionDenied, CrossOrigin, RateLimited, SignInThrottled, BacklogFull, DiskFull, TooManyStreams, StoreBusy,
		Unprocessable, Unavailable, ShuttingDown, DeadlineExceeded, Canceled, Internal,
	}
}
