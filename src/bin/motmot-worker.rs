//! The part of a stage that runs as the job's account. Started by the stage binaries only.

fn main() -> std::process::ExitCode {
    motmot::programs::worker()
}
