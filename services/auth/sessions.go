package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// maxSessions bounds the sessions of a user; a new one ends the oldest.
	maxSessions = 50
	// A refresh token is its prefix and 43 characters of base62: 256 bits.
	refreshPrefix = "syn_rt_"
	refreshRandom = 43

	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base36    = "abcdefghijklmnopqrstuvwxyz0123456789"
	idLength  = 20
	maxEmail  = 254
	userKind  = "users/"
	signInFix = "check both, or ask the administrator for a new password"
)

// ownerScopes is what a project's owner may do in it.
func ownerScopes() []typev1.Access_Scope {
	return []typev1.Access_Scope{typev1.Access_INGEST, typev1.Access_READ, typev1.Access_SCORE, typev1.Access_MANAGE}
}

// SignIn implements authv1.AuthServiceServer. An unknown address and a wrong
// password take the same path and get the same answer.
func (s *Service) SignIn(ctx context.Context, req *authv1.SignInRequest) (*authv1.Session, error) {
	out, err := s.signIn(ctx, NormalizeEmail(req.GetEmail()), req.GetPassword())
	err = edge(err)
	count(ctx, s.metrics.signIns, err)
	return out, err
}

func (s *Service) signIn(ctx context.Context, email, password string) (*authv1.Session, error) {
	account := accountOf(email)
	leave, err := s.throttle.enter(ctx, account)
	if err != nil {
		return nil, err
	}
	defer leave()
	failures, err := s.throttle.check(ctx, account)
	if err != nil {
		return nil, err
	}
	user, err := s.store.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	// user.PasswordHash is empty for an unknown account: the dummy is verified.
	ok, renew, err := s.hasher.verify(ctx, password, user.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok {
		if err := s.throttle.failed(ctx, account); err != nil {
			return nil, err
		}
		// without the address: people type passwords into the wrong field
		s.log.InfoContext(ctx, "sign-in failed", "audit", true, "user", user.ID, "failures", failures.Count+1)
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "the e-mail address or the password is wrong", signInFix)
	}
	if failures.Count > 0 {
		if err := s.store.ClearFailures(ctx, account); err != nil {
			return nil, err
		}
	}
	if renew {
		s.renewHash(ctx, user, password)
	}
	return s.newSession(ctx, user)
}

