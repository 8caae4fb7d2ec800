//! Hits in the caller's own process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_cache_reqwest::{Cache, CacheMode, HttpCache, HttpCacheOptions, MokaManager};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use spillgate::Client;

use crate::cost::processor_time;
use crate::{Pace, ROUNDS, SIZES, SLICE, TASKS, middle, origin, ratio};

/// A client of either kind.
#[derive(Clone)]
enum Side {
    Ours(Client),
    Theirs(ClientWithMiddleware),
}

/// Prints the ratios for each size and number of tasks.
pub(crate) async fn measure() {
    let origin = origin();
    let client = Client::standard();
    let sides = [Side::Ours(client.clone()), Side::Theirs(peer())];
    println!(
        "library, hits in the caller's process, beside http-cache-reqwest with its moka store"
    );
    println!(
        "{:>6} {:>6} {:>12} {:>12} {:>8} {:>10} {:>10}",
        "bytes", "tasks", "spillgate/s", "peer/s", "ratio", "cpu us", "peer's us"
    );
    for size in SIZES {
        let path = format!("/{size}/library");
        let url: Arc<str> = format!("http://{}{path}", origin.addr()).into();
        for side in &sides {
            assert_eq!(side.send(&url).await, size, "the answer is whole");
        }
        for tasks in TASKS {
            let mut rounds = [Vec::new(), Vec::new()];
            for round in 0..=ROUNDS {
                for (side, rounds) in sides.iter().zip(&mut rounds) {
                    let pace = side.press(&url, tasks).await;
                    if round > 0 {
                        rounds.push(pace);
                    }
                }
            }
            let [ours, theirs] = &rounds;
            println!(
                "{size:>6} {tasks:>6} {:>12.0} {:>12.0} {:>8.2} {:>10.1} {:>10.1}",
                middle(ours, |pace| pace.hits_per_second),
                middle(theirs, |pace| pace.hits_per_second),
                ratio(ours, theirs, |pace| pace.hits_per_second),
                middle(ours, |pace| pace.cost_us),
                middle(theirs, |pace| pace.cost_us),
            );
        }
        assert_eq!(origin.seen(&path).at.len(), sides.len(), "each asked once, all else was a hit");
    }
    client.shutdown(Duration::from_secs(1)).await;
}

fn peer() -> ClientWithMiddleware {
    let client = reqwest::Client::builder().no_proxy().build().expect("reqwest builds");
    let cache = HttpCache {
        mode: CacheMode::Default,
        manager: MokaManager::default(),
        options: HttpCacheOptions::default(),
    };
    ClientBuilder::new(client).with(Cache(cache)).build()
}

impl Side {
    async fn press(&self, url: &Arc<str>, tasks: usize) -> Pace {
        let (began, before) = (Instant::now(), processor_time(std::process::id()));
        let tasks = (0..tasks).map(|_| {
            let (side, url) = (self.clone(), url.clone());
            tokio::spawn(async move {
                let mut count = 0.0;
                while began.elapsed() < SLICE {
                    side.send(&url).await;
                    count += 1.0;
                    // Hits of either side may never wait for anything.
                    tokio::task::yield_now().await;
                }
                count
            })
        });
        let counts = join_all(tasks).await;
        let hits: f64 = counts.into_iter().map(|count| count.expect("no task panics")).sum();
        let spent = processor_time(std::process::id()).saturating_sub(before);
        Pace {
            hits_per_second: hits / began.elapsed().as_secs_f64(),
            cost_us: spent.as_secs_f64() * 1e6 / hits,
        }
    }

    /// The length of the body.
    async fn send(&self, url: &str) -> usize {
        match self {
            Self::Ours(client) => {
                client.get(url).send().await.expect("there is an answer").bytes().len()
            }
            Self::Theirs(client) => {
                let answer = client.get(url).send().await.expect("there is an answer");
                answer.bytes().await.expect("it is whole").len()
            }
        }
    }
}
