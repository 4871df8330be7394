// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/** Hears how far a run of many requests is. */
@FunctionalInterface
public interface BatchListener {
    /**
     * Results were written, or requests read. What it throws ends the run, and comes out of {@link ModelRuntime#runBatch}.
     *
     * @param json a JSON object: {@code read}, {@code skipped}, {@code done}, {@code failed}, {@code running}, {@code waiting},
     *     {@code prompt_tokens}, {@code completion_tokens}, {@code bytes_read} and {@code bytes_total} (null where it is not known)
     */
    void onProgress(String json);
}
