// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Hands a generation's events to a subscriber, as many as it asks for.
 *
 * <p>Whatever may bring it on (an event, demand, a cancel) only counts up {@link #work}; who counts it up from zero starts a
 * virtual thread that does what there is to do. So the subscriber is called by one thread at a time, never by the library's,
 * and no thread waits while there is nothing to do.
 */
final class EventSubscription implements Flow.Subscription {
    private final Generation generation;
    private final Mailbox mailbox;
    private final AtomicLong demand = new AtomicLong();
    /** Occasions that were not looked at; at first the one that {@link #start()} looks at. */
    private final AtomicInteger work = new AtomicInteger(1);
    private volatile Flow.Subscriber<? super Event> subscriber;
    private volatile boolean cancelled;
    private volatile IllegalArgumentException illegal;

    EventSubscription(Generation generation, Mailbox mailbox, Flow.Subscriber<? super Event> subscriber) {
        this.generation = generation;
        this.mailbox = mailbox;
        this.subscriber = subscriber;
    }

    /** Tells a subscriber that it comes too late. */
    static void refuse(Flow.Subscriber<? super Event> subscriber, String why) {
        subscriber.onSubscribe(new Flow.Subscription() {
            @Override
            public void request(long n) {}

            @Override
            public void cancel() {}
        });
        subscriber.onError(new IllegalStateException(why));
    }

    void start() {
        subscriber.onSubscribe(this);
        mailbox.listen(this::schedule);
        Thread.startVirtualThread(this::drain);
    }

    @Override
    public void request(long n) {
        if (n <= 0) {
            illegal = new IllegalArgumentException("request(" + n + "): a subscriber asks for at least one event");
        } else {
            demand.accumulateAndGet(n, (before, more) -> before + more < 0 ? Long.MAX_VALUE : before + more);
        }
        schedule();
    }

    @Override
    public void cancel() {
        cancelled = true;
        generation.cancel();
        schedule();
    }

    private void schedule() {
        if (work.getAndIncrement() == 0) {
            Thread.startVirtualThread(this::drain);
        }
    }

    private void drain() {
        int seen = work.get();
        do {
            Flow.Subscriber<? super Event> receiver = subscriber;
            while (receiver != null && step(receiver)) {
                receiver = subscriber;
            }
            seen = work.addAndGet(-seen);
        } while (seen != 0);
    }

    /** One signal; false if there is nothing to signal now. */
    private boolean step(Flow.Subscriber<? super Event> receiver) {
        if (cancelled) {
            subscriber = null;
            return false;
        }
        try {
            if (illegal != null) {
                generation.cancel();
                subscriber = null;
                receiver.onError(illegal);
                return false;
            }
            Event event = demand.get() > 0 ? mailbox.poll() : null;
            if (event != null) {
                demand.getAndUpdate(before -> before == Long.MAX_VALUE ? before : before - 1);
                receiver.onNext(event);
                return true;
            }
            if (mailbox.isExhausted()) {
                subscriber = null;
                end(receiver, mailbox.failure());
            }
        } catch (Throwable thrown) {
            // A subscriber must not throw; one that does has given the subscription up.
            cancelled = true;
            generation.cancel();
            subscriber = null;
            HostObjects.report(thrown);
        }
        return false;
    }

    private static void end(Flow.Subscriber<? super Event> receiver, Failure failure) {
        if (failure == null) {
            receiver.onComplete();
        } else {
            receiver.onError(new ModelRuntimeException(failure));
        }
    }
}
