//! `spillgate demo`: a service with failing upstreams, all on this machine, and what comes of it.
//!
//! Four parties count: the callers their calls and answers, the client's actors what they do, the
//! transport what goes on the wire, the upstreams what reaches them. At the end the four must
//! agree, and the demo's exit code says whether they did.

mod audit;
mod chronicle;
mod facts;
mod meter;
mod screen;
mod service;
mod show;
mod signals;
mod summary;
mod table;
mod tally;
mod upstreams;
mod workload;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::builder::FalseyValueParser;

use self::show::Show;
use crate::chaos::Chaos;
use crate::cli::chaos;
use crate::cli::exit::Exit;

/// What `demo` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Runs for this long; 0 runs until Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 30, env = "SPILLGATE_SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    seconds: u64,
    /// Also exports the traces to this collector, such as `http://127.0.0.1:4318`.
    #[arg(long, value_name = "URL", env = "SPILLGATE_OTLP")]
    otlp: Option<String>,
    /// Prints one JSON object at the end, and all talk on stderr.
    #[arg(long, env = "SPILLGATE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Seeds the callers, the upstreams and the jitter.
    #[arg(long, value_name = "N", default_value_t = 1, env = "SPILLGATE_SEED")]
    seed: u64,
    /// Starts this many upstreams.
    #[arg(long, value_name = "N", default_value_t = 5, env = "SPILLGATE_HOSTS")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=32))]
    hosts: u8,
    /// Injects faults of the client's own beside those of the upstreams, such as
    /// latency=0.1:200ms-800ms,error=0.05:connection_refused,seed=7.
    #[arg(long, value_name = "SPEC", env = "SPILLGATE_CHAOS", value_parser = chaos::line)]
    chaos: Option<Chaos>,
}

/// Why there was nothing to see.
struct Failure {
    exit: Exit,
    text: String,
}

/// Runs `demo`.
pub(crate) fn run(args: DemoArgs) -> ExitCode {
    let exit = perform(args).unwrap_or_else(|failure| {
        let _ = writeln!(io::stderr(), "error: {}", failure.text);
        failure.exit
    });
    exit.code()
}

fn perform(args: DemoArgs) -> Result<Exit, Failure> {
    let show = Show::begin(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| {
            Failure::new(Exit::Usage, "the service cannot have its threads", &cause)
        })?;
    let exit = runtime.block_on(show.run());
    // Whoever interrupts twice waits for nobody.
    runtime.shutdown_background();
    exit
}

impl Failure {
    fn new(exit: Exit, what: &str, cause: &dyn std::fmt::Display) -> Self {
        Self { exit, text: format!("{what}: {cause}") }
    }
}
