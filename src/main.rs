//! The command `poolwise`.

fn main() -> std::process::ExitCode {
    poolwise::cli::main()
}
