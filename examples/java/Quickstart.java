// SPDX-License-Identifier: MIT OR Apache-2.0

import dev.modelruntime.CompletionRequest;
import dev.modelruntime.ModelRuntime;
import java.nio.file.Path;

class Quickstart {
    public static void main(String[] args) throws InterruptedException {
        try (var runtime = ModelRuntime.create()) { // share it between threads, virtual ones too
            runtime.serve("stories", Path.of("examples/models/stories260K"));
            var request = CompletionRequest.builder("stories", "Once upon a time").maxTokens(64).temperature(0).build();
            try (var answer = runtime.completeStream(request)) {
                for (var event : answer) System.out.print(event.text());
            }
        }
    }
}
