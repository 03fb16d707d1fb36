//! The command line of `cargo zdtm`.

use crate::route::Route;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Starts tricky processes, dumps and restores them with an engine, and compares.
#[derive(Parser)]
#[command(name = "cargo zdtm")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands; the hidden ones are the harness's own processes inside a cell.
#[derive(Subcommand)]
pub enum Command {
    /// List the cases with their routes and what they show
    List(ListArgs),
    /// Build the engine and the cases
    Build,
    /// Build everything, run the cases and report
    Run(RunArgs),
    /// A shell in a machine of QEMU, with the engine, the harness and the cases in it
    Vm(VmArgs),
    /// Measure engines: wall time of dump and restore, time frozen, size of the images
    Bench(BenchArgs),
    /// Run the matrix of ci/matrix.yaml, machine after machine, and make one page of the results
    Ci(CiArgs),
    /// The process that opens a cell's namespaces
    #[command(name = "__worker", hide = true)]
    Worker {
        /// The cell's specification (JSON).
        spec: PathBuf,
    },
    /// The first process of a cell, which runs the route
    #[command(name = "__init", hide = true)]
    Init {
        /// The cell's specification (JSON).
        spec: PathBuf,
    },
    /// Becomes a case: a clean state, then exec
    #[command(name = "__start", hide = true)]
    Start {
        /// In whose session.
        #[arg(long)]
        session: Session,
        /// In what surroundings.
        #[arg(long)]
        flavour: Flavour,
        /// The cases' binary.
        cases: PathBuf,
        /// `area/case`.
        case: String,
        /// The scratch directory.
        dir: PathBuf,
    },
}

/// Arguments of `ci`.
#[derive(Args)]
pub struct CiArgs {
    /// Only this job: a machine of the matrix (may be given several times)
    #[arg(long, value_name = "NAME")]
    pub job: Vec<String>,
    /// What is run: `push` or `nightly`
    #[arg(long, default_value = "push")]
    pub plan: String,
    /// The page to write [default: target/zdtm/report.html]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print the jobs of the plan
    #[arg(long)]
    pub list: bool,
    /// Print the workflow of the public CI service
    #[arg(long)]
    pub workflow: bool,
    /// Run nothing: make the page of the records in a directory (those of a run are in target/zdtm/ci)
    #[arg(long, value_name = "DIR")]
    pub merge: Option<PathBuf>,
}

/// What the engine that restores a case has about it, and its children would have from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restorer {
    /// What the harness has: the defaults.
    Plain,
    /// Attributes that differ from the defaults, where a process can give them up again.
    Odd,
}

/// Who leads the session that a case starts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Session {
    /// The case's root process.
    Own,
    /// A process outside the tree, as a job of a shell.
    Shell,
    /// The same on a terminal, of which the job is in the foreground.
    Terminal,
    /// A process outside the pid namespace.
    Outside,
}

impl Session {
    /// The name in declarations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Session::Own => "own",
            Session::Shell => "shell",
            Session::Terminal => "terminal",
            Session::Outside => "outside",
        }
    }
}

/// In what surroundings a case runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// As is: in the host's namespaces, save that pids are the cell's own.
    Host,
    /// In IPC and UTS namespaces of its own, which the engine is not in.
    Ns,
}

impl Flavour {
    /// The name in declarations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Flavour::Host => "host",
            Flavour::Ns => "ns",
        }
    }
}

/// Arguments of `list`.
#[derive(Args)]
pub struct ListArgs {
    /// Only cases whose name (`area/case`) contains one of these
    pub filters: Vec<String>,
    /// Print JSON: an array of `{name, about, routes, flavours, missing}`
    #[arg(long)]
    pub json: bool,
    /// Use the binaries that are there instead of building
    #[arg(long)]
    pub prebuilt: bool,
}

/// Arguments of `run`.
#[derive(Args)]
pub struct RunArgs {
    /// Only cases whose name (`area/case`) contains one of these
    pub filters: Vec<String>,
    /// Filters are whole names
    #[arg(long)]
    pub exact: bool,
    /// How many cells run side by side
    #[arg(short, long, default_value_t = 2, value_name = "N")]
    pub jobs: usize,
    /// Only these flavours (several by commas)
    #[arg(long, value_delimiter = ',')]
    pub flavour: Vec<Flavour>,
    /// Only these routes (several by commas); `none` runs the cases without an engine
    #[arg(long, value_delimiter = ',')]
    pub route: Vec<Route>,
    /// Run everything this many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub repeat: usize,
    /// An engine with CRIU's command line, instead of the one built here
    #[arg(long, value_name = "PATH", conflicts_with_all = ["arch", "kernel"])]
    pub engine: Option<PathBuf>,
    /// In a machine of QEMU with this CPU: aarch64, ppc64le, s390x, x86_64
    #[arg(long, value_name = "ARCH", value_parser = arch)]
    pub arch: Option<String>,
    /// In a machine of QEMU with this kernel, as 6.1 [default: the recipe's first]
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Print events as lines of JSON, for the harness outside of a machine
    #[arg(long, hide = true)]
    pub events: bool,
    /// Leave images, logs and scratch files of failed runs under target/zdtm/failures
    #[arg(long)]
    pub keep: bool,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Use the binaries that are there instead of building
    #[arg(long)]
    pub prebuilt: bool,
    /// What the random instants of the route kill-engine derive from [default: the clock]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How often the route kill-engine kills the engine
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub kills: usize,
    /// Multiply every time limit, for slow machines
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub patience: f64,
}

/// Arguments of `vm`.
#[derive(Args)]
pub struct VmArgs {
    /// The machine: aarch64, ppc64le, s390x, x86_64
    #[arg(long, default_value = "x86_64", value_name = "ARCH", value_parser = arch)]
    pub arch: String,
    /// Its kernel, as 6.12 [default: the recipe's first]
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// QEMU waits for a debugger before the first instruction
    #[arg(long)]
    pub gdb: bool,
    /// Use the binaries that are there instead of building
    #[arg(long)]
    pub prebuilt: bool,
    /// Run this instead of a shell, print its lines, exit with its status
    #[arg(last = true, conflicts_with = "gdb")]
    pub command: Vec<String>,
}

/// The name of a machine, as the recipes have it.
fn arch(name: &str) -> Result<String, String> {
    stasis_qemu::Recipe::load(name).map(|recipe| recipe.name).map_err(|e| format!("{e:#}"))
}

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Only shapes whose name contains one of these (`cargo zdtm list bench` lists them)
    pub shapes: Vec<String>,
    /// Measure this engine too, in turn with the first, and print the ratios
    #[arg(long, value_name = "ENGINE")]
    pub vs: Option<PathBuf>,
    /// An engine with CRIU's command line, instead of the one built here
    #[arg(long, value_name = "PATH")]
    pub engine: Option<PathBuf>,
    /// How often each engine does each shape
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub rounds: usize,
    /// Write all rounds, medians and ratios as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Use the binaries that are there instead of building
    #[arg(long)]
    pub prebuilt: bool,
    /// Multiply every time limit, for slow machines
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub patience: f64,
}
