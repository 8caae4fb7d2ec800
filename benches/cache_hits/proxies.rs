//! Hits of proxies, each a process of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use spillgate_benches::child::Server;
use spillgate_benches::origin::Origin;
use spillgate_benches::wire::{self, Wire};
use tokio::net::TcpStream;

use crate::cost::processor_time;
use crate::{Pace, ROUNDS, SIZES, SLICE, TASKS, middle, origin, peers, ratio};

struct Proxy {
    name: &'static str,
    server: Server,
    /// Its own origin, which shows that what it serves are hits.
    origin: Origin,
}

/// Prints the ratios for each size and number of connections.
pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let mut proxies =
        vec![proxy("serve", |upstream| Server::spillgate(upstream, "cautious").map(Some))];
    proxies.push(proxy("nginx", |upstream| peers::nginx(upstream, folder.path())));
    proxies.push(proxy("varnish", |upstream| peers::varnish(upstream, folder.path())));
    println!("\nserve beside nginx and Varnish, each with two workers");
    let mut running: Vec<Proxy> = proxies.into_iter().flatten().collect();
    for proxy in &mut running {
        proxy.listens().await;
    }
    println!(
        "{:>6} {:>6} {:<8} {:>10} {:>12} {:>8} {:>12}",
        "bytes", "conns", "proxy", "hits/s", "serve/it", "cpu us", "it/serve cpu"
    );
    for size in SIZES {
        for proxy in &running {
            proxy.prime(size).await;
        }
        for tasks in TASKS {
            press_all(&running, (size, tasks)).await;
        }
        for proxy in &running {
            let asked = proxy.origin.seen(&path(size)).at.len();
            assert_eq!(asked, 1, "{}: asked once, all else was a hit", proxy.name);
        }
    }
}

fn proxy(
    name: &'static str,
    start: impl FnOnce(SocketAddr) -> std::io::Result<Option<Server>>,
) -> Option<Proxy> {
    let origin = origin();
    let server = start(origin.addr()).expect("the proxy starts");
    if server.is_none() {
        println!("{name}: not installed (apt-get install nginx varnish)");
    }
    server.map(|server| Proxy { name, server, origin })
}

async fn press_all(proxies: &[Proxy], (size, tasks): (usize, usize)) {
    let mut rounds = vec![Vec::new(); proxies.len()];
    for round in 0..=ROUNDS {
        for (proxy, rounds) in proxies.iter().zip(&mut rounds) {
            let pace = proxy.press(size, tasks).await;
            if round > 0 {
                rounds.push(pace);
            }
        }
    }
    let Some(ours) = rounds.first() else { return };
    for (proxy, theirs) in proxies.iter().zip(&rounds) {
        println!(
            "{size:>6} {tasks:>6} {:<8} {:>10.0} {:>12.2} {:>8.1} {:>12.2}",
            proxy.name,
            middle(theirs, |pace| pace.hits_per_second),
            ratio(ours, theirs, |pace| pace.hits_per_second),
            middle(theirs, |pace| pace.cost_us),
            ratio(theirs, ours, |pace| pace.cost_us),
        );
    }
}

impl Proxy {
    /// Waits until it takes connections.
    async fn listens(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(self.server.addr()).await.is_err() {
            assert!(!self.server.has_ended(), "{} ended by itself", self.name);
            assert!(began.elapsed() < PATIENCE, "{} does not listen", self.name);
            tokio::task::yield_now().await;
        }
    }

    async fn prime(&self, size: usize) {
        let mut wire = Wire::connect(self.server.addr()).await.expect("it listens");
        for _ in 0..2 {
            let answer = wire.ask(&wire::get(&path(size), "")).await.expect("it answers");
            assert_eq!((answer.status, answer.body.len()), (200, size), "{}", self.name);
        }
    }

    async fn press(&self, size: usize, tasks: usize) -> Pace {
        let wires = (0..tasks).map(|_| Wire::connect(self.server.addr()));
        let wires = join_all(wires).await;
        let (began, before) = (Instant::now(), processor_time(self.server.id()));
        let tasks = wires.into_iter().map(|wire| {
            let mut wire = wire.expect("it listens");
            let request = wire::get(&path(size), "");
            tokio::spawn(async move {
                let mut count = 0.0;
                while began.elapsed() < SLICE {
                    let length = wire.pull(&request).await.expect("it answers");
                    assert_eq!(length, size, "the answer is whole");
                    count += 1.0;
                }
                count
            })
        });
        let counts = join_all(tasks).await;
        let hits: f64 = counts.into_iter().map(|count| count.expect("no task panics")).sum();
        let elapsed = began.elapsed().as_secs_f64();
        let spent = processor_time(self.server.id()).saturating_sub(before);
        Pace { hits_per_second: hits / elapsed, cost_us: spent.as_secs_f64() * 1e6 / hits }
    }
}

fn path(size: usize) -> String {
    format!("/{size}/proxy")
}

const PATIENCE: Duration = Duration::from_secs(20);
