package runtime

import (
	"context"
	"errors"
)

// watch is where the library's call reports its progress, and learns whether to go on.
type watch[P any] struct {
	reports chan P
	replies chan struct{}
	// Closed when nobody hears any more.
	stopped chan struct{}
	// The context's.
	stop <-chan struct{}
}

// watched makes a call of the library that reports progress, and ends it by that when ctx ends. hear runs on the caller's
// goroutine: should it panic, then through no frame of the library.
func watched[P any](ctx context.Context, hear func(P), call func(*watch[P]) error) error {
	w := &watch[P]{reports: make(chan P), replies: make(chan struct{}), stopped: make(chan struct{}), stop: ctx.Done()}
	done := make(chan error, 1)
	go func() { done <- call(w) }()
	finished := false
	defer func() {
		if !finished {
			close(w.stopped)
			<-done
		}
	}()
	for {
		select {
		case progress := <-w.reports:
			hear(progress)
			w.replies <- struct{}{}
		case err := <-done:
			finished = true
			if errors.Is(err, ErrCallback) && ctx.Err() != nil {
				err = contextError(ctx)
			}
			return err
		}
	}
}

// report hands progress over, on the library's thread.
func (w *watch[P]) report(progress P) (goOn bool) {
	select {
	case w.reports <- progress:
	case <-w.stopped:
		return false
	case <-w.stop:
		return false
	}
	select {
	case <-w.replies:
	case <-w.stopped:
		return false
	}
	select {
	case <-w.stop:
		return false
	default:
		return true
	}
}
