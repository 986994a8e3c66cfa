//! The `cleanup_exec` of a GitLab Runner custom executor.

fn main() -> std::process::ExitCode {
    motmot::stage::main(motmot::stage::cleanup::main)
}
