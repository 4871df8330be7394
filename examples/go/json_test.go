package runtime

import (
	"encoding/json"
	"testing"
)

func TestRequestsAsJSON(t *testing.T) {
	call := ToolCall{ID: "c1", Type: "function", Function: FunctionCall{"weather", `{"city":"Oslo"}`}}
	for expected, request := range map[string]any{
		`{"model":"m","messages":[{"role":"user","content":"a<b"}]}`:                                                                                       ChatRequest{Model: "m", Messages: []Message{UserMessage("a<b")}},
		`{"content":null,"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]}`: Message{Role: RoleAssistant, ToolCalls: []ToolCall{call}},
		`{"role":"tool","content":"cold","tool_call_id":"c1"}`:                                                                                             ToolMessage("c1", "cold"),
		`{"model":"m","prompt":[1,2],"temperature":0,"logit_bias":{"7":-1},"seed":0,"logprobs":0}`:                                                         CompletionRequest{Model: "m", Prompt: []uint32{1, 2}, Temperature: Ptr(0.0), Seed: Ptr(int64(0)), LogitBias: map[uint32]float64{7: -1}, Logprobs: Ptr(0)},
		`{"model":"m","input":"x","magic":[1]}`:                                                                                                            EmbeddingRequest{Model: "m", Input: "x", Extra: map[string]any{"magic": []int{1}}},
		`"required"`:                                                                                                                                       ToolChoiceRequired,
		`{"function":{"name":"weather"},"type":"function"}`:                                                                                                ToolChoiceFunction("weather"),
		`{"type":"enabled","budget_tokens":9}`:                                                                                                             Thinking{9},
		`{"type":"json_schema","json_schema":{"name":"place","schema":{"type":"object"}}}`:                                                                 Schema("place", map[string]string{"type": "object"}),
		`{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"x\""}}`:                                                                       Lark(`start: "x"`),
		`{"type":"json_object"}`:                                                                                                                           JSONObject(),
		`{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object"}}}`:                                                  FunctionTool("f", "does", json.RawMessage(`{"type":"object"}`)),
	} {
		if text, err := marshal(request); err != nil || string(text) != expected {
			t.Errorf("%s\nexpected\n%s\n%v", text, expected, err)
		}
	}
	twice := ChatRequest{Model: "m", Extra: map[string]any{"max_tokens": 7}}
	if text, err := json.Marshal(twice); err == nil {
		t.Errorf("%s has in Extra what has a field", text)
	}
}

func TestAToolCallGoesBackIntoTheConversation(t *testing.T) {
	rt := serve(t, llamaModel)
	weather := FunctionTool("weather", "Today's weather", json.RawMessage(`{"type":"object","properties":{"city":{"enum":["Oslo","Rome"]}},"required":["city"],"additionalProperties":false}`))
	ask := ChatRequest{Model: "m", Messages: []Message{UserMessage("Oslo?")}, Tools: []Tool{weather}, ToolChoice: ToolChoiceFunction("weather")}
	answer := must(rt.Chat(ctx, ask))(t).Choices[0]
	if answer.FinishReason != FinishToolCalls || len(answer.Message.ToolCalls) != 1 {
		t.Fatalf("%+v", answer)
	}
	call := answer.Message.ToolCalls[0]
	var arguments struct{ City string }
	if json.Unmarshal([]byte(call.Function.Arguments), &arguments) != nil || arguments.City != "Oslo" && arguments.City != "Rome" {
		t.Fatalf("%s", call.Function.Arguments)
	}
	ask.Messages = append(ask.Messages, answer.Message.Message, ToolMessage(call.ID, "cold"))
	ask.ToolChoice, ask.MaxTokens = ToolChoiceNone, 4
	must(rt.Chat(ctx, ask))(t)
}
