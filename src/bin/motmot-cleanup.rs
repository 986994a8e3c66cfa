//! The `cleanup_exec` of a GitLab Runner custom executor.

fn main() -> std::process::ExitCode {
    motmot::programs::cleanup()
}
