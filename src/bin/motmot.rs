//! The program of administrators.

fn main() -> std::process::ExitCode {
    motmot::programs::motmot()
}
