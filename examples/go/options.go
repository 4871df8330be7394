package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"math"
	"time"
)

// Option changes a default of [New].
type Option func(*options)

type options struct {
	memoryBudget      uint64
	database, catalog string
	clock             Clock
	listener          func(LifecycleEvent)
}

// WithMemoryBudget bounds the bytes that all models of the runtime take together: weights, caches and scratch.
func WithMemoryBudget(bytes uint64) Option { return func(o *options) { o.memoryBudget = bytes } }

// WithDatabase names the SQLite file that keeps registered models, updates, retirements and usage; several processes may
// have it open. Without it they are kept in memory.
func WithDatabase(path string) Option { return func(o *options) { o.database = path } }

// WithCatalog lays facts about models and their retirements, in TOML, over the built-in ones.
func WithCatalog(toml string) Option { return func(o *options) { o.catalog = toml } }

// WithClock makes the runtime read the time from clock. Deadlines of a context are then kept by the context alone:
// the library's own time is another one.
func WithClock(clock Clock) Option { return func(o *options) { o.clock = clock } }

// WithLifecycleListener has function called with what is new about the life of models that somebody uses: one event
// after the other, on a goroutine of its own. Each is told once for each model and principal, in all processes that share
// a database.
//
// A listener or a [Clock] that refers to its own runtime keeps that from being collected: Close such a runtime.
func WithLifecycleListener(function func(LifecycleEvent)) Option {
	return func(o *options) { o.listener = function }
}

// RequestOption says something about a request that is not part of its JSON.
type RequestOption func(*requestOptions)

type requestOptions struct {
	principal, entity string
	priority          int32
	timeout           time.Duration
	lifecycle         bool
}

// WithPrincipal says who asks: whom limits, fairness, usage and retirements know the request by. Without it, the
// request's User.
func WithPrincipal(principal string) RequestOption {
	return func(o *requestOptions) { o.principal = principal }
}

// WithEntity names the served entity that is to answer; without it the endpoint's shares of traffic decide.
func WithEntity(entity string) RequestOption { return func(o *requestOptions) { o.entity = entity } }

// WithPriority has requests with higher numbers run first; 0 is normal.
func WithPriority(priority int32) RequestOption {
	return func(o *requestOptions) { o.priority = priority }
}

// WithTimeout ends the request with [ErrDeadlineExceeded] after timeout, or cuts it then where it asks for that
// (ErrorBehavior "truncate"). It is rounded up to milliseconds and measured by the runtime's clock. The deadline of a
// context ends a request too, always with an error; the earlier one holds. 0 is no timeout.
func WithTimeout(timeout time.Duration) RequestOption {
	return func(o *requestOptions) { o.timeout = timeout }
}

// WithLifecycle asks for what is known about the life of the model, in the field Lifecycle of the response.
func WithLifecycle() RequestOption { return func(o *requestOptions) { o.lifecycle = true } }

func collected(given []RequestOption) requestOptions {
	var o requestOptions
	for _, option := range given {
		option(&o)
	}
	return o
}

// requested collects the options of a request. A deadline of ctx is the library's too, unless that keeps another time:
// then a request whose time is up leaves the queue by itself.
func (rt *Runtime) requested(ctx context.Context, given []RequestOption) requestOptions {
	o := collected(given)
	if deadline, has := ctx.Deadline(); has && !rt.ownClock {
		left := max(time.Until(deadline), time.Millisecond)
		if o.timeout <= 0 || left < o.timeout {
			o.timeout = left
		}
	}
	return o
}

// numbers are the options without their texts.
func (o *requestOptions) numbers() C.mr_request_options {
	numbers := C.mr_request_options{priority: C.int32_t(o.priority)}
	if o.timeout > 0 {
		numbers.timeout_ms = C.uint64_t(math.Ceil(float64(o.timeout) / float64(time.Millisecond)))
	}
	if o.lifecycle {
		numbers.lifecycle = 1
	}
	return numbers
}
