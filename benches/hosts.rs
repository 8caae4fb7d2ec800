//! What distinct hosts cost: calls each of a million once, through a network without sockets.
//!
//! `cargo bench -p spillgate-benches --bench hosts -- 1000000`. Tells time and memory as the number
//! of hosts grows, and bytes for each that is remembered. Memory is read from Linux's `/proc`.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Version};
use spillgate::actors::transport::{ExchangeFuture, Inbound, Outbound, Transport};
use spillgate::{BreakerOptions, BreakerState, Client};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let hosts_max: u32 = numbers.max().unwrap_or(1_000_000);
    let client = client();
    call(&client, "first", 0).await;
    client.breakers().force_open("http://forced.test", None);
    let empty = resident_bytes();
    println!(
        "{:>9} {:>10} {:>12} {:>12} {:>10} {:>12}",
        "hosts", "hosts/s", "thread us", "remembered", "MiB", "bytes each"
    );
    let steps = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|step| *step <= hosts_max);
    let mut done = 0;
    for step in steps {
        let (began, busy) = (Instant::now(), thread_time());
        press(&client, "host", done..step).await;
        let (fresh, spent) = (f64::from(step - done), began.elapsed().as_secs_f64());
        let thread_us = thread_time().saturating_sub(busy).as_secs_f64() * 1e6 / fresh;
        done = step;
        row(&client, (step, fresh / spent, thread_us), empty);
    }
    let closed = resident_bytes();
    for dead in [0..10_000, 10_000..50_000] {
        let open = f64::from(dead.end);
        press(&client, "dead", dead).await;
        let more = (resident_bytes() - closed) / open;
        println!("{open} open breakers: {more:.0} bytes more for each");
    }
    let forced = client.breakers().state("http://forced.test");
    assert_eq!(forced, BreakerState::Open, "an open breaker is never forgotten");
    println!("peak {:.0} MiB", bytes_of("VmHWM:") / MIB);
    client.shutdown(Duration::from_secs(1)).await;
}

/// A client of which a thousand calls may be on their way, and whose breakers open at once.
fn client() -> Client {
    let options = BreakerOptions {
        reset_timeout: Duration::from_secs(3_600),
        reset_timeout_max: Duration::from_secs(3_600),
        ..BreakerOptions::consecutive(1)
    };
    Client::builder()
        .transport(Arc::new(Stub))
        .host("*.test", |host| host.attempts(1))
        .host("dead-*.test", |host| host.breaker(options))
        .build()
        .expect("the client builds")
}

async fn press(client: &Client, name: &str, numbers: std::ops::Range<u32>) {
    let calls = numbers.map(|n| call(client, name, n));
    stream::iter(calls).buffer_unordered(64).for_each(async |()| {}).await;
}

async fn call(client: &Client, name: &str, n: u32) {
    let answer = client.get(format!("http://{name}-{n}.test/")).no_coalesce().send().await;
    answer.expect("the stub answers");
}

fn row(client: &Client, (step, rate, thread_us): (u32, f64, f64), empty: f64) {
    let (remembered, used) = (client.snapshot().hosts.len(), resident_bytes());
    let of = u32::try_from(remembered).map_or(f64::NAN, f64::from);
    let each = (used - empty) / of;
    println!(
        "{step:>9} {rate:>10.0} {thread_us:>12.1} {remembered:>12} {:>10.1} {each:>12.0}",
        used / MIB
    );
}

/// A network without sockets.
struct Stub;

impl Transport for Stub {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        let is_dead = outbound.url.host_str().is_some_and(|host| host.starts_with("dead"));
        Box::pin(async move {
            Ok(Inbound {
                status: if is_dead { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK },
                version: Version::HTTP_11,
                headers: HeaderMap::new(),
                body: Box::pin(stream::empty()),
                connection: None,
            })
        })
    }
}

fn resident_bytes() -> f64 {
    bytes_of("VmRSS:")
}

fn bytes_of(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it is told");
    let kib = line.trim().trim_end_matches(" kB").parse::<f64>().expect("it is a number");
    kib * 1_024.0
}

/// What the actors' thread has used of a processor.
fn thread_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task").expect("this is Linux");
    let of_actors = threads.filter_map(Result::ok).find(|thread| {
        let name = fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.trim() == "spillgate")
    });
    let thread = of_actors.expect("the actors have a thread");
    let times = fs::read_to_string(thread.path().join("schedstat")).expect("it is told");
    let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("it is a number"))
}

const MIB: f64 = 1_048_576.0;
