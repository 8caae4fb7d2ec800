//! What kept-alive connections cost `spillgate serve`: memory for each, and what others notice.
//!
//! `cargo bench -p spillgate-benches --bench connections -- 10000`. The proxy is a process of its own;
//! each connection asks once, which the cache answers, and then is idle. Memory is read from Linux's
//! `/proc`; the system's own buffers for sockets are not in it. Both processes need a descriptor for
//! each connection (`ulimit -n`).

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use spillgate_benches::child::{self, Server};
use spillgate_benches::figures::median_ms;
use spillgate_benches::origin::{Asked, Origin, Told};
use spillgate_benches::wire::{Wire, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    if child::is_spillgate() {
        return spillgate::cli::main();
    }
    let numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let connections_max = numbers.max().unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the runtime starts").block_on(measure(connections_max));
    ExitCode::SUCCESS
}

async fn measure(connections_max: usize) {
    let origin = Origin::start(say).expect("the origin listens");
    let server = Server::spillgate(origin.addr(), "cautious").expect("the sidecar starts");
    let (addr, id) = (server.addr(), server.id());
    let mut normal = Wire::connect(addr).await.expect("it listens");
    let alone = ask_often(&mut normal).await;
    println!("a client alone: median {:.2} ms, slowest {:.2} ms", alone.0, alone.1);
    let mut kept = open(addr, WARM).await;
    let empty = resident_bytes(id);
    println!("{:>12} {:>10} {:>12} {:>14}", "connections", "MiB", "bytes each", "opened in");
    for step in [1_000, 2_500, 5_000, 10_000, connections_max] {
        if step > connections_max || step + WARM <= kept.len() {
            continue;
        }
        let began = Instant::now();
        kept.extend(open(addr, step + WARM - kept.len()).await);
        let used = resident_bytes(id);
        let (each, took) = ((used - empty) / count(step), began.elapsed());
        println!("{step:>12} {:>10.1} {each:>12.0} {took:>14.1?}", used / MIB);
    }
    let beside = ask_often(&mut normal).await;
    println!("a client beside them: median {:.2} ms, slowest {:.2} ms", beside.0, beside.1);
    let asked_again = kept.iter_mut().map(ask);
    let again = stream::iter(asked_again).buffer_unordered(AT_ONCE).count().await;
    let used = resident_bytes(id);
    let each = (used - empty) / count(connections_max);
    println!("{again} of them ask again: {:.1} MiB, {each:.0} bytes each", used / MIB);
    drop(kept);
    // What the allocator keeps is used again by whoever comes next.
    let next = open(addr, connections_max).await;
    println!("closed, and as many opened again: {:.1} MiB", resident_bytes(id) / MIB);
    drop(next);
}

/// Opens connections that ask once each.
async fn open(addr: SocketAddr, number: usize) -> Vec<TcpStream> {
    let opening = (0..number).map(|_| async move {
        let mut connection = TcpStream::connect(addr).await.expect("it listens");
        ask(&mut connection).await;
        connection
    });
    stream::iter(opening).buffer_unordered(AT_ONCE).collect().await
}

/// Asks on a connection and reads the whole answer, keeping nothing.
async fn ask(connection: &mut TcpStream) {
    connection.write_all(&get("/small", "")).await.expect("the connection is open");
    let mut read = [0; 2_048];
    let mut held = 0;
    loop {
        let room = read.get_mut(held..).expect("the answer is short");
        let count = connection.read(room).await.expect("the connection is open");
        assert!(count > 0, "the connection was closed");
        held += count;
        let whole = read.get(..held).unwrap_or_default();
        if whole.ends_with(b"\r\n\r\nsmall") {
            return;
        }
    }
}

/// Milliseconds that a client's requests take: the middle one, and the slowest.
async fn ask_often(client: &mut Wire) -> (f64, f64) {
    let mut times = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        let answer = client.ask(&get("/small", "")).await.expect("it answers");
        assert_eq!(answer.status, 200);
        times.push(began.elapsed());
    }
    let slowest = times.iter().max().map_or(f64::NAN, Duration::as_secs_f64);
    (median_ms(times), slowest * 1e3)
}

fn say(_: &Asked<'_>) -> Told {
    let answer =
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 5\r\n\r\nsmall";
    Told { after: Duration::ZERO, answer: Some(answer.to_vec()) }
}

fn resident_bytes(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    let kib = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    kib.expect("it is a number") * 1_024.0
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

const MIB: f64 = 1_048_576.0;
/// Connections that are opened, or ask, at once.
const AT_ONCE: usize = 64;
/// Connections before memory is first read: what is made once is made by then.
const WARM: usize = 100;
