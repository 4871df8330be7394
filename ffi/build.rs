//! The shared library's name for the dynamic linker. Within one 0.x it only gains functions.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmodel_runtime.so.0.1");
        // Static archives of dependencies may carry C symbols of their own: none of them is ours to export.
        println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
}
