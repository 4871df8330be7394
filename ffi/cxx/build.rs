//! Writes the header of the bridge and compiles its C++ side.

fn main() {
    cxx_build::bridge("src/lib.rs").std("c++17").compile("model_runtime_cxx_bridge");
    println!("cargo::rerun-if-changed=src/lib.rs");
}
