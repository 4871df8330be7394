package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	runtime "model-runtime.example/go"
)

// host is what the steps of a case work on.
type host struct {
	rt    *runtime.Runtime
	clock *stoppedClock
}

// run does a case. An error is one of the suite itself; what the library answers is in the results.
func (c *testCase) run() ([]any, error) {
	var options []runtime.Option
	h := new(host)
	if c.Start != "" {
		start, err := time.Parse(time.RFC3339, c.Start)
		if err != nil {
			return nil, err
		}
		h.clock = &stoppedClock{start: start, now: start}
		options = append(options, runtime.WithClock(h.clock))
	}
	if c.Database != "" {
		options = append(options, runtime.WithDatabase(c.Database))
	}
	if c.Catalog != "" {
		options = append(options, runtime.WithCatalog(c.Catalog))
	}
	var err error
	if h.rt, err = runtime.New(options...); err != nil {
		return nil, err
	}
	defer h.rt.Close()
	results := make([]any, 0, len(c.Steps))
	for _, s := range c.Steps {
		result, err := h.do(s)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// do does a step and writes down what came of it.
func (h *host) do(s step) (any, error) {
	value, err := h.value(s)
	var failure *runtime.Error
	switch {
	case err == nil:
		return map[string]any{"ok": value}, nil
	case errors.As(err, &failure):
		return map[string]any{"error": described(failure)}, nil
	default:
		return nil, fmt.Errorf("step %s: %w", s.Do, err)
	}
}

func described(failure *runtime.Error) map[string]any {
	said := map[string]any{
		"code": failure.Code.String(), "status": failure.Status, "message": failure.Message, "param": nil,
		"retryable": failure.Retryable, "retry_after_ms": nil, "json": failure.JSON,
	}
	if failure.Param != "" {
		said["param"] = failure.Param
	}
	if failure.RetryAfter >= 0 {
		said["retry_after_ms"] = failure.RetryAfter.Milliseconds()
	}
	return said
}

// value does a step.
func (h *host) value(s step) (any, error) {
	ctx := context.Background()
	switch s.Do {
	case "serve":
		info, err := h.rt.Serve(ctx, s.Name, s.Model)
		if err != nil {
			return nil, err
		}
		return info.Raw, nil
	case "remove":
		return nil, h.rt.Remove(s.Name)
	case "endpoints":
		endpoints, err := h.rt.Endpoints()
		said := make([]json.RawMessage, 0, len(endpoints))
		for _, endpoint := range endpoints {
			said = append(said, endpoint.Raw)
		}
		return said, err
	case "plan":
		plan, err := h.rt.Plan(s.Model)
		if err != nil {
			return nil, err
		}
		return plan.Raw, nil
	case "manage":
		return h.rt.Manage(ctx, s.Operation, s.text())
	case "chat":
		response, err := h.rt.Chat(ctx, runtime.ChatRequest{Raw: s.text()}, s.options()...)
		if err != nil {
			return nil, err
		}
		return response.Raw, nil
	case "complete":
		response, err := h.rt.Complete(ctx, s.completion(), s.options()...)
		if err != nil {
			return nil, err
		}
		return response.Raw, nil
	case "stream_chat":
		stream, err := h.rt.SubmitChat(ctx, runtime.ChatRequest{Raw: s.text()}, s.options()...)
		return whole(stream, err, func(r *runtime.ChatResponse) json.RawMessage { return r.Raw })
	case "stream_complete":
		stream, err := h.rt.SubmitCompletion(ctx, s.completion(), s.options()...)
		return whole(stream, err, func(r *runtime.CompletionResponse) json.RawMessage { return r.Raw })
	case "embeddings":
		vectors, err := h.rt.Embed(ctx, runtime.EmbeddingRequest{Raw: s.text()}, s.options()...)
		if err != nil {
			return nil, err
		}
		defer vectors.Close()
		text, err := vectors.JSON()
		return json.RawMessage(text), err
	case "vectors":
		return h.vectors(s)
	case "cancel":
		return nil, h.cancel(s)
	case "drop":
		stream, err := h.rt.SubmitCompletion(ctx, s.completion(), s.options()...)
		if err != nil {
			return nil, err
		}
		return nil, stream.Close()
	case "set_clock":
		now, err := time.Parse(time.RFC3339, s.Now)
		if err == nil {
			h.clock.set(now)
		}
		return nil, err
	case "load_adapter":
		info, err := h.rt.LoadAdapter(s.Endpoint, s.Name, s.Path)
		if err != nil {
			return nil, err
		}
		return info.Raw, nil
	case "unload_adapter":
		return nil, h.rt.UnloadAdapter(s.Endpoint, s.Name)
	case "together":
		return h.together(s)
	}
	return nil, errors.New("there is no such step")
}

// text is what is handed to the library: the request as JSON, or a string's own text.
func (s *step) text() json.RawMessage {
	var text string
	if len(s.Request) > 0 && s.Request[0] == '"' && json.Unmarshal(s.Request, &text) == nil {
		return json.RawMessage([]byte(text))
	}
	// Without the blanks of the file: messages may name a column.
	var compact bytes.Buffer
	if json.Compact(&compact, s.Request) != nil {
		return s.Request
	}
	return compact.Bytes()
}

func (s *step) completion() runtime.CompletionRequest {
	return runtime.CompletionRequest{Raw: s.text()}
}

func (s *step) options() []runtime.RequestOption {
	o := s.Options
	options := []runtime.RequestOption{
		runtime.WithPrincipal(o.Principal), runtime.WithEntity(o.Entity), runtime.WithPriority(o.Priority),
		runtime.WithTimeout(time.Duration(o.TimeoutMS) * time.Millisecond),
	}
	if o.Lifecycle {
		options = append(options, runtime.WithLifecycle())
	}
	return options
}

// whole reads a stream to its end.
func whole[R, C any](stream *runtime.Stream[R, C], err error, raw func(*R) json.RawMessage) (any, error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var text strings.Builder
	for event, err := range stream.Events() {
		if err != nil {
			return nil, err
		}
		text.WriteString(event.Text)
	}
	response, err := stream.Wait()
	if err != nil {
		return nil, err
	}
	return map[string]any{"text": text.String(), "response": raw(response)}, nil
}

func (h *host) vectors(s step) (any, error) {
	vectors, err := h.rt.Embed(context.Background(), runtime.EmbeddingRequest{Raw: s.text()}, s.options()...)
	if err != nil {
		return nil, err
	}
	defer vectors.Close()
	var bytes []byte
	err = vectors.View(func(rows [][]float32) {
		for _, row := range rows {
			for _, value := range row {
				bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
			}
		}
	})
	normalize := "none"
	if vectors.Normalized {
		normalize = "l2"
	}
	return map[string]any{
		"rows": vectors.Len(), "dimension": vectors.Dimension, "values": hex.EncodeToString(bytes), "tokens": vectors.Tokens,
		"truncated": vectors.Truncated, "normalize": normalize, "version": vectors.Version,
	}, err
}

// cancel cancels a completion when it has begun to answer, and reads it to its end.
func (h *host) cancel(s step) error {
	stream, err := h.rt.SubmitCompletion(context.Background(), s.completion(), s.options()...)
	if err != nil {
		return err
	}
	defer stream.Close()
	for event, err := range stream.Events() {
		if err != nil {
			return err
		}
		if event.Text != "" {
			stream.Cancel()
		}
	}
	return nil
}

// together does all steps, so many times over, each on a goroutine of its own and all at once.
func (h *host) together(s step) (any, error) {
	copies := 1
	if s.Copies != nil {
		copies = *s.Copies
	}
	results := make([]any, copies*len(s.Steps))
	failures := make([]error, len(results))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range results {
		all.Add(1)
		go func() {
			defer all.Done()
			<-start
			results[i], failures[i] = h.do(s.Steps[i%len(s.Steps)])
		}()
	}
	close(start)
	all.Wait()
	return results, errors.Join(failures...)
}
