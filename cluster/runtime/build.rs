//! Compiles the program of the built-in images: static, small, with nothing but the standard library.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=builtin");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("tools");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let mut command = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    command.args(["builtin/main.rs", "--crate-name", "tools", "--edition", "2024", "--target", &target]);
    for option in [
        "target-feature=+crt-static",
        "relocation-model=static",
        "opt-level=z",
        "panic=abort",
        "strip=symbols",
        "lto=fat",
        "codegen-units=1",
    ] {
        command.args(["-C", option]);
    }
    let status = command.arg("-o").arg(&out).status().expect("run rustc");
    assert!(status.success(), "compiling the built-in program failed");
}
