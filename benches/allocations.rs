//! How often a call allocates, and how much: through a network without sockets, so that only what is
//! ours is counted.
//!
//! `cargo bench -p spillgate-benches --bench allocations`. Counts hold on any machine, however busy.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run should say so and stop")]

use std::alloc::System;
use std::sync::Arc;

use futures_util::stream;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Version};
use spillgate::actors::transport::{ExchangeFuture, Inbound, Outbound, Transport};
use spillgate::{Client, RequestBuilder};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::builder().transport(Arc::new(Stub)).build().expect("the client builds");
    println!("{:<26} {:>12} {:>12}", "a call that", "allocations", "bytes");
    row(&client, "shares with nobody", RequestBuilder::no_coalesce).await;
    row(&client, "could be shared", |request| request).await;
    row(&client, "names its route", |request| request.no_coalesce().route("/users/{id}")).await;
    row(&client, "names its caller", |request| request.no_coalesce().caller("tenant-7")).await;
    row(&client, "explains", |request| request.no_coalesce().explain()).await;
}

async fn row(client: &Client, name: &str, wish: impl Fn(RequestBuilder) -> RequestBuilder) {
    // The first ones make the host, its route, and room in the tables.
    press(client, &wish).await;
    let region = Region::new(ALLOCATOR);
    press(client, &wish).await;
    let change = region.change();
    let each = |total: usize| total / CALLS;
    let times = each(change.allocations + change.reallocations);
    println!("{name:<26} {times:>12} {:>12}", each(change.bytes_allocated));
}

async fn press(client: &Client, wish: impl Fn(RequestBuilder) -> RequestBuilder) {
    for _ in 0..CALLS {
        let request = wish(client.get("http://host.test/v1/users/42?verbose=1"));
        request.send().await.expect("the stub answers");
    }
}

/// A network without sockets.
struct Stub;

impl Transport for Stub {
    fn exchange(&self, _: Outbound) -> ExchangeFuture {
        Box::pin(async {
            Ok(Inbound {
                status: StatusCode::OK,
                version: Version::HTTP_11,
                headers: HeaderMap::new(),
                body: Box::pin(stream::empty()),
                connection: None,
            })
        })
    }
}

const CALLS: usize = 5_000;
