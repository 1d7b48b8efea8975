//! The program: argv in, exit code out.

fn main() -> std::process::ExitCode {
    slowfs::cli::run(std::env::args_os())
}
