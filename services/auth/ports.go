package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// What a store answers besides its own failures; match with errors.Is.
var (
	// ErrNotFound says that there is no such thing.
	ErrNotFound = errors.New("auth store: not found")
	// ErrExists says that the id or e-mail address is taken.
	ErrExists = errors.New("auth store: exists")
	// ErrNotEmpty says that CreateFirst found something in the store.
	ErrNotEmpty = errors.New("auth store: not empty")
	// ErrLimit says that a bound on the number of things is reached.
	ErrLimit = errors.New("auth store: limit reached")
	// ErrReplaced says that the key was rotated already.
	ErrReplaced = errors.New("auth store: key was replaced")
	// ErrEnded says that the key or session was revoked or has expired.
	ErrEnded = errors.New("auth store: ended")
	// ErrUnavailable says that the store can not answer now.
	ErrUnavailable = errors.New("auth store: unavailable")
	// ErrExhausted is the ErrUnavailable of a store whose connections were all taken.
	ErrExhausted = fmt.Errorf("%w: no connection is free", ErrUnavailable)
)

// Hash is the SHA-256 of a random secret.
type Hash = [sha256.Size]byte

// User is a person.
type User struct {
	// ID is [a-z0-9]{1,32}.
	ID string
	// Email is normalised by NormalizeEmail.
	Email string
	// PasswordHash is in PHC form.
	PasswordHash string
	// CreateTime is when it was created.
	CreateTime time.Time
}

// Project is a tenant.
type Project struct {
	ID          string
	DisplayName string
	CreateTime  time.Time
}

// Session is a person's signed-in client.
type Session struct {
	ID     string
	UserID string
	// CreateTime is when the person signed in.
	CreateTime time.Time
	// ExpireTime is when the session ends unless it is refreshed.
	ExpireTime time.Time
	// EndTime is when it was ended; zero while it lasts.
	EndTime time.Time
}

// APIKey is a program's credential, without its secret. Zero times are not set.
type APIKey struct {
	ID          string
	ProjectID   string
	DisplayName string
	// Prefix is the public start of the secret.
	Prefix string
	// Hash is that of the whole secret.
	Hash       Hash
	Scopes     []typev1.Access_Scope
	CreateTime time.Time
	ExpireTime time.Time
	LastUse    time.Time
	RevokeTime time.Time
	// ReplacedBy is the id of the key that rotation made of it.
	ReplacedBy string
}

// SigningKey signs tokens from ActivateTime until a later one is active.
type SigningKey struct {
	// ID is the token header's kid.
	ID string
	// Seed is the Ed25519 private key's seed, 32 bytes.
	Seed         []byte
	CreateTime   time.Time
	ActivateTime time.Time
}

// Failures counts an account's failed sign-ins in a row.
type Failures struct {
	Count int
	// Last is the time of the last one.
	Last time.Time
}

// First is what an empty store starts with.
type First struct {
	Project Project
	User    User
	Keys    []APIKey
}

// Changes are the things whose credentials are to be refused, by id.
type Changes struct {
	Keys, Sessions, Projects []string
}

// KeyCursor is a place in a list of keys, the newest first; the zero value is
// its start.
type KeyCursor struct {
	CreateTime time.Time
	ID         string
}

// Users keeps people.
type Users interface {
	// CreateUser adds a user; ErrExists when the id or address is taken.
	CreateUser(ctx context.Context, u User) error
	// UserByEmail finds a user by normalised address; ErrNotFound.
	UserByEmail(ctx context.Context, email string) (User, error)
	// UserByID finds a user; ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
	// SetPassword replaces the hash and ends all sessions of the user, whose ids
	// it returns; ErrNotFound.
	SetPassword(ctx context.Context, userID, hash string, now time.Time) (ended []string, err error)
	// UpgradePassword replaces the hash if it is still the old one.
	UpgradePassword(ctx context.Context, userID, old, hash string) error
	// Failures returns the count of an account, by the hash of its address; zero
	// when there is none.
	Failures(ctx context.Context, account Hash) (Failures, error)
	// AddFailure counts a failure and returns the count; one older than
	// forget before now counts no more.
	AddFailure(ctx context.Context, account Hash, now time.Time, forget time.Duration) (int, error)
	// ClearFailures forgets an account's failures.
	ClearFailures(ctx context.Context, account Hash) error
}

