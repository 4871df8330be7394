package runtime

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCompleteWholeAndInPieces(t *testing.T) {
	rt := serve(t, storiesModel, WithVersion("stories@1"))
	whole := must(rt.Complete(ctx, short(3)))(t)
	if whole.Model != "stories@1" || whole.Usage.CompletionTokens != 12 || whole.Choices[0].FinishReason != FinishLength {
		t.Fatalf("%s", whole.Raw)
	}
	var text, chunked strings.Builder
	for event, err := range rt.CompleteStream(ctx, short(3)) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(event.Text)
		for _, chunk := range must(event.Chunks())(t) {
			if chunk.Model != "stories@1" {
				t.Fatalf("a chunk of %q", chunk.Model)
			}
			for _, choice := range chunk.Choices {
				chunked.WriteString(choice.Text)
			}
		}
	}
	if text.String() != whole.Choices[0].Text || chunked.String() != text.String() {
		t.Fatalf("in pieces %q and %q, whole %q", text.String(), chunked.String(), whole.Choices[0].Text)
	}
}

// The ledger knows which answers were streamed.
func TestAWholeAnswerIsNotStreamed(t *testing.T) {
	rt := must(New())(t)
	defer rt.Close()
	must(rt.Manage(ctx, "endpoint.serve", map[string]any{
		"name": "m", "offering": "pay_per_token", "entities": []any{map[string]any{"model": storiesModel}},
	}))(t)
	must(rt.Complete(ctx, short(1)))(t)
	must(read(must(rt.SubmitCompletion(ctx, short(1)))(t)))(t)
	must(rt.Manage(ctx, "usage.flush", nil))(t)
	var page struct {
		Records []struct {
			Streamed *bool `json:"request_streaming"`
		} `json:"records"`
	}
	said := must(rt.Manage(ctx, "usage.records", nil))(t)
	if err := json.Unmarshal(said, &page); err != nil || len(page.Records) != 2 {
		t.Fatalf("%v: %s", err, said)
	}
	counts := make(map[bool]int)
	for _, record := range page.Records {
		counts[*record.Streamed]++
	}
	if counts[false] != 1 || counts[true] != 1 {
		t.Fatalf("%s", said)
	}
	raw := json.RawMessage(`{"model": "m", "prompt": "Once", "stream": true}`)
	if _, err := rt.Complete(ctx, CompletionRequest{Raw: raw}); !errors.Is(err, ErrInvalidRequest) || err.(*Error).Param != "stream" {
		t.Fatal("a whole answer that is to be streamed:", err)
	}
}

func TestServerSentEvents(t *testing.T) {
	rt := serve(t, storiesModel)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for event, err := range rt.CompleteStream(r.Context(), short(3)) {
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(w, event.ServerSent())
		}
		io.WriteString(w, ServerSentDone)
	}))
	defer server.Close()
	response := must(server.Client().Get(server.URL))(t)
	defer response.Body.Close()
	sent := strings.Split(string(must(io.ReadAll(response.Body))(t)), "\n\n")
	if end := len(sent) - 2; end < 2 || sent[end] != "data: [DONE]" || sent[end+1] != "" {
		t.Fatalf("%q", sent)
	}
	var text strings.Builder
	for _, data := range sent[:len(sent)-2] {
		var chunk CompletionChunk
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &chunk); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for _, choice := range chunk.Choices {
			text.WriteString(choice.Text)
		}
	}
	if whole := must(rt.Complete(ctx, short(3)))(t).Choices[0].Text; text.String() != whole {
		t.Fatalf("sent %q, whole %q", text.String(), whole)
	}
	_, err := rt.Complete(ctx, CompletionRequest{Model: "nobody", Prompt: "Once"})
	var failure *Error
	if !errors.As(err, &failure) || failure.ServerSent() != "data: "+string(failure.JSON)+"\n\n" || !json.Valid(failure.JSON) {
		t.Fatal(err)
	}
}

func TestStreamGivesTheWholeResponseToo(t *testing.T) {
	rt := serve(t, storiesModel)
	stream := must(rt.SubmitCompletion(ctx, short(5)))(t)
	defer stream.Close()
	text := must(read(stream))(t)
	for range 2 {
		if response := must(stream.Wait())(t); response.Choices[0].Text != text || response.Model != stream.Version() {
			t.Fatalf("read %q, then %s", text, response.Raw)
		}
	}
	if _, err := stream.Next(); err != io.EOF {
		t.Fatal(err)
	}
	timings := must(stream.Timings())(t)
	if timings.Total <= 0 || timings.TimeToFirstToken <= 0 || timings.TimeToFirstToken > timings.Total {
		t.Fatalf("%+v", timings)
	}
	stream.Close()
	stream.Close()
	if _, err := stream.Wait(); err != ErrClosed {
		t.Fatal(err)
	}
	if _, err := stream.Next(); err != ErrClosed {
		t.Fatal(err)
	}
	if _, err := stream.Timings(); err != ErrClosed {
		t.Fatal(err)
	}
	if err := stream.SaveSession(0, filepath.Join(t.TempDir(), "s")); err != ErrClosed {
		t.Fatal(err)
	}
	stream.Cancel()
}

