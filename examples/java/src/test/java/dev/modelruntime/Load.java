// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The load client of {@code tests/conformance}: {@code Load ROOT --seconds N --callers M --report FILE}. */
public final class Load {
    private static final long SLACK = 32L << 20;

    private Load() {}

    /** Runs the load; the exit status is 1 if something was wrong or memory has grown. */
    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length != 7) {
            System.err.println("usage: Load ROOT --seconds N --callers M --report FILE");
            System.exit(2);
        }
        Path root = Path.of(args[0]);
        int seconds = Integer.parseInt(option(args, "--seconds"));
        int callers = Integer.parseInt(option(args, "--callers"));
        Path report = Path.of(option(args, "--report"));

        LoadTally tally = new LoadTally();
        long early;
        long end;
        try (ModelRuntime runtime = ModelRuntime.create()) {
            runtime.serve("stories", root.resolve("examples/models/stories260K"));
            runtime.serve("minilm", root.resolve("examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf"));
            LoadCaller.Alone alone = LoadCaller.Alone.ask(runtime);
            long begun = System.nanoTime();
            long until = begun + seconds * 1_000_000_000L;
            List<Thread> threads = new ArrayList<>();
            for (int c = 0; c < callers; c++) {
                LoadCaller caller = new LoadCaller(runtime, alone, tally, c, until);
                threads.add(Thread.ofVirtual().start(caller));
            }
            Thread.sleep(seconds * 1000L / 5);
            early = residentBytes();
            for (Thread thread : threads) {
                thread.join();
            }
            end = residentBytes();
        }

        ObjectNode json = Conformance.JSON.createObjectNode();
        json.put("language", "java").put("callers", callers).put("seconds", seconds);
        tally.report(json);
        json.put("rss_early_bytes", early).put("rss_end_bytes", end);
        Files.writeString(report, json + System.lineSeparator());
        System.out.println(json);
        boolean grown = end > early + early / 10 + SLACK;
        System.exit(tally.isWrong() || grown ? 1 : 0);
    }

    private static String option(String[] args, String name) {
        for (int i = 1; i + 1 < args.length; i += 2) {
            if (args[i].equals(name)) {
                return args[i + 1];
            }
        }
        throw new IllegalArgumentException(name + " is missing");
    }

    /** What the process has in memory once its garbage is collected. */
    private static long residentBytes() throws IOException {
        System.gc();
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
        }
        throw new IOException("/proc/self/status has no VmRSS");
    }
}
