//! The admin's and the job's program.
use clap::Parser;

#[derive(Parser)]
struct Program {
    /// The driver's configuration file
    #[arg(long, global = true, default_value = "/etc/motmot/config.toml")]
    config: std::path::PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Simulate(Box<motmot::admin::simulate::SimulateArgs>),
}

fn main() -> std::process::ExitCode {
    let program = Program::parse();
    match program.verb {
        Verb::Simulate(args) => motmot::admin::simulate::main(*args, &program.config),
    }
}
