// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The fields of a request that is being put together. Nothing is checked here: the library knows which fields there are and
 * which values they may have, and refuses others by name.
 *
 * @param <B> the builder itself
 */
public abstract sealed class RequestBuilder<B extends RequestBuilder<B>> permits GenerationBuilder, EmbeddingRequest.Builder {
    private final Map<String, Object> fields = new LinkedHashMap<>();

    RequestBuilder(String model) {
        fields.put("model", Objects.requireNonNull(model, "model"));
    }

    /**
     * Any field of the request, also one that this class has no method for. The last value of a field counts.
     *
     * @param name the field's name in JSON
     * @param value null, a text, boolean or number, or maps, collections and arrays of those
     * @return this
     * @throws IllegalArgumentException if the value is something else
     */
    public B extra(String name, Object value) {
        Json.write(value);
        return put(name, value);
    }

    /**
     * Any field of the request, its value as JSON text.
     *
     * @param name the field's name in JSON
     * @param json the value, put in as it is
     * @return this
     */
    public B extraJson(String name, String json) {
        return put(name, new Json.Raw(Objects.requireNonNull(json, "json")));
    }

    /**
     * Whom limits, fairness and usage know the request by, where {@link RequestOptions.Builder#principal} does not say it.
     *
     * @param user a name
     * @return this
     */
    public B user(String user) {
        return put("user", user);
    }

    B put(String name, Object value) {
        fields.put(Objects.requireNonNull(name, "name"), value);
        return self();
    }

    String json() {
        return Json.write(fields);
    }

    abstract B self();
}
