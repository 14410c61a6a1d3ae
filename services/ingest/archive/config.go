package archive

import (
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Config of the archive.
type Config struct {
	Enabled  bool          `config:"enabled" doc:"Whether accepted events are copied to the blob store; the roles ingest and scoring must agree."`
	MaxBytes config.Bytes  `config:"max_bytes" doc:"Bytes of events packed into one object, before compression; 64KiB to 256MiB."`
	MaxAge   time.Duration `config:"max_age" doc:"How long events wait for company in an object; 100ms to 10m."`
}

// DefaultConfig returns the defaults: no archive.
func DefaultConfig() Config { return Config{MaxBytes: 16 << 20, MaxAge: time.Minute} }

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var problems []error
	if c.MaxBytes < 64<<10 || c.MaxBytes > 256<<20 {
		problems = append(problems, fmt.Errorf("max_bytes: must be 64KiB to 256MiB, is %s; 16MiB is a good value", c.MaxBytes))
	}
	if c.MaxAge < 100*time.Millisecond || c.MaxAge > 10*time.Minute {
		problems = append(problems, fmt.Errorf("max_age: must be 100ms to 10m, is %s; 1m is a good value", c.MaxAge))
	}
	return errors.Join(problems...)
}
