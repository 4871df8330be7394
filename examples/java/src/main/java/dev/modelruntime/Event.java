// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/**
 * New pieces of an answer that is being generated.
 *
 * @param text the text that they add to the answer, possibly empty, never a part of a character; of several answers, to
 *     the first
 * @param json the chunks in the OpenAI shape, as a JSON list
 */
public record Event(String text, String json) {
    /** The end of an answer among server-sent events: what a host sends when the answer is complete. */
    public static final String SERVER_SENT_DONE = "data: [DONE]\n\n";

    /**
     * The event as server-sent events, for hosts that offer answers over HTTP: {@code data: }, a chunk in the OpenAI shape and an
     * empty line, for each chunk. When the answer is complete, {@link #SERVER_SENT_DONE} is sent; when it has failed,
     * {@link ModelRuntimeException#serverSent()} and nothing more. Made from {@link #json} when it is asked for.
     *
     * @return text to be sent as UTF-8
     */
    public String serverSent() {
        // The library lends an event until its callback returns. To copy this, too, would cost everybody what few want.
        StringBuilder out = new StringBuilder(json.length() + 16);
        boolean quoted = false;
        int depth = 0;
        int begin = 0;
        for (int i = 0; i < json.length(); i++) {
            char c = json.charAt(i);
            if (quoted) {
                if (c == '\\') {
                    i++;
                } else if (c == '"') {
                    quoted = false;
                }
            } else if (c == '"') {
                quoted = true;
            } else if (c == '[' || c == '{') {
                if (++depth == 2) {
                    begin = i;
                }
            } else if ((c == ']' || c == '}') && --depth == 1) {
                out.append("data: ").append(json, begin, i + 1).append("\n\n");
            }
        }
        return out.toString();
    }
}
