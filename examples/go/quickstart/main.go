// Command quickstart has a model tell a story.
package main

import (
	"context"
	"fmt"
	"log"

	runtime "model-runtime.example/go"
)

func main() {
	ctx := context.Background()
	rt, err := runtime.New()
	check(err)
	defer rt.Close()
	_, err = rt.Serve(ctx, "stories", "../models/stories260K")
	check(err)
	ask := runtime.CompletionRequest{Model: "stories", Prompt: "Once upon a time", MaxTokens: 64, Temperature: runtime.Ptr(0.0)}
	for event, err := range rt.CompleteStream(ctx, ask) {
		check(err)
		fmt.Print(event.Text)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
