//! How many cache hits a second, in pairs, A B A B, as ratios: the library beside http-cache-reqwest,
//! and `spillgate serve` beside nginx and Varnish.
//!
//! `cargo bench -p spillgate-benches --bench cache_hits`. Ratios hold on a noisy machine where single
//! figures do not; beside them stands what a hit costs of a processor, which holds better still. All
//! proxies are processes of their own before the same origin, with two workers, and are asked by the
//! same client of raw bytes over kept connections. The origin is asked once for each, or the bench
//! ends.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

mod cost;
mod library;
mod peers;
mod proxies;

use std::process::ExitCode;
use std::time::Duration;

use spillgate_benches::child;
use spillgate_benches::figures::median;
use spillgate_benches::origin::{Origin, Told};

fn main() -> ExitCode {
    if child::is_spillgate() {
        return spillgate::cli::main();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the runtime starts").block_on(async {
        library::measure().await;
        proxies::measure().await;
    });
    ExitCode::SUCCESS
}

/// An origin whose answers may be stored, and are as long as the path says: `/1024/anything`.
pub(crate) fn origin() -> Origin {
    let say = |asked: &spillgate_benches::origin::Asked<'_>| {
        let mut parts = asked.path.split('/');
        let size = parts.nth(1).and_then(|size| size.parse().ok()).unwrap_or_default();
        Told::status("200 OK", FIELDS, &vec![b'x'; size])
    };
    Origin::start(say).expect("the origin listens")
}

/// What one round of one side came to.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) hits_per_second: f64,
    /// What a hit took of a processor, in microseconds.
    pub(crate) cost_us: f64,
}

/// The middle of one figure over the rounds of a side.
pub(crate) fn middle(rounds: &[Pace], pick: fn(&Pace) -> f64) -> f64 {
    median(rounds.iter().map(pick))
}

/// The middle of the ratios of two sides, round by round.
pub(crate) fn ratio(ours: &[Pace], theirs: &[Pace], pick: fn(&Pace) -> f64) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| pick(ours) / pick(theirs)))
}

/// Fields as an API's answers have them.
const FIELDS: &str = "Cache-Control: max-age=3600\r\nContent-Type: application/json\r\n\
    ETag: \"1a2b3c\"\r\nServer: origin\r\nVary: Accept-Encoding\r\n";
/// Bytes of a body.
pub(crate) const SIZES: [usize; 2] = [1 << 10, 64 << 10];
/// Tasks or connections at once.
pub(crate) const TASKS: [usize; 3] = [1, 16, 64];
pub(crate) const SLICE: Duration = Duration::from_millis(700);
pub(crate) const ROUNDS: usize = 5;
