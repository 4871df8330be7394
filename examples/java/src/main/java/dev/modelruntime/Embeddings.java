// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The vectors of texts, one row for each text, in the order of the request.
 *
 * <p>They lie in the library's memory until this is closed. {@link #vectors()} and {@link #vector(int)} copy them into the heap;
 * {@link #values()} is the memory itself. Closing may happen at any time, on any thread, and more than once. What is dropped
 * unclosed is closed after the garbage collector has found it, segments of {@link #values()} included.
 *
 * <p>What was made is known without the memory: rows, dimension, tokens, truncation, normalization and version can be asked
 * for after closing, too. All methods may be called from any thread.
 */
public final class Embeddings implements AutoCloseable {
    /** What was applied to vectors. */
    public enum Normalize {
        /** Nothing: they are as the model makes them. */
        NONE,
        /** They have unit length. */
        L2
    }

    private final RunningEmbeddings embeddings;
    private final RunningEmbeddings.Made made;
    private final ReentrantLock lock = new ReentrantLock();
    /** The scope of {@link #segment}; both are null until somebody wants the memory itself. */
    private Arena arena;
    private MemorySegment segment;

    @SuppressWarnings("this-escape") // The class is final, and the cleaner only remembers it.
    Embeddings(RunningEmbeddings embeddings) {
        this.embeddings = embeddings;
        made = embeddings.made();
        Handle.CLEANER.register(this, embeddings.handle());
    }

    /**
     * The number of texts.
     *
     * @return rows
     */
    public int rows() {
        return made.rows();
    }

    /**
     * The number of values of a vector.
     *
     * @return columns
     */
    public int dimension() {
        return made.dimension();
    }

    /**
     * All vectors, copied.
     *
     * @return a row for each text
     * @throws IllegalStateException if this is closed
     */
    public float[][] vectors() {
        float[][] vectors = new float[made.rows()][];
        for (int row = 0; row < vectors.length; row++) {
            vectors[row] = vector(row);
        }
        return vectors;
    }

    /**
     * One vector, copied.
     *
     * @param row the text, from 0
     * @return its values
     * @throws IndexOutOfBoundsException if there is no such text
     * @throws IllegalStateException if this is closed
     */
    public float[] vector(int row) {
        java.util.Objects.checkIndex(row, made.rows());
        embeddings.handle().enter();
        try {
            long bytes = made.dimension() * JAVA_FLOAT.byteSize();
            return made.values().asSlice(row * bytes, bytes).toArray(JAVA_FLOAT);
        } finally {
            embeddings.handle().exit();
            Reference.reachabilityFence(this);
        }
    }

    /**
     * The memory of all vectors, without a copy: {@code rows() * dimension()} floats in the order of the machine, row by row, for
     * reading only. After closing, everything that reads it throws {@link IllegalStateException}.
     *
     * @return a read-only segment, valid until this is closed, for all threads
     * @throws IllegalStateException if this is closed
     */
    @SuppressWarnings("restricted") // The segment gets the life that the library's memory has.
    public MemorySegment values() {
        lock.lock();
        try {
            embeddings.handle().enter();
            try {
                if (segment == null) {
                    Arena shared = Arena.ofShared();
                    // The arena keeps what is to be done at its end, and that keeps this: so the memory is not given back as long
                    // as anybody has the segment, even if nobody has this any more.
                    segment = made.values().reinterpret(shared, end -> this.release()).asReadOnly();
                    arena = shared;
                }
                return segment;
            } finally {
                embeddings.handle().exit();
            }
        } finally {
            lock.unlock();
        }
    }

    private void release() {
        embeddings.close();
    }

    /**
     * The tokens of one text that were computed, special tokens included.
     *
     * @param row the text, from 0
     * @return their number
     * @throws IndexOutOfBoundsException if there is no such text
     */
    public int tokens(int row) {
        return made.tokens()[row];
    }

    /**
     * Whether one text was longer than the endpoint takes and was cut.
     *
     * @param row the text, from 0
     * @return true if it was cut
     * @throws IndexOutOfBoundsException if there is no such text
     */
    public boolean truncated(int row) {
        return made.truncated()[row];
    }

    /**
     * What was applied to the vectors.
     *
     * @return the normalization
     */
    public Normalize normalize() {
        return made.l2() ? Normalize.L2 : Normalize.NONE;
    }

    /**
     * The exact version that answered.
     *
     * @return the version
     */
    public String version() {
        return made.version();
    }

    /**
     * The vectors as JSON in the OpenAI shape, in the encoding that the request asked for.
     *
     * @return JSON
     * @throws IllegalStateException if this is closed
     */
    public String response() {
        try {
            return embeddings.response();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Gives the memory back.
     *
     * @throws IllegalStateException if another thread is in a foreign function with a segment of {@link #values()}; nothing is
     *     given back then, and closing can be tried again
     */
    @Override
    public void close() {
        lock.lock();
        try {
            if (arena != null && arena.scope().isAlive()) {
                arena.close();
            }
            embeddings.close();
        } finally {
            lock.unlock();
            Reference.reachabilityFence(this);
        }
    }
}
