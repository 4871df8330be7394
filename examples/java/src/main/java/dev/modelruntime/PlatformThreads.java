// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Platform threads for calls into the library that block.
 *
 * <p>A virtual thread in such a call would keep its carrier, and a few of them all carriers. So the call is made here while the
 * caller waits in Java; who waits for answers does not come here. The threads are daemons and go when they have been idle for
 * some seconds. There are never more than calls under way.
 */
final class PlatformThreads {
    private static final ExecutorService POOL = new ThreadPoolExecutor(
            0,
            Integer.MAX_VALUE,
            5,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            Thread.ofPlatform()
                    .daemon()
                    .name("model-runtime-", 0)
                    .inheritInheritableThreadLocals(false)
                    .factory());

    private PlatformThreads() {}

    /** Makes a call that ends by itself: here on a platform thread, elsewhere for a virtual one. */
    static <T> T call(Callable<T> call) {
        return call(call, () -> {});
    }

    /** As {@link #call(Callable)}; {@code onInterrupt} hears that a waiting virtual thread was interrupted. */
    static <T> T call(Callable<T> call, Runnable onInterrupt) {
        if (!Thread.currentThread().isVirtual()) {
            try {
                return call.call();
            } catch (Exception error) {
                throw Frame.unexpected(error);
            }
        }
        Future<T> future = POOL.submit(call);
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return future.get();
                } catch (InterruptedException error) {
                    interrupted = true;
                    onInterrupt.run();
                } catch (ExecutionException error) {
                    throw rethrown(error.getCause());
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** What the other thread threw; the library's failures with the caller's own stack trace. */
    private static RuntimeException rethrown(Throwable thrown) {
        return switch (thrown) {
            case ModelRuntimeException exception -> new ModelRuntimeException(exception.failure(), exception.getCause());
            case CancellationException exception -> exception;
            default -> Frame.unexpected(thrown);
        };
    }
}
