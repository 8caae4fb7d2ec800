//! Requests as messages: the coordinator's address takes them from any runtime.
//!
//! The facade is a thin layer over these messages; an actor of the service's own can send them
//! without it.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use spillgate::actors::fetch::Fetch;
use spillgate::actors::messages::{Cancel, Drain, Inspect};
use spillgate::testing::Drill;
use spillgate::{Client, ErrorKind, Priority};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Drill::start()?;
    // The actors live on a thread of the client's, for as long as a clone of it lives.
    let client = Client::standard();
    let addr = client.addr();

    // The outer error is the mailbox's: the client is gone. The inner one is the call's.
    let fetch = Fetch::get(upstream.url("/status/503?times=1"))
        .priority(Priority::Foreground)
        .deadline(Duration::from_secs(2));
    let response = addr.send(fetch).await??;
    println!("Fetch: {} after {} attempts", response.status(), response.report().attempts);

    // A call has its number before it is sent, so that anybody can cancel it.
    let fetch = Fetch::get(upstream.url("/delay/60000"));
    let ticket = fetch.ticket();
    let pending = tokio::spawn(addr.send(fetch));
    upstream.wait_for(|ledger| ledger.in_flight() == 1, Duration::from_secs(2)).await?;
    addr.send(Cancel { ticket, kind: ErrorKind::Cancelled }).await?;
    match pending.await?? {
        Ok(response) => println!("Cancel: too late for {}", response.status()),
        Err(error) => println!("Cancel: {}", error.kind().name()),
    }
    // What nobody waits for is not worth a connection.
    upstream.wait_for(|ledger| ledger.in_flight() == 0, Duration::from_secs(2)).await?;

    let snapshot = addr.send(Inspect).await?;
    for host in &snapshot.hosts {
        println!(
            "Inspect: {} attempts, {} retries, breaker {}",
            host.attempts,
            host.retries,
            host.breaker.name()
        );
    }

    // Takes no more calls and answers when those inside have ended.
    let drained = addr.send(Drain { grace: Duration::from_secs(1) }).await?;
    println!("Drain: {drained:?}");
    let late = addr.send(Fetch::get(upstream.url("/ok"))).await?;
    println!("Fetch: {}", late.err().map_or("answered", |error| error.kind().name()));
    Ok(())
}
