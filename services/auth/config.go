package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/authn"
)

// Config is the section `auth`.
type Config struct {
	AccessTokenTTL   time.Duration `config:"access_token_ttl" doc:"How long an access token is valid, 1m to 1h."`
	SessionIdle      time.Duration `config:"session_idle" doc:"How long a session lasts without a refresh, at least access_token_ttl and at most session_max."`
	SessionMax       time.Duration `config:"session_max" doc:"How long a session lasts at most, up to 8760h."`
	SigningKeyPeriod time.Duration `config:"signing_key_period" doc:"How long a signing key signs before the next one does, at least 24h."`
	SigningKeyAhead  time.Duration `config:"signing_key_ahead" doc:"How long before its first use a signing key is published, at least 10m and less than half of signing_key_period."`
	HashParallelism  int           `config:"hash_parallelism" doc:"How many passwords are hashed at once, 1 to 64; each takes 19 MiB and about 20 ms of one core."`
	SignInQueue      int           `config:"sign_in_queue" doc:"How many sign-ins may be under way at once, 1 to 10000; more are refused."`
	SignInFailures   int           `config:"sign_in_failures" doc:"How many failed sign-ins an account has free, 1 to 100, before the next try has to wait."`
	SignInBackoff    time.Duration `config:"sign_in_backoff" doc:"How long the first wait of an account is, 1s to 1h; each further failure doubles it."`
	SignInBackoffMax time.Duration `config:"sign_in_backoff_max" doc:"How long an account has to wait at most, sign_in_backoff to 24h."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		AccessTokenTTL: 5 * time.Minute, SessionIdle: 7 * 24 * time.Hour, SessionMax: 30 * 24 * time.Hour,
		SigningKeyPeriod: 30 * 24 * time.Hour, SigningKeyAhead: time.Hour,
		HashParallelism: 2, SignInQueue: 64,
		SignInFailures: 5, SignInBackoff: 30 * time.Second, SignInBackoffMax: 15 * time.Minute,
	}
}

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	between := func(field string, v, low, high time.Duration) {
		check(v >= low && v <= high, "%s: must be %s to %s; it is %s", field, low, high, v)
	}
	number := func(field string, v, low, high int) {
		check(v >= low && v <= high, "%s: must be %d to %d; it is %d", field, low, high, v)
	}
	between("access_token_ttl", c.AccessTokenTTL, time.Minute, authn.MaxTokenTTL)
	between("session_max", c.SessionMax, c.AccessTokenTTL, 365*24*time.Hour)
	between("session_idle", c.SessionIdle, c.AccessTokenTTL, c.SessionMax)
	between("signing_key_period", c.SigningKeyPeriod, 24*time.Hour, 10*365*24*time.Hour)
	between("signing_key_ahead", c.SigningKeyAhead, 10*time.Minute, c.SigningKeyPeriod/2)
	number("hash_parallelism", c.HashParallelism, 1, 64)
	number("sign_in_queue", c.SignInQueue, 1, 10000)
	number("sign_in_failures", c.SignInFailures, 1, 100)
	between("sign_in_backoff", c.SignInBackoff, time.Second, time.Hour)
	between("sign_in_backoff_max", c.SignInBackoffMax, c.SignInBackoff, 24*time.Hour)
	return errors.Join(errs...)
}
