// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Does the cases of {@code tests/conformance} and writes down every answer: {@code Conformance CASES ROOT SCRATCH OUTPUT}. */
public final class Conformance {
    static final ObjectMapper JSON = new ObjectMapper()
            // Numbers stay as they were written.
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .enable(DeserializationFeature.USE_BIG_INTEGER_FOR_INTS);

    private Conformance() {}

    /**
     * Runs all cases.
     *
     * @param args the file of cases, the repository, an empty folder, the file to write
     */
    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length != 4) {
            System.err.println("usage: Conformance CASES ROOT SCRATCH OUTPUT");
            System.exit(2);
        }
        String root = Path.of(args[1]).toAbsolutePath().normalize().toString();
        String scratch = Path.of(args[2]).toAbsolutePath().normalize().toString();
        String cases = Files.readString(Path.of(args[0])).replace("@ROOT@", root).replace("@SCRATCH@", scratch);
        try (BufferedWriter output = Files.newBufferedWriter(Path.of(args[3]))) {
            for (JsonNode one : JSON.readTree(cases)) {
                ObjectNode line = JSON.createObjectNode();
                line.set("case", one.get("name"));
                line.set("results", run(one));
                output.write(JSON.writeValueAsString(line));
                output.newLine();
                output.flush();
            }
        }
    }

    private static ArrayNode run(JsonNode one) throws InterruptedException {
        ArrayNode results = JSON.createArrayNode();
        ModelRuntimeBuilder builder = ModelRuntime.builder();
        HostTime time = null;
        if (one.hasNonNull("start")) {
            time = new HostTime(one.get("start").asText());
            builder.clock(time, time::nanos);
        }
        if (one.hasNonNull("database")) {
            builder.database(Path.of(one.get("database").asText()));
        }
        if (one.hasNonNull("catalog")) {
            builder.catalog(one.get("catalog").asText());
        }
        try (ModelRuntime runtime = builder.build()) {
            ConformanceSteps steps = new ConformanceSteps(runtime, time);
            for (JsonNode step : one.get("steps")) {
                results.add(steps.result(step));
            }
        }
        return results;
    }
}
