//! The program of admins and jobs.

fn main() -> std::process::ExitCode {
    motmot::programs::motmot()
}
