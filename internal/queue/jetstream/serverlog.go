package jetstream

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// serverLog hands the embedded server's log to slog and remembers what makes
// the server unfit: it has no other way to say so to the process it runs in.
type serverLog struct {
	log   *slog.Logger
	fault atomic.Pointer[string]
}

// broken marks the messages after which a stream takes no more messages. They
// are the server's own words for a failed write, fsync or a full disk.
var broken = []string{"will be disabled", "disabling jetstream", "critical write error", "failed to store a msg"}

func (l *serverLog) setFault(msg string) { l.fault.CompareAndSwap(nil, &msg) }

// Fault returns the first fault, empty if none.
func (l *serverLog) Fault() string {
	if p := l.fault.Load(); p != nil {
		return *p
	}
	return ""
}

// watch keeps msg as a fault if it tells one.
func (l *serverLog) watch(msg string) {
	lower := strings.ToLower(msg)
	for _, b := range broken {
		if strings.Contains(lower, b) {
			l.setFault(msg)
			return
		}
	}
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats server", "text", fmt.Sprintf(format, v...))
}

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.watch(msg)
	l.log.Warn("nats server", "text", msg)
}

// Fatalf implements server.Logger. It does not end the process: the server goes
// on without the part that failed, and Open and Ready report it.
func (l *serverLog) Fatalf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.setFault(msg)
	l.log.Error("nats server", "text", msg)
}

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.watch(msg)
	l.log.Error("nats server", "text", msg)
}

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) {}

// Tracef implements server.Logger.
func (l *serverLog) Tracef(format string, v ...any) {}