func TestSessionsAreSavedAndRestored(t *testing.T) {
	rt := serve(t, storiesModel)
	stream := must(rt.SubmitCompletion(ctx, long()))(t)
	defer stream.Close()
	path := filepath.Join(t.TempDir(), "séance.mr")
	if err := stream.SaveSession(0, path); !errors.Is(err, ErrConflict) {
		t.Fatal("of a request that runs:", err)
	}
	must(stream.Wait())(t)
	if err := stream.SaveSession(0, path); err != nil {
		t.Fatal(err)
	}
	if err := stream.SaveSession(7, path); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	if err := stream.SaveSession(-1, path); !errors.Is(err, ErrInvalidArgument) {
		t.Fatal(err)
	}
	other := serve(t, storiesModel)
	if tokens := must(other.RestoreSession("m", path))(t); tokens < 100 {
		t.Fatalf("%d tokens were restored", tokens)
	}
	if _, err := other.RestoreSession("nobody", path); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func TestChatWithUnicode(t *testing.T) {
	rt := serve(t, llamaModel)
	ask := ChatRequest{
		Model: "m", Messages: []Message{SystemMessage("Antworte <kurz> & schön."), UserMessage("Grüße, 世界 \u0000 👋🏽!")},
		MaxTokens: 40, Temperature: Ptr(1.5), Seed: Ptr(int64(-4)), Logprobs: true, TopLogprobs: 2,
	}
	whole := must(rt.Chat(ctx, ask))(t)
	logprobs := whole.Choices[0].Logprobs
	if logprobs == nil || len(logprobs.Content) != int(whole.Usage.CompletionTokens) || len(logprobs.Content[0].TopLogprobs) != 2 {
		t.Fatalf("%s", whole.Raw)
	}
	var text strings.Builder
	for event, err := range rt.ChatStream(ctx, ask) {
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(event.Text) {
			t.Fatalf("%q is not UTF-8", event.Text)
		}
		text.WriteString(event.Text)
	}
	if text.String() != whole.Choices[0].Message.Content {
		t.Fatalf("in pieces %q, whole %q", text.String(), whole.Choices[0].Message.Content)
	}
	// The answer goes into the next request.
	ask.Messages = append(ask.Messages, whole.Choices[0].Message.Message, UserMessage("Und?"))
	must(rt.Chat(ctx, ask))(t)
}

func TestFormsAndCallsAndUsage(t *testing.T) {
	rt := serve(t, llamaModel)
	ask := ChatRequest{Model: "m", Messages: []Message{UserMessage("Yes or no?")}, ResponseFormat: Regex("yes|no"), N: 2}
	for _, choice := range must(rt.Chat(ctx, ask))(t).Choices {
		if text := choice.Message.Content; text != "yes" && text != "no" {
			t.Fatalf("%q", text)
		}
	}
	ask = ChatRequest{
		Model: "m", Messages: []Message{UserMessage("Yes or no?")}, ResponseFormat: Regex("yes|no"), Stream: true,
		StreamOptions: &StreamOptions{IncludeUsage: true},
	}
	var last ChatChunk
	for event, err := range rt.ChatStream(ctx, ask) {
		chunks := must(event.Chunks())(t)
		if err != nil {
			t.Fatal(err)
		}
		last = chunks[len(chunks)-1]
	}
	if last.Usage == nil || last.Usage.CompletionTokens == 0 {
		t.Fatalf("%+v", last)
	}
	if _, err := rt.Chat(ctx, ask); !errors.Is(err, ErrInvalidRequest) || err.(*Error).Param != "stream" {
		t.Fatal("a whole answer that is to be streamed:", err)
	}
}

func TestRawRequestsAndResponses(t *testing.T) {
	rt := serve(t, storiesModel)
	raw := json.RawMessage(`{"model": "m", "prompt": ["Once", "Lily"], "max_tokens": 3, "temperature": 0}`)
	response := must(rt.Complete(ctx, CompletionRequest{Raw: raw}))(t)
	if len(response.Choices) != 2 || !json.Valid(response.Raw) {
		t.Fatalf("%s", response.Raw)
	}
	typed := must(rt.Complete(ctx, CompletionRequest{Model: "m", Prompt: []string{"Once", "Lily"}, MaxTokens: 3, Temperature: Ptr(0.0)}))(t)
	if typed.Choices[1].Text != response.Choices[1].Text {
		t.Fatalf("%s and %s", typed.Raw, response.Raw)
	}
	if _, err := rt.Complete(ctx, CompletionRequest{Raw: raw, Model: "m"}); err == nil {
		t.Fatal("Raw was accepted beside Model")
	}
	_, err := rt.Complete(ctx, CompletionRequest{Raw: json.RawMessage("{\"model\": \"m\xff\"}")})
	if !errors.Is(err, ErrInvalidArgument) {
		t.Fatal("of bytes that are no UTF-8:", err)
	}
}

func TestAdapters(t *testing.T) {
	rt := serve(t, storiesModel)
	info := must(rt.LoadAdapter("m", "tuned", loraAdapter))(t)
	if info.Name != "tuned" || info.Rank != 3 || info.Bytes == 0 {
		t.Fatalf("%s", info.Raw)
	}
	ask := short(1)
	ask.Adapter = "tuned"
	if response := must(rt.Complete(ctx, ask))(t); response.Model != info.Version {
		t.Fatalf("%s is not of %s", response.Raw, info.Version)
	}
	if err := rt.UnloadAdapter("m", "tuned"); err != nil {
		t.Fatal(err)
	}
	if err := rt.UnloadAdapter("m", "tuned"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}
