//! The `leaksnap` command; everything is in the library.

fn main() -> std::process::ExitCode {
    leaksnap::command(std::env::args_os())
}
