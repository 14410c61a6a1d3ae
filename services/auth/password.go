package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// Parameters of argon2id: OWASP's first choice of 2023 for 19 MiB (46 MiB with
// one pass is its equal). Hashes with other parameters are verified with
// theirs, within bounds, and renewed at the next sign-in.
const (
	argonMemoryKiB = 19 * 1024
	argonPasses    = 2
	argonLanes     = 1
	argonSalt      = 16
	argonSum       = 32

	// Bounds on what a stored hash may ask for.
	argonMaxMemoryKiB = 256 * 1024
	argonMaxPasses    = 16
	argonMaxLanes     = 16

	// minPasswordRunes is the least length of a chosen password (NIST SP
	// 800-63B-4 without a second factor); there are no rules of composition.
	minPasswordRunes = 15
	maxPasswordBytes = 256
	// generatedPassword characters of 57 are 139 bits.
	generatedPassword = 24
	// passwordAlphabet leaves out 0, O, 1, l and I, which look alike.
	passwordAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

var errHashForm = errors.New("stored password hash has an unknown form")

// hasher hashes passwords, a bounded number at once.
type hasher struct {
	slots chan struct{}
	// dummy is verified for an unknown account, so that it costs the same.
	dummy string
	// run does the work; tests count it.
	run func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, size uint32) []byte
}

func newHasher(parallel int) (*hasher, error) {
	salt, sum := make([]byte, argonSalt), make([]byte, argonSum)
	for _, b := range [][]byte{salt, sum} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("random source: %w", err)
		}
	}
	// A random sum: no password is known that gives it.
	return &hasher{
		slots: make(chan struct{}, parallel), run: argon2.IDKey,
		dummy: encodeHash(argonPasses, argonMemoryKiB, argonLanes, salt, sum),
	}, nil
}

// hash returns the PHC form of a password's hash with a fresh salt.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("random source: %w", err)
	}
	sum, err := h.derive(ctx, password, salt, argonPasses, argonMemoryKiB, argonLanes, argonSum)
	if err != nil {
		return "", err
	}
	return encodeHash(argonPasses, argonMemoryKiB, argonLanes, salt, sum), nil
}

// verify says whether the password fits the stored hash, and whether the hash
// should be renewed. An empty hash stands for an unknown account: the same work
// is done and the answer is no.
func (h *hasher) verify(ctx context.Context, password, stored string) (ok, renew bool, err error) {
	known := 1
	if stored == "" {
		known, stored = 0, h.dummy
	}
	p, err := parseHash(stored)
	if err != nil {
		return false, false, err
	}
	sum, err := h.derive(ctx, password, p.salt, p.passes, p.memoryKiB, p.lanes, uint32(len(p.sum)))
	if err != nil {
		return false, false, err
	}
	renew = p.memoryKiB != argonMemoryKiB || p.passes != argonPasses || p.lanes != argonLanes
	return subtle.ConstantTimeCompare(sum, p.sum)&known == 1, renew, nil
}

func (h *hasher) derive(ctx context.Context, password string, salt []byte, passes, memoryKiB uint32, lanes uint8, size uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-h.slots }()
	// The same password typed on another system may be composed differently.
	return h.run(norm.NFC.Bytes([]byte(password)), salt, passes, memoryKiB, lanes, size), nil
}

type hashParts struct {
	passes, memoryKiB uint32
	lanes             uint8
	salt, sum         []byte
}

func encodeHash(passes, memoryKiB uint32, lanes uint8, salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes, b64(salt), b64(sum))
}

func parseHash(s string) (hashParts, error) {
	var p hashParts
	var version int
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return p, errHashForm
	}
	if _, err := fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, errHashForm
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memoryKiB, &p.passes, &p.lanes); err != nil {
		return p, errHashForm
	}
	if p.memoryKiB < 8 || p.memoryKiB > argonMaxMemoryKiB || p.passes < 1 || p.passes > argonMaxPasses || p.lanes < 1 || p.lanes > argonMaxLanes {
		return p, errHashForm
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return p, errHashForm
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(f[5]); err != nil || len(p.sum) < 16 || len(p.sum) > 64 {
		return p, errHashForm
	}
	return p, nil
}

// checkPassword says why a password may not be chosen; it never quotes it.
func checkPassword(email, password string) error {
	bad := func(rule, remedy string) error {
		return errs.Invalid(errs.Violation{Field: "password", Rule: rule, Remedy: remedy})
	}
	folded := strings.ToLower(password)
	local, _, _ := strings.Cut(email, "@")
	distinct := map[rune]struct{}{}
	for _, r := range folded {
		distinct[r] = struct{}{}
	}
	switch {
	case !utf8.ValidString(password):
		return bad("must be valid UTF-8", "choose another one")
	case len(password) > maxPasswordBytes:
		return bad(fmt.Sprintf("must be at most %d bytes", maxPasswordBytes), "choose a shorter one")
	case utf8.RuneCountInString(password) < minPasswordRunes:
		return bad(fmt.Sprintf("must be at least %d characters", minPasswordRunes), "choose a longer one, for example four unrelated words")
	case len(distinct) < 5:
		return bad("must have at least 5 different characters", "choose one that is harder to guess")
	case len(local) >= 5 && strings.Contains(folded, local):
		return bad("must not contain the e-mail address", "choose one that is harder to guess")
	}
	return nil
}

// randomText draws n characters of the alphabet, each as likely.
func randomText(alphabet string, n int) (string, error) {
	out := make([]byte, n)
	size := big.NewInt(int64(len(alphabet)))
	for i := range out {
		k, err := rand.Int(rand.Reader, size)
		if err != nil {
			return "", fmt.Errorf("random source: %w", err)
		}
		out[i] = alphabet[k.Int64()]
	}
	return string(out), nil
}

// NormalizeEmail returns the form of an address in which accounts are stored
// and looked up: trimmed, NFC, lower case.
func NormalizeEmail(email string) string {
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))
}
