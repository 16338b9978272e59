//! The commands: they read options, call the library, and say what happened. Nothing is computed here.

mod args;
mod augment;
mod bar;
mod bench;
mod devices;
mod evaluate;
mod explain;
mod flow;
mod live;
mod lockstep;
mod open;
mod output;
mod pages;
mod predict;
mod profile;
mod recipes;
mod report;
mod summary;
mod train;
mod tune;
mod verify;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use wgrad::report::{page, text};

use args::{Cli, Command};
use output::{Output, Silenced, complain};

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let started = Instant::now();
    let cli = Cli::parse();
    #[cfg(target_os = "linux")]
    quieten();
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(admit));
    }
    log();
    match run(cli.command, started) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output wants no more of it.
        Err(error) if error.is::<Silenced>() => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}", text::sentence(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, started: Instant) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => train::run(&args, started),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Report(args) => pages::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Lockstep(args) => lockstep::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Augment(args) => augment::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Networks => summary::networks(&Output::new(false)),
        Command::Recipes(args) => recipes::list(&args),
        Command::Recipe(args) => recipes::print(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Flow(args) => flow::run(&args),
    }
}

/// On a machine without a desktop, a Vulkan layer of Mesa's that looks for one writes errors to stderr that are none. Only the
/// environment can switch it off, and that is fixed when a process begins: so begin again, as the same process.
#[cfg(target_os = "linux")]
fn quieten() {
    use std::os::unix::process::CommandExt;
    const SWITCH: &str = "NODEVICE_SELECT";
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() || std::env::var_os(SWITCH).is_some() {
        return;
    }
    let mut words = std::env::args_os();
    if let (Some(name), Ok(program)) = (words.next(), std::env::current_exe()) {
        // Returns only where it failed; then the layer may talk.
        drop(std::process::Command::new(program).arg0(name).args(words).env(SWITCH, "1").exec());
    }
}

/// Warnings are always shown, a line each; what else libraries log is shown where the environment asks for it.
fn log() {
    use tracing_subscriber::EnvFilter;
    let writer = std::io::stderr;
    match EnvFilter::try_from_env("WGRAD_LOG") {
        Ok(filter) => tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).init(),
        Err(_) => {
            let filter = EnvFilter::new("wgrad=warn");
            let plain = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
            plain.with_env_filter(filter).with_writer(writer).init();
        }
    }
}

/// A panic is a mistake of this program: one sentence, and the end.
fn admit(panic: &std::panic::PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("something impossible happened");
    let place = panic.location().map_or(String::new(), |at| format!(" ({}:{})", at.file(), at.line()));
    complain(&format!("error: this is a mistake in wgrad, please report it: {}{place}", text::sentence(what)));
    std::process::exit(1);
}
