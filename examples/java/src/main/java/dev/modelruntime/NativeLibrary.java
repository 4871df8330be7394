// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Path;

/**
 * Finds the native library, once, and links its functions.
 *
 * <p>What went wrong is kept and told to everybody who asks, in full: a failing static initializer would tell the first
 * caller about itself and everybody after that nothing at all.
 */
@SuppressWarnings("restricted") // Foreign functions are what this package is for; the module descriptor says so.
final class NativeLibrary {
    /** The system property with the library's file. */
    static final String PROPERTY = "modelruntime.library";
    /** What {@code mr_abi_version} has to answer; another number means another SONAME. */
    static final int ABI_VERSION = 1;

    private static final Linker LINKER = Linker.nativeLinker();

    private NativeLibrary() {}

    private static final class Loaded {
        static final SymbolLookup SYMBOLS;
        static final String PROBLEM;

        static {
            SymbolLookup symbols = null;
            String problem = null;
            try {
                symbols = find();
                checkAbi(symbols);
            } catch (UnsatisfiedLinkError | RuntimeException error) {
                problem = error.getMessage() == null ? error.toString() : error.getMessage();
            }
            SYMBOLS = symbols;
            PROBLEM = problem;
        }
    }

    /**
     * Makes sure that the library is there.
     *
     * @throws UnsatisfiedLinkError if it is not; the message says where it was looked for
     */
    static void load() {
        if (Loaded.PROBLEM != null) {
            throw new UnsatisfiedLinkError(Loaded.PROBLEM);
        }
    }

    /** A function of the library. */
    static MethodHandle link(String name, FunctionDescriptor descriptor) {
        load();
        return link(Loaded.SYMBOLS, name, descriptor);
    }

    /** A function pointer that calls a static method, for as long as the process lives. It must never throw. */
    static java.lang.foreign.MemorySegment stub(
            MethodHandles.Lookup lookup, String method, MethodType type, FunctionDescriptor descriptor) {
        try {
            MethodHandle target = lookup.findStatic(lookup.lookupClass(), method, type);
            return LINKER.upcallStub(target, descriptor, Arena.global());
        } catch (ReflectiveOperationException error) {
            throw new AssertionError(error);
        }
    }

    private static MethodHandle link(SymbolLookup symbols, String name, FunctionDescriptor descriptor) {
        return symbols.find(name)
                .map(address -> LINKER.downcallHandle(address, descriptor))
                .orElseThrow(() -> new UnsatisfiedLinkError(
                        "the native library of model-runtime has no function " + name
                                + "; it is older than this package"));
    }

    private static SymbolLookup find() {
        if (ValueLayout.ADDRESS.byteSize() != Long.BYTES) {
            throw new UnsatisfiedLinkError("model-runtime needs a 64-bit Java");
        }
        String file = System.getProperty(PROPERTY, "");
        if (!file.isBlank()) {
            try {
                return SymbolLookup.libraryLookup(Path.of(file), Arena.global());
            } catch (IllegalArgumentException error) {
                throw new UnsatisfiedLinkError("the native library of model-runtime cannot be loaded from " + file
                        + ", which the system property " + PROPERTY + " names: " + error.getMessage());
            }
        }
        String versioned = System.getProperty("os.name", "").startsWith("Mac")
                ? "libmodel_runtime.0.1.dylib"
                : "libmodel_runtime.so.0.1";
        try {
            return SymbolLookup.libraryLookup(versioned, Arena.global());
        } catch (IllegalArgumentException notOnTheSystemsPath) {
            return fromJavaPath(versioned);
        }
    }

    private static SymbolLookup fromJavaPath(String versioned) {
        try {
            System.loadLibrary("model_runtime");
            return SymbolLookup.loaderLookup();
        } catch (UnsatisfiedLinkError error) {
            throw new UnsatisfiedLinkError("the native library of model-runtime was not found: the system's linker knows no "
                    + versioned + ", and java.library.path (" + System.getProperty("java.library.path") + ") has no "
                    + System.mapLibraryName("model_runtime") + "; install it, name its folder in LD_LIBRARY_PATH, or its"
                    + " file with -D" + PROPERTY + "=FILE (" + error.getMessage() + ")");
        }
    }

    private static void checkAbi(SymbolLookup symbols) {
        MethodHandle version = link(symbols, "mr_abi_version", FunctionDescriptor.of(ValueLayout.JAVA_INT));
        int found;
        try {
            found = (int) version.invokeExact();
        } catch (Throwable error) {
            throw new AssertionError(error);
        }
        if (found != ABI_VERSION) {
            throw new UnsatisfiedLinkError("the native library of model-runtime has the binary interface " + found
                    + ", but this package was made for " + ABI_VERSION);
        }
    }
}
