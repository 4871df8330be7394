package runtime

// #include "bridge.h"
import "C"

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Clock tells a runtime the time, in place of the system's clock: see [WithClock].
//
// Both methods are called from any thread of the library, several at a time, and must return at once; they must not use
// the runtime. A panic in one ends the process with its message, because it cannot be handed to anybody.
type Clock interface {
	// Now is the wall time: it stamps answers and decides what is retired.
	Now() time.Time
	// Monotonic is the time since any fixed moment; it never decreases. Deadlines and measurements use it.
	Monotonic() time.Duration
}

// readClock reads a clock of the user. It is called by C: no panic and no runtime.Goexit may go through the library's
// frames, whose locks would stay locked for ever.
func readClock(clock Clock, which int32) int64 {
	returned := false
	defer func() {
		if !returned {
			reason := fmt.Sprintf("model runtime: the Clock did not return: %v\n%s", recover(), debug.Stack())
			go panic(reason) // nobody recovers there
			select {}
		}
	}()
	var nanoseconds int64
	if which == C.MR_CLOCK_WALL {
		nanoseconds = clock.Now().UnixNano()
	} else {
		nanoseconds = int64(clock.Monotonic())
	}
	returned = true
	return nanoseconds
}
