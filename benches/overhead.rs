//! What a call costs more than bare reqwest: requests per second in pairs, A B A B, as ratios.
//!
//! `cargo bench -p spillgate-benches`. Ratios hold on a noisy machine where single figures do not.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use spillgate::actors::fetch::Fetch;
use spillgate::testing::Drill;
use spillgate::{Breaker, Client};

#[tokio::main(worker_threads = 2)]
async fn main() {
    let drill = Drill::builder().log_max(1_000).start().expect("the drill listens on loopback");
    let url = drill.url("/ok");
    let bare = reqwest::Client::builder().no_proxy().build().expect("reqwest builds");
    println!(
        "{:>6} {:>12} {:>12} {:>10} {:>10}",
        "tasks", "reqwest/s", "facade/s", "facade", "messages"
    );
    for tasks in [1, 16, 64, 256] {
        let client = wide_client(tasks);
        let mut pairs = Vec::new();
        for round in 0..=ROUNDS {
            let plain = rate(tasks, || send_bare(&bare, &url)).await;
            let facade = rate(tasks, || send_facade(&client, &url)).await;
            let message = rate(tasks, || send_message(&client, &url)).await;
            if round > 0 {
                pairs.push((plain, facade, message));
            }
        }
        let median = |pick: fn(&(f64, f64, f64)) -> f64| {
            let mut values: Vec<f64> = pairs.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        println!(
            "{tasks:>6} {:>12.0} {:>12.0} {:>10.2} {:>10.2}",
            median(|p| p.0),
            median(|p| p.1),
            median(|p| p.1 / p.0),
            median(|p| p.2 / p.0),
        );
        client.shutdown(Duration::from_secs(1)).await;
    }
}

/// A client whose limits do not bind, so that the machinery is measured and not the queue.
fn wide_client(tasks: u32) -> Client {
    Client::builder()
        .defaults(|config| config.limits.global = tasks.max(24))
        .host("127.0.0.1", |host| host.concurrency(tasks.max(6)).breaker(Breaker::standard()))
        .build()
        .expect("the client builds")
}

async fn rate<F: Future<Output = ()>>(tasks: u32, send: impl Fn() -> F) -> f64 {
    let began = Instant::now();
    let counts = join_all((0..tasks).map(|_| async {
        let mut count = 0.0;
        while began.elapsed() < SLICE {
            send().await;
            count += 1.0;
        }
        count
    }));
    counts.await.iter().sum::<f64>() / began.elapsed().as_secs_f64()
}

async fn send_bare(client: &reqwest::Client, url: &str) {
    let answer = client.get(url).send().await.expect("the drill answers");
    answer.bytes().await.expect("the drill answers whole");
}

async fn send_facade(client: &Client, url: &str) {
    client.get(url).no_coalesce().send().await.expect("the drill answers");
}

async fn send_message(client: &Client, url: &str) {
    let sent = client.addr().send(Fetch::get(url).no_coalesce()).await;
    sent.expect("the actors run").expect("the drill answers");
}

const SLICE: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;
