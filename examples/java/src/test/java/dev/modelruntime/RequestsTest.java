// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RequestsTest {
    @Test
    void chatRequestsHaveTheFieldsThatWereSet() {
        ChatRequest request = ChatRequest.builder("m")
                .systemMessage("s").userMessage("u \"\\\n\u0001\ud83d\ude43").assistantMessage("a").messageJson("{\"role\":\"user\"}")
                .maxTokens(1).temperature(0.5).topP(0.9).topK(2).minP(0.1).repetitionPenalty(1.1).frequencyPenalty(-1)
                .presencePenalty(1).logitBias(Map.of(5, -1.0)).seed(-1).stop("x", "y").stopTokenIds(1, 2).n(2)
                .promptLookupTokens(3).adapter("p").user("me").toolsJson("[]").toolChoice("none").parallelToolCalls(false)
                .responseFormatJson("{\"type\":\"json_object\"}").thinking(10).logprobs(2).extra("new", Arrays.asList(1, null))
                .build();
        String expected = """
                {"model": "m", "max_tokens": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 2, "min_p": 0.1,
                 "repetition_penalty": 1.1, "frequency_penalty": -1.0, "presence_penalty": 1.0, "logit_bias": {"5": -1.0},
                 "seed": 18446744073709551615, "stop": ["x", "y"], "stop_token_ids": [1, 2], "n": 2,
                 "prompt_lookup_tokens": 3, "adapter": "p", "user": "me", "tools": [], "tool_choice": "none",
                 "parallel_tool_calls": false, "response_format": {"type": "json_object"},
                 "thinking": {"type": "enabled", "budget_tokens": 10}, "logprobs": true, "top_logprobs": 2, "new": [1, null],
                 "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u \\"\\\\\\n\\u0001\ud83d\ude43"},
                  {"role": "assistant", "content": "a"}, {"role": "user"}]}""";
        assertEquals(Models.read(expected), Models.read(request.json()));
    }

    @Test
    void otherRequestsToo() {
        CompletionRequest completion =
                CompletionRequest.builder("m", List.of("a", "b")).echo(true).logprobs(1).suffix("s").useRawPrompt(true).build();
        assertEquals(
                Models.read("{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"echo\":true,\"logprobs\":1,\"suffix\":\"s\","
                        + "\"use_raw_prompt\":true}"),
                Models.read(completion.json()));
        EmbeddingRequest embedding = EmbeddingRequest.builder("m", "a").instruction("i").promptName("p").dimensions(8)
                .normalize("l2").truncate("end").pooling("mean").encodingFormat("base64").build();
        assertEquals(
                Models.read("{\"model\":\"m\",\"input\":[\"a\"],\"instruction\":\"i\",\"prompt_name\":\"p\",\"dimensions\":8,"
                        + "\"normalize\":\"l2\",\"truncate\":\"end\",\"pooling\":\"mean\",\"encoding_format\":\"base64\"}"),
                Models.read(embedding.json()));
        assertEquals("anything", ChatRequest.ofJson("anything").json());
    }

    @Test
    void valuesThatAreNoJsonAreRefusedAtOnce() {
        CompletionRequest.Builder builder = CompletionRequest.builder("m", "p");
        for (Object value : new Object[] {Double.NaN, Float.NEGATIVE_INFINITY, new Object(), List.of(new Object())}) {
            assertThrows(IllegalArgumentException.class, () -> builder.extra("x", value));
        }
        assertThrows(IllegalArgumentException.class, () -> builder.temperature(Double.NaN).build());
        assertThrows(NullPointerException.class, () -> CompletionRequest.builder(null, "p"));
    }
}
