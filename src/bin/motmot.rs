//! The program of admins and jobs.

fn main() -> std::process::ExitCode {
    motmot::admin::command_line::main()
}
