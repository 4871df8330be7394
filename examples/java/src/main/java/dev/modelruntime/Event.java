// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/**
 * New pieces of an answer that is being generated.
 *
 * @param text the text that they add to the answer, possibly empty, never a part of a character; of several answers, to
 *     the first
 * @param json the chunks in the OpenAI shape, as a JSON list
 */
public record Event(String text, String json) {}
