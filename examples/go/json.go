package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// unmarshalRaw reads data into plain, a pointer to a type without UnmarshalJSON, and keeps the text.
func unmarshalRaw(data []byte, plain any, raw *json.RawMessage) error {
	if err := json.Unmarshal(data, plain); err != nil {
		return err
	}
	*raw = bytes.Clone(data)
	return nil
}

// marshalExtra writes plain, a struct without MarshalJSON, and the members of extra behind its own.
func marshalExtra(plain any, extra map[string]any) ([]byte, error) {
	text, err := marshal(plain)
	if err != nil || len(extra) == 0 {
		return text, err
	}
	for name := range fieldNames(reflect.TypeOf(plain)) {
		if _, taken := extra[name]; taken {
			return nil, fmt.Errorf("model runtime: Extra has %q, which has a field of its own", name)
		}
	}
	more, err := marshal(extra)
	if err != nil {
		return nil, err
	}
	if len(text) == len("{}") {
		return more, nil
	}
	text[len(text)-1] = ','
	return append(text, more[1:]...), nil
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// fieldNames are the names in JSON of a struct's fields, those of embedded structs included.
func fieldNames(structure reflect.Type) map[string]bool {
	names := make(map[string]bool)
	for _, field := range reflect.VisibleFields(structure) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			names[name] = true
		}
	}
	return names
}

// body gives a request's JSON: the raw one if there is one, else the typed one.
func body(raw json.RawMessage, request any) ([]byte, error) {
	if raw == nil {
		return marshal(request)
	}
	rest := reflect.New(reflect.TypeOf(request)).Elem()
	rest.Set(reflect.ValueOf(request))
	rest.FieldByName("Raw").SetZero()
	if !rest.IsZero() {
		return nil, fmt.Errorf("model runtime: %T has Raw and other fields; Raw is the whole request", request)
	}
	return raw, nil
}

// Ptr gives a pointer to a value, for optional fields: Temperature: runtime.Ptr(0.0).
func Ptr[T any](value T) *T { return &value }
