//! An upstream that breaks: a fallback answers instead, the breaker opens, and people are told what
//! they can do.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{Breaker, Client, Response};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Drill::start()?;
    let client = Client::builder()
        // Opens after three failures in a row; `Breaker::standard()` goes by the failure rate.
        .host("127.0.0.1", |host| host.breaker(Breaker::consecutive(3)))
        .build()?;
    // Runs on the reporter's thread: it may be slow, and holds up no call.
    client.breakers().on_open(|opened| println!("opened: {} ({})", opened.scope, opened.reason));

    for n in 1..=4 {
        let answer = client
            // The upstream resets every connection.
            .get(upstream.url("/reset"))
            .no_retry()
            // Takes the place of an error; an answer of the upstream's, 500 included, is no error.
            .fallback(|error| {
                println!("fallback for {}", error.kind().name());
                Response::builder().body("the list of yesterday").build()
            })
            .send()
            .await?;
        println!("call {n}: {}, {} requests so far", answer.text()?, upstream.hits());
    }

    // Without a fallback the error says what a user interface should do, and in which words.
    if let Err(error) = client.get(upstream.url("/ok")).send().await {
        let advice = error.advice();
        println!("{} ({:?}): {}", advice.message_key, advice.remedy, advice.text);
    }

    // An operator knows that the upstream is well again, and need not wait for the probe.
    let scope = format!("http://{}", upstream.addr());
    client.breakers().reset(&scope);
    let answer = client.get(upstream.url("/ok")).send().await?;
    println!("after the reset: {}", answer.status());
    client.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
