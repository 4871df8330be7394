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
	for event, err := range rt.CompleteStream(ctx, runtime.CompletionRequest{Model: "stories", Prompt: "Once upon a time"}) {
		check(err)
		fmt.Print(event.Text)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
