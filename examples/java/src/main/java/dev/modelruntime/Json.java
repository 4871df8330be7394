// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.reflect.Array;
import java.util.Map;

/** Values as JSON text. That is all the JSON that this package makes; it reads none. */
final class Json {
    private Json() {}

    /** JSON text that is put in as it is. */
    record Raw(String text) {}

    /**
     * A value as JSON: null, texts, booleans, numbers, and maps, collections and arrays of those.
     *
     * @throws IllegalArgumentException if it is something else, or a number that JSON has not
     */
    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        switch (value) {
            case null -> out.append("null");
            case Raw raw -> out.append(raw.text());
            case CharSequence text -> quote(text, out);
            case Boolean bool -> out.append(bool);
            case Double number when !Double.isFinite(number) -> throw noJson(value);
            case Float number when !Float.isFinite(number) -> throw noJson(value);
            case Number number -> out.append(number);
            case Map<?, ?> map -> writeMap(map, out);
            case Iterable<?> items -> writeItems(items, out);
            case Object array when array.getClass().isArray() -> writeArray(array, out);
            default -> throw noJson(value);
        }
    }

    private static IllegalArgumentException noJson(Object value) {
        return new IllegalArgumentException(value + " (" + value.getClass().getName() + ") has no form in JSON");
    }

    private static void writeMap(Map<?, ?> map, StringBuilder out) {
        String separator = "";
        out.append('{');
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(separator);
            quote(String.valueOf(entry.getKey()), out);
            out.append(':');
            write(entry.getValue(), out);
            separator = ",";
        }
        out.append('}');
    }

    private static void writeItems(Iterable<?> items, StringBuilder out) {
        String separator = "";
        out.append('[');
        for (Object item : items) {
            out.append(separator);
            write(item, out);
            separator = ",";
        }
        out.append(']');
    }

    private static void writeArray(Object array, StringBuilder out) {
        out.append('[');
        for (int i = 0; i < Array.getLength(array); i++) {
            if (i > 0) {
                out.append(',');
            }
            write(Array.get(array, i), out);
        }
        out.append(']');
    }

    private static void quote(CharSequence text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append("\\u00").append(Character.forDigit(c >> 4, 16)).append(Character.forDigit(c & 15, 16));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
