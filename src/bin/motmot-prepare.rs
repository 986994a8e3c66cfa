//! The `prepare_exec` of a GitLab Runner custom executor.

fn main() -> std::process::ExitCode {
    motmot::programs::prepare()
}
