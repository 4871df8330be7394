// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/** Hears how far the load of a model is. */
@FunctionalInterface
public interface LoadListener {
    /** What is being read. */
    enum Phase {
        /** Something that a later version of the library names. */
        OTHER,
        /** The files are read to name their exact version. */
        DIGEST,
        /** The weights are read. */
        WEIGHTS
    }

    /**
     * Something more was read. What it throws ends the load, and comes out of {@link ModelRuntime#serve}.
     *
     * @param phase what is being read
     * @param doneBytes bytes that are done
     * @param totalBytes bytes in all
     */
    void onProgress(Phase phase, long doneBytes, long totalBytes);
}
