//go:build !unix

package main

import "time"

// cpuTime is the wall clock, where the time on a core is not to be had.
func cpuTime() time.Duration { return time.Since(start) }
