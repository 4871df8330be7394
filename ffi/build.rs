//! The shared library's name for the dynamic linker. Within one 0.x it only gains functions, from 1.0 on within one major
//! version; cargo-c names it by the same rule when it builds the library.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let interface = match (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")) {
            ("0", minor) => format!("0.{minor}"),
            (major, _) => major.to_owned(),
        };
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmodel_runtime.so.{interface}");
        // Static archives of dependencies may carry C symbols of their own: none of them is ours to export.
        println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
}
