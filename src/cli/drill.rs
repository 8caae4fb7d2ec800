//! `spillgate drill`: the fault-injecting upstream as a process.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::block_on;
use crate::cli::signals::Signals;
use crate::testing::Drill;

/// What `drill` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG)]
pub(crate) struct DrillArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "SPILLGATE_LISTEN", default_value = "127.0.0.1:0")]
    listen: String,
    /// Listeners, each a host of its own to its clients; further ones have free ports
    #[arg(long, value_name = "N", env = "SPILLGATE_HOSTS", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    hosts: u16,
    /// Makes chance repeat: the jitter of /delay
    #[arg(long, value_name = "N", env = "SPILLGATE_SEED", default_value_t = 0)]
    seed: u64,
    /// Scenarios for /scenario/NAME (TOML)
    #[arg(long, value_name = "FILE", env = "SPILLGATE_SCRIPT")]
    script: Option<PathBuf>,
    /// Speak TLS, with a certificate for localhost made on the spot
    #[arg(long, env = "SPILLGATE_TLS", value_parser = clap::builder::FalseyValueParser::new())]
    tls: bool,
    /// File for the authority that signed the certificate (PEM), for `fetch --ca`
    #[arg(long, value_name = "FILE", env = "SPILLGATE_CA_OUT", requires = "tls")]
    ca_out: Option<PathBuf>,
}

/// Runs `drill`.
pub(crate) fn run(args: &DrillArgs) -> ExitCode {
    let exit = start(args).and_then(|drill| block_on(serve(drill))?);
    exit.unwrap_or_else(|failure| failure.tell()).code()
}

fn start(args: &DrillArgs) -> Result<Drill, Failure> {
    let builder = Drill::builder().listen(&args.listen).hosts(args.hosts.into()).seed(args.seed);
    let builder = if args.tls { builder.tls() } else { builder };
    let builder = match &args.script {
        Some(path) => builder.script_file(path),
        None => builder,
    };
    let drill = builder.start().map_err(|error| refused(args, &error))?;
    if let (Some(path), Some(pem)) = (&args.ca_out, drill.ca_pem()) {
        std::fs::write(path, pem).map_err(|error| {
            Failure::usage(format!("--ca-out {}: cannot be written: {error}", path.display()))
        })?;
    }
    Ok(drill)
}

fn refused(args: &DrillArgs, error: &io::Error) -> Failure {
    let script = args.script.as_ref().map(|path| path.display().to_string());
    // Errors of a script name its file and place.
    if script.is_some_and(|path| error.to_string().starts_with(&path)) {
        return Failure::usage(format!("--script {error}"));
    }
    let failure = Failure::usage(format!("--listen {error}"));
    failure.hint(if error.kind() == io::ErrorKind::AddrInUse {
        "something listens there already; port 0 takes a free one"
    } else {
        "expected an address of this machine, such as 127.0.0.1:8080"
    })
}

async fn serve(drill: Drill) -> Result<Exit, Failure> {
    let mut signals = Signals::catch()?;
    let scheme = if drill.ca_pem().is_some() { "https" } else { "http" };
    let mut stdout = io::stdout();
    for address in drill.addrs() {
        // The drill serves whether or not anybody reads this.
        let _ = writeln!(stdout, "listening on {scheme}://{address}");
    }
    let _ = stdout.flush();
    signals.next().await;
    let told = drill.read(|ledger| {
        format!(
            "{} requests over {} connections, at most {} at once, {} given up by their clients",
            ledger.hits(),
            ledger.connections(),
            ledger.peak(),
            ledger.aborted_in_all()
        )
    });
    let _ = writeln!(io::stderr(), "{told}");
    Ok(Exit::Fine)
}

const EXAMPLES: &str = "\
Example:
  spillgate drill --listen 127.0.0.1:8080";

const LONG: &str = "\
Paths:
  /ok?bytes=N&type=json      an answer of 200
  /status/503?times=2&key=K  that status, for the first hits of its key; retry_after=S|date
  /flap?ok=A&fail=B&key=K    A good answers, then B of 503, and so on
  /delay/MS?jitter=MS        an answer that comes late
  /slow?bytes=N&chunk=N&every=MS, /drip?bps=N    a body that comes slowly
  /stall?after=BYTES, /reset?after=BYTES, /close, /truncate?bytes=N    answers that break
  /redirect/N?to=URL, /etag?v=V&max_age=S, /vary, /gzip?bytes=N, /problem/CODE
  /echo                      what was received, as JSON
  /scenario/NAME             a scripted sequence
  /count?key=K, /inflight    what was counted, as JSON

Examples:
  spillgate drill --listen 127.0.0.1:8080
  spillgate drill --tls --ca-out ca.pem";