// Sessions keeps sessions and the hashes of their refresh tokens.
type Sessions interface {
	// CreateSession adds a session with its first refresh token, and ends the
	// user's oldest ones beyond keep, whose ids it returns.
	CreateSession(ctx context.Context, s Session, refresh Hash, keep int) (ended []string, err error)
	// RotateRefresh replaces a refresh token and moves the session's expiry:
	// expire gets the session and returns its new expiry. It answers
	// ErrNotFound for a token that is not known, ErrEnded with the session for
	// one that has ended or expired, and ErrReplaced with the session for a token
	// that was used before; that session is then ended.
	RotateRefresh(ctx context.Context, old, fresh Hash, now time.Time, expire func(Session) time.Time) (Session, error)
	// SessionByID finds a session, ended or not; ErrNotFound.
	SessionByID(ctx context.Context, id string) (Session, error)
	// EndSession ends a session; an ended or unknown one is left as it is.
	EndSession(ctx context.Context, id string, now time.Time) error
}

// Projects keeps projects and who owns them.
type Projects interface {
	// CreateProject adds a project with its owner; ErrExists when the id is or was
	// in use, ErrLimit when the owner has limit projects.
	CreateProject(ctx context.Context, p Project, owner string, limit int) error
	// ProjectsByID returns those of the projects that exist, by id.
	ProjectsByID(ctx context.Context, ids []string) ([]Project, error)
	// ProjectsOf returns the ids of the projects that a user owns, at most 100.
	ProjectsOf(ctx context.Context, userID string) ([]string, error)
	// UpdateProject changes the display name; ErrNotFound.
	UpdateProject(ctx context.Context, id, displayName string) (Project, error)
	// DeleteProject leaves a tombstone; ErrNotFound when there is none to delete.
	DeleteProject(ctx context.Context, id string, now time.Time) error
}

// Keys keeps API keys.
type Keys interface {
	// CreateKey adds a key; ErrNotFound when its project does not exist, ErrLimit
	// when the project has limit working keys at the key's CreateTime.
	CreateKey(ctx context.Context, k APIKey, limit int) error
	// KeyByID finds a key, and says whether its project exists; ErrNotFound.
	KeyByID(ctx context.Context, id string) (k APIKey, projectExists bool, err error)
	// ListKeys returns up to limit keys of a project after the cursor, the newest
	// first.
	ListKeys(ctx context.Context, project string, after KeyCursor, limit int) ([]APIKey, error)
	// RevokeKey revokes a key of the project; one that was revoked stays as it
	// is. ErrNotFound.
	RevokeKey(ctx context.Context, project, id string, now time.Time) error
	// RotateKey adds the key next in place of the key with the id, which then
	// expires at oldExpire if it did not before, or is revoked now when that is
	// not after now. ErrNotFound; ErrEnded when it was revoked or has expired,
	// ErrReplaced when it was rotated already.
	RotateKey(ctx context.Context, project, id string, next APIKey, now, oldExpire time.Time) error
	// TouchKeys notes last uses; a use before the noted one changes nothing, an
	// unknown id neither.
	TouchKeys(ctx context.Context, uses map[string]time.Time) error
}

// Secrets keeps what the service signs with.
type Secrets interface {
	// UpdateSigningKeys gives all signing keys to change, in one transaction, and
	// adds and drops what it returns. It returns the keys as they are then, by
	// ActivateTime.
	UpdateSigningKeys(ctx context.Context, change func([]SigningKey) (add []SigningKey, drop []string)) ([]SigningKey, error)
	// Secret returns the secret of that name, and stores fresh if there is none.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
}

// Store is the service's own data. Times are kept to the microsecond. Methods
// are atomic, and durable when they return. Errors are those above, wrapped, or
// of the context.
type Store interface {
	Users
	Sessions
	Projects
	Keys
	Secrets

	// Empty says whether there never was a user or a project.
	Empty(ctx context.Context) (bool, error)
	// CreateFirst fills an empty store; the user owns the project. ErrNotEmpty.
	CreateFirst(ctx context.Context, f First) error
	// Changes returns what was revoked, ended or deleted after since and until
	// now, and the replaced keys that expired in that time: at most 1,000 of each,
	// the latest.
	Changes(ctx context.Context, since, now time.Time) (Changes, error)
	// Prune removes sessions that ended or expired before the time, and
	// failures last counted before it.
	Prune(ctx context.Context, before time.Time) error
	// Ping says whether the store answers.
	Ping(ctx context.Context) error
}

// Notifier tells all processes of a change. It may lose a notice.
type Notifier interface {
	// Notify publishes an encoded pipeline.v1.ControlNotice.
	Notify(ctx context.Context, notice []byte) error
}
