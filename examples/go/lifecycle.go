package runtime

import (
	"encoding/json"
	"sync"
)

// LifecycleEvent is news about the life of a model that somebody uses: that its end was announced, is near, or has come.
type LifecycleEvent struct {
	// Key is what makes the event one of its own: each is told once.
	Key LifecycleKey `json:"key"`
	// Message is a sentence for people.
	Message string `json:"message"`
	// Status is what holds now, as the operation lifecycle.status gives it.
	Status json.RawMessage `json:"status"`
	// Raw is the whole event as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// LifecycleKey says whom an event is for and what about.
type LifecycleKey struct {
	// Subject is what the event is about, as operations of the group lifecycle name it.
	Subject json.RawMessage `json:"subject"`
	// Offering is how the model is offered, such as "pay_per_token".
	Offering string `json:"offering"`
	// State is what the subject now is, such as "announced" or "retired".
	State string `json:"state"`
	// Principal is who used the model.
	Principal string `json:"principal"`
	// Round is how often the subject was reinstated before.
	Round int `json:"round"`
}

// UnmarshalJSON reads an event and keeps its text in Raw.
func (e *LifecycleEvent) UnmarshalJSON(data []byte) error {
	type plain LifecycleEvent
	return unmarshalRaw(data, (*plain)(e), &e.Raw)
}

// listener hands events to the user's function, in order, on a goroutine of its own that exists while there are any: the
// library's thread does not wait for the function, which so may take its time and use the runtime, Close included.
type listener struct {
	function func(LifecycleEvent)

	mu      sync.Mutex
	events  []LifecycleEvent
	running bool
}

func (l *listener) hear(text []byte) {
	var event LifecycleEvent
	if json.Unmarshal(text, &event) != nil {
		event = LifecycleEvent{Raw: text}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
	if !l.running {
		l.running = true
		go l.tell()
	}
}

func (l *listener) tell() {
	for {
		l.mu.Lock()
		events := l.events
		l.events = nil
		l.running = len(events) > 0
		l.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, event := range events {
			l.function(event)
		}
	}
}
