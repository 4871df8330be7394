// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 1, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PublisherTest {
    private static ModelRuntime runtime;

    @BeforeAll
    static void serve() throws InterruptedException {
        runtime = Models.serving("stories", Models.STORIES);
    }

    @AfterAll
    static void close() {
        runtime.close();
    }

    private static final Object COMPLETE = "complete";

    /** Writes down its signals: events, a Throwable, or {@link #COMPLETE}. */
    private static class Recorder implements Flow.Subscriber<Event> {
        final BlockingQueue<Object> signals = new LinkedBlockingQueue<>();
        final AtomicInteger inside = new AtomicInteger();
        final long first;
        Flow.Subscription subscription;

        Recorder(long first) {
            this.first = first;
        }

        @Override
        public void onSubscribe(Flow.Subscription subscription) {
            this.subscription = subscription;
            if (first != 0) {
                subscription.request(first);
            }
        }

        @Override
        public void onNext(Event event) {
            signals.add(inside.incrementAndGet() == 1 ? event : new AssertionError("two signals at a time"));
            inside.decrementAndGet();
        }

        @Override
        public void onError(Throwable thrown) {
            signals.add(thrown);
        }

        @Override
        public void onComplete() {
            signals.add(COMPLETE);
        }
    }

    @Test
    void allEventsComeInOrderThenTheEnd() throws Exception {
        String whole = Models.text(runtime.complete(Models.story(100)));
        Recorder recorder = new Recorder(Long.MAX_VALUE);
        try (Generation generation = runtime.completeStream(Models.story(100))) {
            generation.subscribe(recorder);
            StringBuilder text = new StringBuilder();
            Object signal;
            while ((signal = recorder.signals.take()) instanceof Event event) {
                text.append(event.text());
            }
            assertEquals(COMPLETE, signal);
            assertEquals(whole, text.toString());
            assertEquals(whole, Models.text(generation.response()));
        }
    }

    @Test
    void noMoreComesThanWasAskedFor() throws Exception {
        String whole = Models.text(runtime.complete(Models.story(100)));
        Recorder recorder = new Recorder(0);
        try (Generation generation = runtime.completeStream(Models.story(100))) {
            generation.subscribe(recorder);
            generation.response();
            // All events are there, and nobody has asked for one.
            assertTrue(recorder.signals.isEmpty());
            StringBuilder text = new StringBuilder();
            while (text.length() < whole.length()) {
                recorder.subscription.request(1);
                text.append(assertInstanceOf(Event.class, recorder.signals.take()).text());
                if (text.length() < whole.length()) {
                    assertNull(recorder.signals.poll());
                }
            }
            assertEquals(whole, text.toString());
            recorder.subscription.request(1);
            Object last;
            while ((last = recorder.signals.take()) instanceof Event) {
                recorder.subscription.request(1);
            }
            assertEquals(COMPLETE, last);
        }
    }

    @Test
    void cancellingEndsTheRequestAndTheSignals() throws Exception {
        try (Generation generation = runtime.completeStream(Models.story(480))) {
            Recorder recorder = new Recorder(1);
            generation.subscribe(recorder);
            assertInstanceOf(Event.class, recorder.signals.take());
            recorder.subscription.cancel();
            recorder.subscription.cancel();
            recorder.subscription.request(100);
            ModelRuntimeException end = assertThrows(ModelRuntimeException.class, generation::response);
            assertEquals(ErrorCode.CANCELLED, end.code());
            assertTrue(recorder.signals.isEmpty());
        }
    }

    @Test
    void failuresAreSignalled() throws Exception {
        Recorder recorder = new Recorder(Long.MAX_VALUE);
        try (Generation generation = runtime.completeStream(Models.story(480))) {
            generation.cancel();
            generation.subscribe(recorder);
            Object signal;
            do {
                signal = recorder.signals.take();
            } while (signal instanceof Event);
            assertEquals(ErrorCode.CANCELLED, assertInstanceOf(ModelRuntimeException.class, signal).code());
        }
    }

    @Test
    void demandThatIsNoneIsAnError() throws Exception {
        Recorder recorder = new Recorder(-1);
        try (Generation generation = runtime.completeStream(Models.story(480))) {
            generation.subscribe(recorder);
            assertInstanceOf(IllegalArgumentException.class, recorder.signals.take());
            assertThrows(ModelRuntimeException.class, generation::response);
        }
    }

    @Test
    void thereIsOneSubscriber() throws Exception {
        try (Generation generation = runtime.completeStream(Models.story(10))) {
            Recorder first = new Recorder(Long.MAX_VALUE);
            Recorder second = new Recorder(Long.MAX_VALUE);
            generation.subscribe(first);
            generation.subscribe(second);
            assertInstanceOf(IllegalStateException.class, second.signals.take());
            assertThrows(IllegalStateException.class, generation::next);
            assertThrows(NullPointerException.class, () -> generation.subscribe(null));
            assertInstanceOf(Event.class, first.signals.take());
        }
    }

    @Test
    void aSubscriberThatThrowsIsLeftAlone() throws Exception {
        BlockingQueue<Throwable> reported = new LinkedBlockingQueue<>();
        Recorder recorder = new Recorder(Long.MAX_VALUE) {
            @Override
            public void onNext(Event event) {
                // Its thread is its own, so it may say who hears of it.
                Thread.currentThread().setUncaughtExceptionHandler((thread, thrown) -> reported.add(thrown));
                throw new IllegalStateException("no");
            }
        };
        try (Generation generation = runtime.completeStream(Models.story(480))) {
            generation.subscribe(recorder);
            assertEquals("no", reported.take().getMessage());
            assertEquals(ErrorCode.CANCELLED, assertThrows(ModelRuntimeException.class, generation::response).code());
        }
        assertEquals(List.of(), List.copyOf(recorder.signals));
    }

    /** Nobody but the subscription has the generation. */
    @Test
    void aSubscriptionKeepsItsGeneration() throws Exception {
        Recorder recorder = new Recorder(Long.MAX_VALUE);
        runtime.completeStream(Models.story(480)).subscribe(recorder);
        Object signal;
        do {
            System.gc();
            signal = recorder.signals.take();
        } while (signal instanceof Event);
        assertEquals(COMPLETE, signal);
    }
}
