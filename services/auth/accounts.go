package auth

import (
	"context"
	"errors"
	"net/mail"
	"strings"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// CreateUser adds a person; with an empty password one is generated and
// returned, the only time that it is seen. It is for the machine's operator:
// there is no RPC for it.
func (s *Service) CreateUser(ctx context.Context, email, password string) (User, string, error) {
	u, plain, err := s.newUser(ctx, email, password)
	if err != nil {
		return User{}, "", edge(err)
	}
	switch err := s.store.CreateUser(ctx, u); {
	case errors.Is(err, ErrExists):
		return User{}, "", errs.Taken("there is an account with that e-mail address")
	case err != nil:
		return User{}, "", edge(err)
	}
	s.log.InfoContext(ctx, "user created", "audit", true, "user", u.ID)
	return u, plain, nil
}

// ResetPassword gives an account a new password, generated if empty, ends its
// sessions and forgets its failed sign-ins. It is for the machine's operator.
func (s *Service) ResetPassword(ctx context.Context, email, password string) (string, error) {
	email = NormalizeEmail(email)
	u, err := s.store.UserByEmail(ctx, email)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", errs.MissingThing("there is no account with that e-mail address")
	case err != nil:
		return "", edge(err)
	}
	plain, hash, err := s.newPassword(ctx, email, password)
	if err != nil {
		return "", edge(err)
	}
	ended, err := s.store.SetPassword(ctx, u.ID, hash, s.now())
	if err == nil {
		err = s.store.ClearFailures(ctx, accountOf(email))
	}
	for _, id := range ended {
		s.announce.tell(ctx, sessionEnded(id))
	}
	if err != nil {
		return "", edge(err)
	}
	s.log.InfoContext(ctx, "password reset", "audit", true, "user", u.ID)
	return plain, nil
}

func (s *Service) newUser(ctx context.Context, email, password string) (User, string, error) {
	email = NormalizeEmail(email)
	addr, err := mail.ParseAddress(email)
	if err != nil || addr.Address != email || len(email) > maxEmail || strings.ContainsAny(email, " \t\r\n<>\"") {
		return User{}, "", errs.Invalid(errs.Violation{Field: "email", Rule: "must be an e-mail address of at most 254 bytes", Remedy: "write it as name@example.com"})
	}
	plain, hash, err := s.newPassword(ctx, email, password)
	if err != nil {
		return User{}, "", err
	}
	id, err := randomText(base36, idLength)
	if err != nil {
		return User{}, "", err
	}
	return User{ID: id, Email: email, PasswordHash: hash, CreateTime: s.now()}, plain, nil
}

// newPassword checks a chosen password, or makes one.
func (s *Service) newPassword(ctx context.Context, email, password string) (plain, hash string, err error) {
	if password == "" {
		password, err = randomText(passwordAlphabet, generatedPassword)
	} else {
		err = checkPassword(email, password)
	}
	if err != nil {
		return "", "", err
	}
	hash, err = s.hasher.hash(ctx, password)
	return password, hash, err
}
