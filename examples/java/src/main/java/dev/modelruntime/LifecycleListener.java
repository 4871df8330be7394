// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/** Hears what is new about the life of a model that somebody uses: deprecated, about to be retired, retired. */
@FunctionalInterface
public interface LifecycleListener {
    /**
     * Something is new. Each state is told once for each model and principal, in all processes that share a database.
     *
     * <p>It is called on the thread that came upon the news, one of the library's or one that asked for something, by several
     * at a time; it should return soon and may call everything. What it throws goes to the thread's uncaught exception handler.
     *
     * @param json an object with {@code key}, {@code message} and {@code status}
     */
    void onLifecycle(String json);
}
