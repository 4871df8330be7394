package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	runtime "model-runtime.example/go"
)

// serving makes a runtime that serves a model; the examples close it.
func serving(name, model string) *runtime.Runtime {
	rt, err := runtime.New()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := rt.Serve(context.Background(), name, model); err != nil {
		log.Fatal(err)
	}
	return rt
}

func Example() {
	ctx := context.Background()
	rt, err := runtime.New()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	if _, err := rt.Serve(ctx, "stories", "../models/stories260K"); err != nil {
		log.Fatal(err)
	}
	ask := runtime.CompletionRequest{Model: "stories", Prompt: "Once upon a time", MaxTokens: 24, Temperature: runtime.Ptr(0.0)}
	for event, err := range rt.CompleteStream(ctx, ask) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(event.Text)
	}
	// Output: , there was a little girl named Lily. She loved to play outside in the p
}

func ExampleRuntime_Chat() {
	rt := serving("chat", "../../tests/data/tiny/llama3")
	defer rt.Close()
	response, err := rt.Chat(context.Background(), runtime.ChatRequest{
		Model:          "chat",
		Messages:       []runtime.Message{runtime.UserMessage("Is this a test?")},
		ResponseFormat: runtime.Regex("yes"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Choices[0].Message.Content, response.Choices[0].FinishReason)
	// Output: yes stop
}

func ExampleRuntime_Embed() {
	rt := serving("minilm", "../models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf")
	defer rt.Close()
	made, err := rt.Embed(context.Background(), runtime.EmbeddingRequest{
		Model: "minilm",
		Input: []string{"The oven is hot.", "Bread is baked in it.", "Paris is in France."},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer made.Close()
	dot := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	err = made.View(func(vectors [][]float32) {
		fmt.Println(len(vectors), len(vectors[0]), dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]))
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 3 384 true
}

func ExampleRuntime_SubmitCompletion() {
	rt := serving("stories", "../models/stories260K")
	defer rt.Close()
	stream, err := rt.SubmitCompletion(context.Background(), runtime.CompletionRequest{Model: "stories", Prompt: "Once", MaxTokens: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for _, err := range stream.Events() {
		if err != nil {
			log.Fatal(err)
		}
	}
	response, err := stream.Wait()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Usage.CompletionTokens, response.Model == stream.Version())
	// Output: 8 true
}

// A handler that answers as the hosted API does: what fails before the first token has a status of its own.
func ExampleEvent_ServerSent() {
	rt := serving("stories", "../models/stories260K")
	defer rt.Close()
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var failure *runtime.Error
		stream, err := rt.SubmitCompletion(r.Context(), runtime.CompletionRequest{Raw: body})
		if errors.As(err, &failure) {
			w.WriteHeader(failure.Status)
			_, _ = w.Write(failure.JSON)
		}
		if err != nil {
			return
		}
		defer stream.Close()
		w.Header().Set("Content-Type", "text/event-stream")
		for event, err := range stream.Events() {
			if errors.As(err, &failure) {
				_, _ = io.WriteString(w, failure.ServerSent())
			}
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, event.ServerSent())
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, runtime.ServerSentDone)
	}
	for _, model := range []string{"stories", "nobody"} {
		ask := fmt.Sprintf(`{"model": %q, "prompt": "Once", "max_tokens": 8, "stream": true}`, model)
		answer := httptest.NewRecorder()
		handler(answer, httptest.NewRequest("POST", "/v1/completions", strings.NewReader(ask)))
		fmt.Println(answer.Code, strings.HasSuffix(answer.Body.String(), "data: [DONE]\n\n"))
	}
	// Output:
	// 200 true
	// 404 false
}

func ExampleError() {
	rt := serving("stories", "../models/stories260K")
	defer rt.Close()
	_, err := rt.Complete(context.Background(), runtime.CompletionRequest{Model: "stories", Prompt: "Once", TopP: 2})
	var failure *runtime.Error
	if errors.As(err, &failure) {
		fmt.Println(errors.Is(err, runtime.ErrInvalidRequest), failure.Code, failure.Param, failure.Status)
	}
	// Output: true invalid_request top_p 400
}
