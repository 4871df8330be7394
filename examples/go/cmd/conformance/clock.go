package main

import (
	"sync"
	"time"
)

// stoppedClock stands still until it is set.
type stoppedClock struct {
	start time.Time

	mu  sync.Mutex
	now time.Time
}

func (c *stoppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Monotonic is what has passed since the start; it does not go back when the wall time is set back.
func (c *stoppedClock) Monotonic() time.Duration { return max(0, c.Now().Sub(c.start)) }

func (c *stoppedClock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