// renewHash brings an old hash to the current parameters. A failure is logged:
// the sign-in holds.
func (s *Service) renewHash(ctx context.Context, user User, password string) {
	hash, err := s.hasher.hash(ctx, password)
	if err == nil {
		err = s.store.UpgradePassword(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a password hash could not be renewed", "user", user.ID, "error", err)
	}
}

func (s *Service) newSession(ctx context.Context, user User) (*authv1.Session, error) {
	now := s.now()
	id, err := randomText(base36, idLength)
	if err != nil {
		return nil, err
	}
	refresh, hash, err := newRefreshToken()
	if err != nil {
		return nil, err
	}
	ses := Session{ID: id, UserID: user.ID, CreateTime: now, ExpireTime: now.Add(s.cfg.SessionIdle)}
	ended, err := s.store.CreateSession(ctx, ses, hash, maxSessions)
	if err != nil {
		return nil, err
	}
	for _, old := range ended {
		s.announce.tell(ctx, sessionEnded(old))
	}
	s.log.InfoContext(ctx, "signed in", "audit", true, "user", user.ID, "session", ses.ID)
	return s.answer(ctx, ses, user, refresh)
}

// answer makes the tokens of a session.
func (s *Service) answer(ctx context.Context, ses Session, user User, refresh string) (*authv1.Session, error) {
	owned, err := s.store.ProjectsOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	p := authn.Principal{
		Kind: authn.KindUser, ID: user.ID, SessionID: ses.ID,
		Projects: make(map[string][]typev1.Access_Scope, len(owned)),
	}
	for _, id := range owned {
		p.Projects[id] = ownerScopes()
	}
	token, end, err := s.keys.sign(p)
	if err != nil {
		return nil, err
	}
	return &authv1.Session{
		AccessToken: token, ExpireTime: timestamppb.New(end),
		RefreshToken: refresh, RefreshExpireTime: timestamppb.New(ses.ExpireTime),
		User: userProto(user),
	}, nil
}

func newRefreshToken() (string, Hash, error) {
	random, err := randomText(base62, refreshRandom)
	if err != nil {
		return "", Hash{}, err
	}
	token := refreshPrefix + random
	return token, sha256.Sum256([]byte(token)), nil
}

// RefreshSession implements authv1.AuthServiceServer.
func (s *Service) RefreshSession(ctx context.Context, req *authv1.RefreshSessionRequest) (*authv1.Session, error) {
	out, err := s.refreshSession(ctx, req.GetRefreshToken())
	err = edge(err)
	count(ctx, s.metrics.refreshes, err)
	return out, err
}

func (s *Service) refreshSession(ctx context.Context, token string) (*authv1.Session, error) {
	const again = "sign in again"
	switch {
	case token == "":
		return nil, errs.Unauthenticated(errs.CredentialMissing, "the refresh token is missing", again)
	case len(token) != len(refreshPrefix)+refreshRandom || !strings.HasPrefix(token, refreshPrefix):
		return nil, errs.Unauthenticated(errs.CredentialMalformed, "that is not the form of a refresh token", again)
	}
	fresh, freshHash, err := newRefreshToken()
	if err != nil {
		return nil, err
	}
	now := s.now()
	ses, err := s.store.RotateRefresh(ctx, sha256.Sum256([]byte(token)), freshHash, now, func(ses Session) time.Time {
		idle, longest := now.Add(s.cfg.SessionIdle), ses.CreateTime.Add(s.cfg.SessionMax)
		if longest.Before(idle) {
			return longest
		}
		return idle
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "the refresh token is not known", again)
	case errors.Is(err, ErrReplaced):
		s.announce.tell(ctx, sessionEnded(ses.ID))
		s.log.WarnContext(ctx, "a refresh token was used twice; its session was ended", "audit", true, "user", ses.UserID, "session", ses.ID)
		return nil, errs.Unauthenticated(errs.CredentialRevoked, "the refresh token was used before, so its session was ended", again)
	case errors.Is(err, ErrEnded) && ses.EndTime.IsZero():
		return nil, errs.Unauthenticated(errs.CredentialExpired, "the session has expired", again)
	case errors.Is(err, ErrEnded):
		return nil, errs.Unauthenticated(errs.CredentialRevoked, "the session was ended", again)
	case err != nil:
		return nil, err
	}
	user, err := s.store.UserByID(ctx, ses.UserID)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, ses, user, fresh)
}

// GetSession implements authv1.AuthServiceServer.
func (s *Service) GetSession(ctx context.Context, _ *authv1.GetSessionRequest) (*authv1.SessionInfo, error) {
	p, err := person(ctx)
	if err != nil {
		return nil, err
	}
	ses, err := s.store.SessionByID(ctx, p.SessionID)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !ses.EndTime.IsZero():
		return nil, errs.Unauthenticated(errs.CredentialRevoked, "the session was ended", "sign in again")
	case err != nil:
		return nil, edge(err)
	}
	user, err := s.store.UserByID(ctx, p.ID)
	if err != nil {
		return nil, edge(err)
	}
	projects, err := s.projectsOf(ctx, p)
	if err != nil {
		return nil, edge(err)
	}
	return &authv1.SessionInfo{User: userProto(user), Projects: projects, ExpireTime: stamp(p.ExpireTime)}, nil
}

// SignOut implements authv1.AuthServiceServer.
func (s *Service) SignOut(ctx context.Context, _ *authv1.SignOutRequest) (*emptypb.Empty, error) {
	p, err := person(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.store.EndSession(ctx, p.SessionID, s.now()); err != nil {
		return nil, edge(err)
	}
	s.announce.tell(ctx, sessionEnded(p.SessionID))
	s.log.InfoContext(ctx, "signed out", "audit", true, "user", p.ID, "session", p.SessionID)
	return &emptypb.Empty{}, nil
}

func userProto(u User) *authv1.User { return &authv1.User{Name: userKind + u.ID, Email: u.Email} }

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
