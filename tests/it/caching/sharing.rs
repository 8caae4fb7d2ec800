//! What is stored of an answer that many wait for, whoever of them is left when it comes.

use std::time::Duration;

use spillgate::{Client, ErrorKind, Purge};

use super::{get, with_headers};
use crate::bench::{Call, PATIENCE, answer, at_rest, drill, error, eventually, hits, spawn};
use crate::sidecar::origin::{Origin, ok, status};

const FRESH: &str = "cache-control:max-age=60";

/// A call at the upstream, and so many that joined it.
async fn joined(client: &Client, url: &str, others: u64) -> (Call, Vec<Call>) {
    let before = client.snapshot();
    let first = spawn(client.get(url));
    eventually("it runs", || client.snapshot().running > before.running).await;
    let calls = (0..others).map(|_| spawn(client.get(url))).collect();
    let all = before.coalesced + others;
    eventually("all joined", || client.snapshot().coalesced == all).await;
    (first, calls)
}

#[tokio::test]
async fn first_caller_that_leaves_takes_nothing_from_the_store() {
    for leaving in [1, 5] {
        let (drill, client) = (drill(), Client::standard());
        let url = with_headers(&drill, "/delay/400", &[FRESH]);
        let (first, mut others) = joined(&client, &url, 5).await;
        first.abort();
        others.drain(1..leaving).for_each(|other| other.abort());
        for other in others {
            let cache = answer(other).await.unwrap().report().cache.unwrap();
            assert!(!cache.hit && cache.status.collapsed);
        }
        assert!(get(&client, &url).await.report().cache.unwrap().hit, "{leaving} left");
        assert_eq!((drill.hits(), drill.aborted("/delay/400")), (1, 0));
        assert_eq!(client.cache().tally().stored, 1);
    }
}

#[tokio::test]
async fn first_caller_with_less_time_takes_nothing_from_the_store() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/delay/1500", &[FRESH]);
    let hasty = spawn(client.get(&url).deadline(Duration::from_millis(500)));
    hits(&drill, 1).await;
    let patient = spawn(client.get(&url));
    eventually("it joined", || client.snapshot().coalesced == 1).await;
    assert_eq!(error(hasty).await.kind(), ErrorKind::DeadlineExceeded);
    answer(patient).await.unwrap();
    assert!(get(&client, &url).await.report().cache.unwrap().hit);
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn answer_that_nobody_waits_for_is_cut_and_not_stored() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/delay/60000", &[FRESH]);
    let (first, others) = joined(&client, &url, 3).await;
    hits(&drill, 1).await;
    others.iter().chain([&first]).for_each(Call::abort);
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
    assert_eq!((client.cache().size().pages, client.cache().tally().stored), (0, 0));
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn answer_is_stored_once_however_many_share_it() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/delay/300", &[FRESH]);
    let (first, others) = joined(&client, &url, 9).await;
    let stored = answer(first).await.unwrap().report().cache.unwrap().status;
    assert!(!stored.collapsed);
    for other in others {
        assert!(answer(other).await.unwrap().report().cache.unwrap().status.collapsed);
    }
    let tally = client.cache().tally();
    assert_eq!((tally.stored, tally.misses, drill.hits()), (1, 10, 1));
}

#[tokio::test]
async fn cookie_that_joiners_never_see_decides_even_when_they_alone_are_left() {
    for (said, pages) in [("cache-control:max-age=60", 0), ("cache-control:public, max-age=60", 1)]
    {
        let (drill, client) = (drill(), Client::standard());
        let url = with_headers(&drill, "/delay/300", &[said, "set-cookie:a=1"]);
        let (first, others) = joined(&client, &url, 3).await;
        first.abort();
        for other in others {
            assert!(!answer(other).await.unwrap().headers().contains_key("set-cookie"));
        }
        assert_eq!(client.cache().size().pages, pages, "{said}");
        let again = get(&client, &url).await;
        assert_eq!(again.headers().contains_key("set-cookie"), pages == 0, "{said}");
    }
}

#[tokio::test]
async fn joiner_stores_nothing_that_was_forgotten_after_its_flight_began() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/delay/400", &[FRESH]);
    let first = spawn(client.get(&url));
    hits(&drill, 1).await;
    client.cache().invalidate(Purge::Url(url.clone()));
    let late = spawn(client.get(&url));
    eventually("it joined", || client.snapshot().coalesced == 1).await;
    first.abort();
    answer(late).await.unwrap();
    assert_eq!((client.cache().size().pages, drill.hits()), (0, 1));
}

#[tokio::test]
async fn word_that_it_is_still_good_is_stored_whoever_is_left() {
    let origin = Origin::start(|head| {
        if head.contains("if-none-match") {
            return status("304 Not Modified", "ETag: \"1\"\r\nCache-Control: max-age=60\r\n", "");
        }
        ok("ETag: \"1\"\r\nCache-Control: max-age=0\r\n", "body")
    });
    origin.gate(true);
    let client = Client::standard();
    let url = format!("http://{}/a", origin.addr);
    get(&client, &url).await;
    origin.gate(false);
    let (first, others) = joined(&client, &url, 2).await;
    eventually("it is asked about", || origin.count() == 2).await;
    first.abort();
    origin.gate(true);
    for other in others {
        assert_eq!(answer(other).await.unwrap().text().unwrap(), "body");
    }
    assert!(get(&client, &url).await.report().cache.unwrap().hit);
    assert_eq!((origin.count(), client.cache().tally().revalidated), (2, 1));
}
