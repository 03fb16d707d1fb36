//! The suite's harness, `cargo zdtm`: lists the cases, runs them with an engine, measures engines.
//!
//! It runs the engine as a binary and never links it. The three hidden commands are the harness's own processes
//! inside a cell (see `cell`).

mod bench;
mod build;
mod cell;
mod ci;
mod cli;
mod damage;
mod declare;
mod event;
mod gate;
mod list;
mod needs;
mod pool;
mod process;
mod report;
mod route;
mod run;
mod setting;
mod stats;
mod sys;
mod vm;
mod witness;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if stasis_qemu::guest::is_init() {
        stasis_qemu::guest::init();
    }
    let result = match cli::Cli::parse().command {
        cli::Command::List(args) => list::list(&args),
        cli::Command::Build => build::Paths::locate(None).and_then(|p| p.build(true)).map(|()| ExitCode::SUCCESS),
        cli::Command::Run(args) if args.arch.is_some() || args.kernel.is_some() => vm::run::run(&args),
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Vm(args) => vm::shell::run(&args),
        cli::Command::Bench(args) => bench::run(&args),
        cli::Command::Ci(args) => ci::run(&args),
        cli::Command::Worker { spec } => cell::worker::main(&spec),
        cli::Command::Init { spec } => cell::init::main(&spec),
        cli::Command::Start { session, flavour, cases, case, dir } => {
            cell::start::main((session, flavour), &cases, &case, &dir)
        }
    };
    result.unwrap_or_else(|e| {
        eprintln!("zdtm: {e:#}");
        ExitCode::FAILURE
    })
}
