//! Fifty callers at once before a slow origin: what each waits, and how often the origin is asked.
//!
//! `cargo bench -p spillgate-benches --bench stampede`. Each line has its bound; the process ends with
//! 1 if one is missed. The proxy is `spillgate serve` in a process of its own, with both presets; the
//! cautious one has six slots for a host, so what must be asked for each caller alone waits there for
//! a slot, and only counts are held to a bound. The library shares a flight among requests that are
//! byte for byte the same, storable or not, so an uncacheable burst of one identity is one request
//! there; with `no_coalesce` it is fifty.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

mod cases;
mod crowd;
mod leaks;
mod lines;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use spillgate::Client;
use spillgate_benches::child::{self, Server};
use spillgate_benches::origin::Origin;

use crowd::Way;
use lines::Bench;
use table::Table;

fn main() -> ExitCode {
    if child::is_spillgate() {
        return spillgate::cli::main();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let met = runtime.expect("the runtime starts").block_on(measure());
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure() -> bool {
    let origin = Origin::start(cases::say).expect("the origin listens");
    let mut table = Table::new();
    for (name, preset, slots) in
        [("serve, conformance", "conformance", CALLERS), ("serve, cautious", "cautious", 6)]
    {
        let server = Server::spillgate(origin.addr(), preset).expect("the sidecar starts");
        table.way(name);
        let way = Way::Proxy(server.addr());
        Bench { way, origin: &origin, name: preset, slots, shares_all: false }
            .measure(&mut table)
            .await;
    }
    let client = client();
    table.way("library");
    let way = Way::Library(client.clone(), origin.addr());
    Bench { way, origin: &origin, name: "library", slots: CALLERS, shares_all: true }
        .measure(&mut table)
        .await;
    client.shutdown(Duration::from_secs(1)).await;
    table.is_met()
}

/// A client with a slot for each caller, and no retries: these would be more requests.
fn client() -> Client {
    let slots = u32::try_from(CALLERS).expect("they are few");
    Client::builder()
        .defaults(|config| {
            config.limits.global = slots;
            config.defaults.concurrency = slots;
            config.defaults.limit.floor = slots;
            config.defaults.retry.attempts_max = 1;
        })
        .build()
        .expect("the client builds")
}

/// How many come at once.
pub(crate) const CALLERS: usize = 50;
/// How long the origin takes.
pub(crate) const ORIGIN: Duration = Duration::from_millis(300);
