// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Programs in processes of their own, with the package as a module. */
class ProcessTest {
    private static final String LIBRARY = System.getProperty("modelruntime.library");

    private record Result(int status, String output) {}

    private static Result run(Path source, String... options) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--module-path", System.getProperty("modelruntime.classes"),
                "--add-modules", "dev.modelruntime",
                "--enable-native-access=dev.modelruntime"));
        command.addAll(List.of(options));
        command.add(source.toString());
        Process process = new ProcessBuilder(command)
                .directory(Models.ROOT.toFile()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), output);
    }

    private static String[] library() {
        return LIBRARY == null || LIBRARY.isBlank()
                ? new String[0]
                : new String[] {"-Dmodelruntime.library=" + LIBRARY};
    }

    private static Path program(Path folder, String body) throws IOException {
        return Files.writeString(folder.resolve("Program.java"), """
                import dev.modelruntime.*;
                import java.nio.file.Path;
                public class Program {
                    public static void main(String[] args) throws Exception {
                        %s
                    }
                }
                """.formatted(body));
    }

    @Test
    void theQuickstartIsTheReadmesAndRuns() throws Exception {
        Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(Models.ROOT.resolve("README.md")));
        assertTrue(block.find());
        Path quickstart = Models.ROOT.resolve("examples/java/Quickstart.java");
        String code = Files.readString(quickstart);
        assertEquals(block.group(1), code.substring(code.indexOf("import ")));
        Result result = run(quickstart, library());
        assertEquals(0, result.status(), result.output());
        assertTrue(result.output().startsWith(", there was a little girl named Lily."), result.output());
    }

    @Test
    void aProcessMayEndWhileItGenerates(@TempDir Path folder) throws Exception {
        Path source = program(folder, """
                ModelRuntime runtime = ModelRuntime.builder().clock(java.time.Clock.systemUTC()).build();
                        runtime.serve("stories", Path.of("examples/models/stories260K"));
                        for (int i = 0; i < 40; i++) {
                            Generation generation = runtime.completeStream(
                                    CompletionRequest.builder("stories", "Once").maxTokens(480).build());
                            if (i % 8 == 0) generation.next();
                        }
                        System.out.print("end");""");
        for (int i = 0; i < 3; i++) {
            assertEquals(new Result(0, "end"), run(source, library()));
        }
    }

    @Test
    void aLibraryThatIsMissingIsSaidToBe(@TempDir Path folder) throws Exception {
        Path source = program(folder, """
                for (int i = 0; i < 2; i++) {
                            try {
                                ModelRuntime.create();
                            } catch (UnsatisfiedLinkError error) {
                                System.out.println(error.getMessage());
                            }
                        }""");
        Result named = run(source, "-Dmodelruntime.library=/nowhere/libnothing.so");
        assertEquals(0, named.status(), named.output());
        assertEquals(2, named.output().split("cannot be loaded from /nowhere/libnothing.so", -1).length - 1, named.output());
        Path empty = Files.writeString(folder.resolve("libempty.so"), "no library");
        assertTrue(run(source, "-Dmodelruntime.library=" + empty).output().contains("cannot be loaded from"), "empty");
    }
}
