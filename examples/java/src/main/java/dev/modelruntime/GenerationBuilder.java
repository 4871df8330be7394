// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.List;
import java.util.Map;

/**
 * The fields that chat and completion requests have in common.
 *
 * @param <B> the builder itself
 */
public abstract sealed class GenerationBuilder<B extends GenerationBuilder<B>> extends RequestBuilder<B>
        permits ChatRequest.Builder, CompletionRequest.Builder {

    GenerationBuilder(String model) {
        super(model);
    }

    /**
     * The most tokens of the answer.
     *
     * @param tokens their number
     * @return this
     */
    public B maxTokens(int tokens) {
        return put("max_tokens", tokens);
    }

    /**
     * How freely tokens are chosen.
     *
     * @param temperature 0: always the likeliest
     * @return this
     */
    public B temperature(double temperature) {
        return put("temperature", temperature);
    }

    /**
     * Only the likeliest tokens that together have this probability are chosen from.
     *
     * @param probability more than 0, up to 1
     * @return this
     */
    public B topP(double probability) {
        return put("top_p", probability);
    }

    /**
     * Only so many of the likeliest tokens are chosen from.
     *
     * @param tokens their number
     * @return this
     */
    public B topK(int tokens) {
        return put("top_k", tokens);
    }

    /**
     * Only tokens at least this likely, as a share of the likeliest one, are chosen from.
     *
     * @param share 0 to 1
     * @return this
     */
    public B minP(double share) {
        return put("min_p", share);
    }

    /**
     * How much less likely tokens become that are in the text already.
     *
     * @param penalty 1: not at all
     * @return this
     */
    public B repetitionPenalty(double penalty) {
        return put("repetition_penalty", penalty);
    }

    /**
     * As the OpenAI API has it.
     *
     * @param penalty -2 to 2
     * @return this
     */
    public B frequencyPenalty(double penalty) {
        return put("frequency_penalty", penalty);
    }

    /**
     * As the OpenAI API has it.
     *
     * @param penalty -2 to 2
     * @return this
     */
    public B presencePenalty(double penalty) {
        return put("presence_penalty", penalty);
    }

    /**
     * What is added to the logits of single tokens.
     *
     * @param bias values by token id
     * @return this
     */
    public B logitBias(Map<Integer, Double> bias) {
        return put("logit_bias", Map.copyOf(bias));
    }

    /**
     * The same seed gives the same answer of the same version.
     *
     * @param seed the seed, without a sign: as {@link Long#toUnsignedString(long)} has it
     * @return this
     */
    public B seed(long seed) {
        return extraJson("seed", Long.toUnsignedString(seed));
    }

    /**
     * Texts that end the answer, and are not in it.
     *
     * @param texts the texts
     * @return this
     */
    public B stop(String... texts) {
        return put("stop", List.of(texts));
    }

    /**
     * Tokens that end the answer.
     *
     * @param tokens their ids
     * @return this
     */
    public B stopTokenIds(int... tokens) {
        return put("stop_token_ids", tokens.clone());
    }

    /**
     * How many answers are wanted.
     *
     * @param answers their number
     * @return this
     */
    public B n(int answers) {
        return put("n", answers);
    }

    /**
     * How many tokens are guessed at once from what was said before. It changes the time, not the answer.
     *
     * @param tokens 0 (off) to 16
     * @return this
     */
    public B promptLookupTokens(int tokens) {
        return put("prompt_lookup_tokens", tokens);
    }

    /**
     * The adapter that answers.
     *
     * @param name as {@link ModelRuntime#loadAdapter} knows it
     * @return this
     */
    public B adapter(String name) {
        return put("adapter", name);
    }
}
