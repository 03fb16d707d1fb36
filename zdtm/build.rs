//! Hands the target's triple to the program: the cases' binary lies in a directory of that name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=ZDTM_TRIPLE={}", std::env::var("TARGET").expect("cargo sets TARGET"));
}
