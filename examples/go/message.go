package runtime

import "encoding/json"

// Role is who says a message.
type Role string

// The roles of a conversation.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Message is one message of a conversation.
type Message struct {
	// Role is who says it.
	Role Role `json:"role"`
	// Content is what is said; only an assistant that calls functions may say nothing.
	Content string `json:"content"`
	// ReasoningContent is what the assistant thought before.
	ReasoningContent string `json:"reasoning_content,omitempty"`
	// ToolCalls are the functions that the assistant called.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// ToolCallID is the call that a message of the role tool answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// MarshalJSON writes the message; the content of one that only calls functions is null.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message
	if m.Content != "" || len(m.ToolCalls) == 0 {
		return marshal(plain(m))
	}
	return marshal(struct {
		Content *string `json:"content"`
		plain
	}{nil, plain(m)})
}

// SystemMessage gives instructions that hold for the whole conversation.
func SystemMessage(text string) Message { return Message{Role: RoleSystem, Content: text} }

// UserMessage is what the person who asks says.
func UserMessage(text string) Message { return Message{Role: RoleUser, Content: text} }

// AssistantMessage is what the model said before.
func AssistantMessage(text string) Message { return Message{Role: RoleAssistant, Content: text} }

// ToolMessage is what the function of a call has returned.
func ToolMessage(toolCallID, result string) Message {
	return Message{Role: RoleTool, Content: result, ToolCallID: toolCallID}
}

// Tool is something that the model may use: a function of the caller. [FunctionTool] makes one.
type Tool struct {
	// Type is "function".
	Type string `json:"type"`
	// Function is what the model is told about it.
	Function FunctionDefinition `json:"function"`
}

// FunctionDefinition is a function of the caller, as the model is told about it.
type FunctionDefinition struct {
	// Name is 1 to 64 letters, digits, _ and -.
	Name string `json:"name"`
	// Description says when and how to use it.
	Description string `json:"description,omitempty"`
	// Parameters marshals to the JSON schema of its arguments, an object; nil takes no arguments.
	Parameters any `json:"parameters,omitempty"`
	// Strict is accepted as true or false: arguments always follow the schema.
	Strict *bool `json:"strict,omitempty"`
}

// FunctionTool is a function that takes arguments of a JSON schema, which parameters marshals to.
func FunctionTool(name, description string, parameters any) Tool {
	return Tool{"function", FunctionDefinition{Name: name, Description: description, Parameters: parameters}}
}

// ToolChoice says whether the model calls functions: [ToolChoiceAuto], [ToolChoiceNone], [ToolChoiceRequired] or
// [ToolChoiceFunction].
type ToolChoice struct{ mode, function string }

var (
	// ToolChoiceAuto: the model decides.
	ToolChoiceAuto = ToolChoice{mode: "auto"}
	// ToolChoiceNone: it answers in text.
	ToolChoiceNone = ToolChoice{mode: "none"}
	// ToolChoiceRequired: it calls at least one of the functions.
	ToolChoiceRequired = ToolChoice{mode: "required"}
)

// ToolChoiceFunction has it call this function.
func ToolChoiceFunction(name string) ToolChoice { return ToolChoice{"function", name} }

// MarshalJSON writes the choice in the OpenAI shape.
func (c ToolChoice) MarshalJSON() ([]byte, error) {
	if c.mode != "function" {
		return json.Marshal(c.mode)
	}
	return json.Marshal(map[string]any{"type": "function", "function": map[string]string{"name": c.function}})
}

// ToolCall is a call that the model wants made.
type ToolCall struct {
	// ID names the call; the message with its result refers to it.
	ID string `json:"id"`
	// Type is "function".
	Type string `json:"type"`
	// Function is the call.
	Function FunctionCall `json:"function"`
}

// FunctionCall is the name of a function and what it is called with.
type FunctionCall struct {
	// Name is the function's.
	Name string `json:"name"`
	// Arguments is a JSON object, as text.
	Arguments string `json:"arguments"`
}
