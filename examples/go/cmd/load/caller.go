package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	runtime "model-runtime.example/go"
)

const (
	texts   = 16
	vectors = 8
)

// answers are what the requests of the load give alone.
type answers struct {
	texts   [texts]string
	vectors [vectors][]float32
}

func completion(i int) runtime.CompletionRequest {
	words := []string{"Once", "upon", "a", "time"}
	return runtime.CompletionRequest{
		Model: "stories", Prompt: strings.Join(words[:1+i%4], " "), MaxTokens: 4 + 8*i, Temperature: runtime.Ptr(0.9),
		Seed: runtime.Ptr(int64(i)),
	}
}

func embedding(i int) runtime.EmbeddingRequest {
	return runtime.EmbeddingRequest{Model: "minilm", Input: fmt.Sprintf("sentence number %d about bread and rivers", i)}
}

func askAlone(rt *runtime.Runtime) (*answers, error) {
	ctx := context.Background()
	alone := new(answers)
	for i := range alone.texts {
		response, err := rt.Complete(ctx, completion(i))
		if err != nil {
			return nil, err
		}
		alone.texts[i] = response.Choices[0].Text
	}
	for i := range alone.vectors {
		made, err := rt.Embed(ctx, embedding(i))
		if err != nil {
			return nil, err
		}
		alone.vectors[i] = made.Vectors()[0]
		made.Close()
	}
	return alone, nil
}

// caller is one of those who ask at once.
type caller struct {
	number int
	rt     *runtime.Runtime
	alone  *answers

	requests, completed, cancelled, refused, errors, wrong int64
	firstWrong                                             *string
}

// take takes a turn.
func (c *caller) take(turn int) {
	number := 7*c.number + turn
	i := number % texts
	var err error
	switch (c.number + turn) % 8 {
	case 0, 1:
		err = c.whole(completion(i), c.alone.texts[i])
	case 2, 3:
		err = c.streamed(completion(i), c.alone.texts[i])
	case 4:
		err = c.cut(completion(i), c.alone.texts[i])
	case 5:
		err = c.vector(number % vectors)
	case 6:
		err = c.failing(turn%3, completion(i), c.alone.texts[i])
	case 7:
		err = c.dropped(completion(i))
	}
	c.requests++
	if errors.Is(err, runtime.ErrOverloaded) {
		c.refused++
	} else if err != nil {
		c.wrong++
		if c.firstWrong == nil {
			c.firstWrong = runtime.Ptr(fmt.Sprintf("caller %d, turn %d, number %d: %v", c.number, turn, i, err))
		}
	}
}

func (c *caller) whole(request runtime.CompletionRequest, expected string) error {
	response, err := c.rt.Complete(context.Background(), request)
	if err != nil {
		return err
	}
	return c.completedWith(response.Choices[0].Text, expected)
}

func (c *caller) completedWith(text, expected string) error {
	if text != expected {
		return fmt.Errorf("the text is %q, alone it is %q", text, expected)
	}
	c.completed++
	return nil
}

func (c *caller) streamed(request runtime.CompletionRequest, expected string) error {
	var text strings.Builder
	for event, err := range c.rt.CompleteStream(context.Background(), request) {
		if err != nil {
			return err
		}
		text.WriteString(event.Text)
	}
	return c.completedWith(text.String(), expected)
}

// cut cancels a stream when it has begun to answer, and reads what is left.
func (c *caller) cut(request runtime.CompletionRequest, expected string) error {
	stream, err := c.rt.SubmitCompletion(context.Background(), request)
	if err != nil {
		return err
	}
	defer stream.Close()
	var text strings.Builder
	for event, err := range stream.Events() {
		if err != nil && !errors.Is(err, runtime.ErrCancelled) {
			return err
		}
		text.WriteString(event.Text)
		if text.Len() > 0 {
			stream.Cancel()
		}
	}
	if !strings.HasPrefix(expected, text.String()) {
		return fmt.Errorf("cancelled at %q, alone it is %q", text.String(), expected)
	}
	c.cancelled++
	return nil
}

func (c *caller) vector(i int) error {
	made, err := c.rt.Embed(context.Background(), embedding(i))
	if err != nil {
		return err
	}
	defer made.Close()
	same := false
	err = made.View(func(rows [][]float32) {
		same = len(rows) == 1 && slices.EqualFunc(rows[0], c.alone.vectors[i], func(a, b float32) bool {
			return math.Float32bits(a) == math.Float32bits(b)
		})
	})
	if err == nil && !same {
		err = fmt.Errorf("vector %d differs from the one alone", i)
	}
	if err == nil {
		c.completed++
	}
	return err
}

// failing asks for what must fail, or may.
func (c *caller) failing(which int, request runtime.CompletionRequest, expected string) error {
	switch which {
	case 0:
		response, err := c.rt.Complete(context.Background(), request, runtime.WithTimeout(time.Millisecond))
		if err == nil {
			return c.completedWith(response.Choices[0].Text, expected)
		}
		return c.expect(err, runtime.ErrDeadlineExceeded)
	case 1:
		_, err := c.rt.Complete(context.Background(), runtime.CompletionRequest{Raw: manyTokens(request)})
		return c.expect(err, runtime.ErrInvalidRequest)
	default:
		request.Model = "nobody"
		_, err := c.rt.Complete(context.Background(), request)
		return c.expect(err, runtime.ErrNotFound)
	}
}

func (c *caller) expect(err error, code runtime.Code) error {
	if err == nil {
		return fmt.Errorf("it succeeded where %v was to come", code)
	}
	if !errors.Is(err, code) {
		return err
	}
	c.errors++
	return nil
}

// manyTokens is the request with a max_tokens that is no number.
func manyTokens(request runtime.CompletionRequest) json.RawMessage {
	request.MaxTokens = 0
	text, _ := json.Marshal(request)
	return append(append(json.RawMessage{}, text[:len(text)-1]...), `,"max_tokens":"many"}`...)
}

// dropped gives a stream up without reading it. Every other one is left to the garbage collector.
func (c *caller) dropped(request runtime.CompletionRequest) error {
	stream, err := c.rt.SubmitCompletion(context.Background(), request)
	if err != nil {
		return err
	}
	c.cancelled++
	if c.requests%2 == 0 {
		return stream.Close()
	}
	return nil
}
