//! What is for one caller, and what is another address's, is neither stored nor remembered for others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spillgate::{Client, HostOverrides};

use super::{get, with_headers};
use crate::bench::{client, drill};
use crate::sidecar::origin::{Origin, ok, status};

fn remembering() -> Client {
    let told = |host: HostOverrides| host.attempts(1).failures(Duration::from_secs(10));
    client(|builder| builder.host("127.0.0.1", told))
}

#[tokio::test]
async fn remembered_failure_has_no_cookie_and_asks_nothing() {
    let (drill, client) = (drill(), remembering());
    let url = with_headers(&drill, "/status/503", &["set-cookie:id=1", "x-seen:1"]);
    assert!(get(&client, &url).await.headers().contains_key("set-cookie"));
    let again = get(&client, &url).await;
    let headers = again.headers();
    assert!(!headers.contains_key("set-cookie") && headers.contains_key("x-seen"));
    assert_eq!((again.report().cache.unwrap().why, again.report().attempts), ("failure-memory", 0));
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn failure_that_is_for_one_is_not_remembered_for_others() {
    for said in ["cache-control:private", "cache-control:no-store", "vary:*", "vary:x-user"] {
        let (drill, client) = (drill(), remembering());
        let url = with_headers(&drill, "/status/503", &[said]);
        for (user, hits) in [("alice", 1), ("bob", 2)] {
            let seen = client.get(&url).header("x-user", user).send().await.unwrap();
            assert_eq!((seen.status().as_u16(), drill.hits()), (503, hits), "{said}");
        }
    }
}

#[tokio::test]
async fn failure_with_a_long_body_is_asked_for_again() {
    let body = "x".repeat(100_000);
    let origin = Origin::start(move |_| status("503 Service Unavailable", "", &body));
    origin.gate(true);
    let (client, url) = (remembering(), format!("http://{}/a", origin.addr));
    let length = get(&client, &url).await.bytes().len();
    get(&client, &url).await;
    assert_eq!((length, origin.count()), (100_000, 2));
}

/// What a redirect led to says nothing of the address that was asked, though it claims to be that
/// address's, and that address's own answer is useless once the request was taken.
#[tokio::test]
async fn redirects_target_puts_nothing_in_the_place_of_its_source() {
    let there = Arc::new(Mutex::new(String::new()));
    let lead = there.clone();
    let here = Origin::start(move |head| {
        if head.starts_with("GET") {
            return ok("Cache-Control: max-age=60\r\n", "true");
        }
        status("303 See Other", &format!("Location: {}\r\n", lead.lock().unwrap()), "")
    });
    let url = format!("http://{}/a", here.addr);
    let claim = format!("Cache-Control: max-age=60\r\nContent-Location: {url}\r\n");
    for answer in ["200 OK", "404 Not Found"] {
        let claim = claim.clone();
        let other = Origin::start(move |_| status(answer, &claim, "false"));
        *there.lock().unwrap() = format!("http://{}/b", other.addr);
        here.gate(true);
        other.gate(true);
        let client = Client::standard();
        assert_eq!(get(&client, &url).await.bytes(), "true");
        let posted = client.post(&url).send().await.unwrap();
        assert_eq!((posted.text().unwrap().as_str(), other.count()), ("false", 1));
        let seen = get(&client, &url).await;
        assert_eq!((seen.bytes().as_ref(), seen.report().attempts), (&b"true"[..], 1), "{answer}");
    }
}
