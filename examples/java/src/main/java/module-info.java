// SPDX-License-Identifier: MIT OR Apache-2.0

/**
 * Foundation models in your own process: chat, completions and embeddings on open models, batched across all callers.
 *
 * <p>It calls the native library {@code model_runtime} through the foreign function API, so it has to be run with
 * {@code --enable-native-access=dev.modelruntime} ({@code ALL-UNNAMED} on the class path). See
 * {@link dev.modelruntime.ModelRuntime}.
 */
module dev.modelruntime {
    exports dev.modelruntime;
}
