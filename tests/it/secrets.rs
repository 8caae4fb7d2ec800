//! Secrets appear in nothing that is shown (PITFALLS S4).

use std::error::Error as _;

use spillgate::actors::fetch::Fetch;
use spillgate::{Client, Error, JournalEntry, Key, RequestBuilder, TransportOptions};

use crate::bench::{client, drill, quick};

#[tokio::test]
async fn secrets_appear_in_no_request_answer_error_or_record() {
    let (drill, client) = (drill(), quick());
    let mut entries = client.subscribe();
    let mut shown = Vec::new();
    for path in ["/ok", "/echo", "/status/503", "/close", "/truncate", "/redirect/9", "/delay/900"]
    {
        let request = loaded(&client, &drill.url(path));
        shown.push(format!("{request:?} {:?}", loaded(&client, &drill.url(path)).into_message()));
        match request.send().await {
            Ok(response) => {
                shown.push(format!("{response:?} {:?} {}", response.report(), response.url()));
                shown.extend(response.error_for_status().err().map(|error| show(&error)));
            }
            Err(error) => shown.push(show(&error)),
        }
        let stream = loaded(&client, &drill.url(path)).send_streaming().await;
        shown.push(stream.map_or_else(|error| show(&error), |stream| format!("{stream:?}")));
    }
    client.breakers().force_open(format!("http://{}", drill.addr()), None);
    shown.push(show(&loaded(&client, &drill.url("/ok")).send().await.unwrap_err()));
    shown.push(format!("{client:?} {:?} {:?}", client.snapshot(), client.breakers()));
    let mut records = 0;
    while records < 14 {
        let entry = entries.recv().await.unwrap();
        records += usize::from(matches!(entry, JournalEntry::Call(_)));
        shown.push(format!("{entry:?}"));
    }
    assert!(drill.requests()[0].header("authorization").is_some());
    assert!(drill.requests()[0].target().contains("canary"));
    for text in shown {
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
    }
}

#[tokio::test]
async fn secrets_of_requests_that_cannot_be_sent_stay_secret() {
    let client = Client::standard();
    for url in [
        "http://user:canary@/",
        "http://user:canary@host:99999/",
        "canary://user:canary@host/",
        "http://ca nary/?token=canary",
        "://canary",
    ] {
        let call =
            client.get(url).header("x-key", "canary\n").idempotency_key(Key::new("canary\n"));
        let request = format!("{call:?}");
        let error = call.send().await.unwrap_err();
        // A scheme is no secret.
        let text = format!("{request} {}", show(&error)).replace("`canary`", "");
        assert!(!text.contains("canary"), "{text}");
    }
    let key = Key::new("canary");
    assert!(!format!("{key:?}").contains("canary"));
}

#[test]
fn secrets_of_a_builder_stay_secret() {
    let proxy = Some("http://user:canary@127.0.0.1:9/".parse().unwrap());
    let options = TransportOptions { proxy, ..TransportOptions::default() };
    assert!(!format!("{options:?}").contains("canary"));
    let proxy = options.proxy.clone();
    let builder = Client::builder()
        .default_header("x-api-key", "canary")
        .defaults(|config| {
            config.telemetry.otlp = Some("http://user:canary@127.0.0.1:9/canary".parse().unwrap());
        })
        .transport_options(move |options| options.proxy = proxy);
    assert!(!format!("{builder:?}").contains("canary"));
}

#[tokio::test]
async fn names_that_are_said_to_be_secret_are() {
    let drill = drill();
    let client = client(|builder| {
        builder.defaults(|config| config.telemetry.redact.query = vec!["Ticket".to_owned()])
    });
    let response = client.get(drill.url("/ok?ticket=canary&page=2")).send().await.unwrap();
    assert!(response.url().ends_with("/ok?ticket=REDACTED&page=2"), "{}", response.url());
}

#[test]
fn message_shows_no_more_than_method_and_host() {
    let fetch = Fetch::get("http://u:canary@a.example/canary?x=canary").body("canary");
    let shown = format!("{fetch:?}");
    assert!(shown.contains("a.example") && !shown.contains("canary"), "{shown}");
}

/// A request full of secrets.
fn loaded(client: &Client, url: &str) -> RequestBuilder {
    let url = url.replace("http://", "http://canary-user:canary@");
    client
        .put(format!("{url}?token=canary&access_token=canary#canary"))
        .header("x-api-key", "canary")
        .header("cookie", "session=canary")
        .bearer_auth("canary")
        .query(&[("password", "canary")])
        .idempotency_key(Key::new("canary"))
        .timeout(std::time::Duration::from_millis(300))
        .retries(1)
        .json(&serde_json::json!({ "card": "canary" }))
}

fn show(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {:?} {:?}", error.report(), error.record());
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text} {error} {error:?}");
        cause = error.source();
    }
    text
}
