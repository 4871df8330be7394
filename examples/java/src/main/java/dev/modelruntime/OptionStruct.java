// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/** One of the library's option structs, by the names of the header. Zero is the default of every field. */
final class OptionStruct {
    /** {@code mr_runtime_options}. */
    static final StructLayout RUNTIME = MemoryLayout.structLayout(
            JAVA_LONG.withName("struct_size"),
            JAVA_LONG.withName("memory_budget"),
            ADDRESS.withName("database"),
            JAVA_LONG.withName("database_len"),
            ADDRESS.withName("catalog"),
            JAVA_LONG.withName("catalog_len"),
            ADDRESS.withName("clock"),
            JAVA_LONG.withName("clock_data"),
            ADDRESS.withName("clock_data_free"),
            ADDRESS.withName("on_lifecycle"),
            JAVA_LONG.withName("lifecycle_data"),
            ADDRESS.withName("lifecycle_data_free"));
    /** {@code mr_serve_options}. */
    static final StructLayout SERVE = MemoryLayout.structLayout(
            JAVA_LONG.withName("struct_size"),
            JAVA_LONG.withName("context_length"),
            JAVA_LONG.withName("cache_tokens"),
            JAVA_INT.withName("max_batch_tokens"),
            JAVA_INT.withName("max_prefill_tokens"),
            JAVA_INT.withName("max_sequences"),
            JAVA_INT.withName("max_queue"),
            JAVA_INT.withName("prefix_sharing"),
            JAVA_INT.withName("reserved"),
            ADDRESS.withName("version"),
            JAVA_LONG.withName("version_len"),
            ADDRESS.withName("chat_template"),
            JAVA_LONG.withName("chat_template_len"),
            JAVA_INT.withName("backend"),
            JAVA_INT.withName("threads"),
            JAVA_INT.withName("compute"),
            JAVA_INT.withName("cache_type"),
            JAVA_INT.withName("quantize"),
            JAVA_INT.withName("reserved2"),
            ADDRESS.withName("affinity"),
            JAVA_LONG.withName("affinity_len"));
    /** {@code mr_request_options}. */
    static final StructLayout REQUEST = MemoryLayout.structLayout(
            JAVA_LONG.withName("struct_size"),
            JAVA_INT.withName("priority"),
            JAVA_INT.withName("reserved"),
            JAVA_LONG.withName("timeout_ms"),
            ADDRESS.withName("principal"),
            JAVA_LONG.withName("principal_len"),
            ADDRESS.withName("entity"),
            JAVA_LONG.withName("entity_len"),
            JAVA_INT.withName("lifecycle"),
            JAVA_INT.withName("whole"));
    /** {@code mr_batch_options}. */
    static final StructLayout BATCH = MemoryLayout.structLayout(
            JAVA_LONG.withName("struct_size"),
            JAVA_INT.withName("concurrency"),
            JAVA_INT.withName("order"),
            ADDRESS.withName("requests"));

    private final StructLayout layout;
    private final Frame frame;
    private final MemorySegment segment;

    OptionStruct(StructLayout layout, Frame frame) {
        this.layout = layout;
        this.frame = frame;
        segment = frame.arena().allocate(layout);
        set("struct_size", layout.byteSize());
    }

    MemorySegment segment() {
        return segment;
    }

    OptionStruct set(String field, long value) {
        segment.set(JAVA_LONG, offset(field), value);
        return this;
    }

    OptionStruct set(String field, int value) {
        segment.set(JAVA_INT, offset(field), value);
        return this;
    }

    OptionStruct set(String field, MemorySegment value) {
        segment.set(ADDRESS, offset(field), value);
        return this;
    }

    /** A text and its length; null leaves the default. */
    OptionStruct text(String field, String value) {
        if (value != null) {
            MemorySegment text = frame.text(value);
            set(field, text).set(field + "_len", text.byteSize());
        }
        return this;
    }

    private long offset(String field) {
        return layout.byteOffset(PathElement.groupElement(field));
    }
}
