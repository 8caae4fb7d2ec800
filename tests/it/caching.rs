//! The cache in front of the actors: what costs no upstream call, and what is never shared.

mod apart;
mod failures;
mod sharing;
mod storage;
mod views;

use std::sync::mpsc;

use spillgate::actors::Invalidate;
use spillgate::testing::Drill;
use spillgate::{
    CacheKind, CacheMode, Client, Config, ErrorClass, ErrorKind, Identity, JournalEntry, Judgement,
    Purge, Response,
};

use crate::bench::{at_rest, client, drill, eventually, hits, spawn};

#[tokio::test]
async fn hit_costs_no_upstream_call_and_is_told_of() {
    let (drill, client) = (drill(), Client::standard());
    let mut entries = client.subscribe();
    let url = drill.url("/etag?v=7&max_age=60&token=secret");
    let first = get(&client, &url).await;
    let cache = first.report().cache.unwrap();
    assert_eq!((cache.hit, cache.why), (false, "uri-miss"));
    assert_eq!(cache.to_string(), "spillgate; fwd=uri-miss; stored");
    for _ in 0..10 {
        let again = get(&client, &url).await;
        assert_eq!((again.status(), again.bytes()), (first.status(), first.bytes()));
        assert!(again.headers().contains_key("age"));
        assert!(!again.url().contains("secret"));
        let report = again.report();
        let cache = report.cache.unwrap();
        assert_eq!((report.attempts, cache.hit, cache.stale, cache.why), (0, true, false, "fresh"));
        assert!(cache.to_string().starts_with("spillgate; hit; ttl="), "{cache}");
    }
    assert_eq!(drill.hits(), 1);
    loop {
        if let JournalEntry::Hit(hit) = entries.recv().await.unwrap() {
            assert_eq!(*hit.host, *format!("http://{}", drill.addr()));
            assert!(hit.cache.hit && !hit.url.contains("secret"));
            break;
        }
    }
}

#[tokio::test]
async fn expired_answer_is_validated_and_its_304_becomes_a_200() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?v=7");
    let first = get(&client, &url).await;
    let again = get(&client, &url).await;
    assert_eq!((again.status().as_u16(), again.bytes()), (200, first.bytes()));
    assert_eq!(again.report().cache.unwrap().why, "validated");
    assert_eq!(again.report().attempts, 1);
    let requests = drill.requests();
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(requests[1].header("if-none-match"), Some("\"7\""));
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn what_is_meant_for_one_is_never_shared() {
    let (drill, client) = (drill(), Client::standard());
    for (asked, lines) in [
        ("no-store", &["cache-control:no-store, max-age=60"][..]),
        ("private", &["cache-control:Private, max-age=60"]),
        ("cookie", &["cache-control:max-age=60", "set-cookie:a=1"]),
        ("vary", &["cache-control:max-age=60", "vary:*"]),
        ("nothing", &[]),
    ] {
        let url = with_headers(&drill, &format!("/ok?key={asked}"), lines);
        for _ in 0..3 {
            assert!(!get(&client, &url).await.report().cache.unwrap().hit, "{asked}");
        }
        assert_eq!(drill.hits_of(asked), 3, "{asked}");
    }
}

#[tokio::test]
async fn credentials_never_share_whatever_the_answer_says() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/ok", &["cache-control:public, max-age=60"]);
    let userinfo = |name: &str| url.replace("http://", &format!("http://{name}:x@"));
    let asked = || {
        [
            client.get(&url),
            client.get(&url).bearer_auth("alice"),
            client.get(&url).bearer_auth("bob"),
            client.get(&url).header("cookie", "alice"),
            client.get(&url).header("cookie", "bob"),
            client.get(&url).header("x-api-key", "alice"),
            client.get(userinfo("alice")),
            client.get(userinfo("bob")),
        ]
    };
    for (round, hit) in [(1, false), (2, true)] {
        for request in asked() {
            let cache = request.send().await.unwrap().report().cache.unwrap();
            assert_eq!(cache.hit, hit, "round {round}");
        }
        assert_eq!(drill.hits(), 8, "round {round}");
    }
}

#[tokio::test]
async fn default_header_with_credentials_counts_as_the_requests_own() {
    let drill = drill();
    let client = client(|builder| builder.default_header("authorization", "Bearer service"));
    let url = with_headers(&drill, "/ok", &["cache-control:max-age=60"]);
    for _ in 0..2 {
        assert!(!get(&client, &url).await.report().cache.unwrap().hit);
    }
    assert_eq!(drill.hits(), 2, "an answer to credentials that does not say that it is public");
}

#[tokio::test]
async fn followers_store_nothing() {
    let (drill, client) = (drill(), Client::standard());
    let lines = ["cache-control:max-age=60", "set-cookie:a=1"];
    let url = with_headers(&drill, "/delay/300", &lines);
    let calls: Vec<_> = (0..5).map(|_| spawn(client.get(&url))).collect();
    eventually("four joined", || client.snapshot().coalesced == 4).await;
    for call in calls {
        crate::bench::answer(call).await.unwrap();
    }
    assert_eq!(client.cache().size().pages, 0, "the cookie that they were not given forbids it");
}

#[tokio::test]
async fn variants_are_told_apart() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/vary?max_age=60");
    for _ in 0..2 {
        for language in ["de", "fr"] {
            let request = client.get(&url).header("accept-language", language);
            assert!(request.send().await.unwrap().text().unwrap().contains(language));
        }
    }
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn unsafe_request_makes_what_is_stored_useless() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?max_age=60");
    get(&client, &url).await;
    client.post(&url).body("x").send().await.unwrap();
    assert!(!get(&client, &url).await.report().cache.unwrap().hit);
    assert_eq!(drill.hits(), 3);
    client.delete(drill.url("/status/500?key=other")).no_retry().send().await.unwrap();
    assert!(get(&client, &url).await.report().cache.unwrap().hit);
}

#[tokio::test]
async fn modes_are_those_of_the_fetch_standard() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?max_age=60");
    let ask = |mode| client.get(&url).cache_mode(mode).send();
    let error = ask(CacheMode::OnlyIfCached).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::NotCached, ErrorClass::Rejected));
    ask(CacheMode::NoStore).await.unwrap();
    assert_eq!((drill.hits(), client.cache().size().pages), (1, 0));
    ask(CacheMode::Reload).await.unwrap();
    assert_eq!((drill.hits(), client.cache().size().pages), (2, 1));
    assert!(ask(CacheMode::OnlyIfCached).await.unwrap().report().cache.unwrap().hit);
    assert_eq!(ask(CacheMode::NoCache).await.unwrap().report().cache.unwrap().why, "validated");
    assert_eq!(drill.hits(), 3);
    let told = |n: usize| drill.requests()[n].header("cache-control").map(str::to_owned);
    let expected = ["no-cache", "no-cache", "max-age=0"].map(|text| Some(text.to_owned()));
    assert_eq!([told(0), told(1), told(2)], expected);
    let stale = drill.url("/etag?v=2&max_age=0");
    get(&client, &stale).await;
    let forced = client.get(&stale).cache_mode(CacheMode::ForceCache).send().await.unwrap();
    let cache = forced.report().cache.unwrap();
    assert!(cache.hit && cache.stale && cache.why == "force-cache", "{cache:?}");
    assert_eq!(drill.hits(), 4);
}

#[tokio::test]
async fn absence_is_remembered_for_two_seconds_and_for_as_long_as_told() {
    let drill = drill();
    let url = drill.url("/status/404");
    let standard = Client::standard();
    for hit in [false, true, true] {
        let response = get(&standard, &url).await;
        assert_eq!((response.status().as_u16(), response.report().cache.unwrap().hit), (404, hit));
    }
    let never = client(|b| b.defaults(|config| config.cache.negative = std::time::Duration::ZERO));
    for _ in 0..2 {
        assert!(!get(&never, &url).await.report().cache.unwrap().hit);
    }
    assert_eq!(drill.hits(), 3);
}

#[tokio::test]
async fn hosts_and_routes_can_be_left_out_and_reloaded() {
    let drill = drill();
    let off = "[[host]]\nmatch = \"127.0.0.1\"\n[[host.route]]\nmatch = \"/etag\"\ncache = { mode = \"off\" }";
    let read = |text: &str| Config::from_toml(text, "test").unwrap();
    let by_route = client(|builder| builder.config(read(off)));
    let by_host = client(|builder| builder.host("127.0.0.1", |host| host.cache(CacheKind::Off)));
    let url = drill.url("/etag?max_age=60");
    for client in [&by_route, &by_host] {
        for _ in 0..2 {
            assert_eq!(get(client, &url).await.report().cache, None);
        }
        let only = client.get(&url).cache_mode(CacheMode::OnlyIfCached);
        assert_eq!(only.send().await.unwrap_err().kind(), ErrorKind::NotCached);
    }
    assert_eq!(drill.hits(), 4);
    get(&by_route, &drill.url("/vary")).await;
    assert!(get(&by_route, &drill.url("/vary")).await.report().cache.unwrap().hit);
    by_route.reload(read("")).unwrap();
    get(&by_route, &url).await;
    assert!(get(&by_route, &url).await.report().cache.unwrap().hit);
}

#[tokio::test]
async fn answer_of_a_redirects_target_is_not_stored_for_its_source() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/redirect/1?to=/etag?max_age=60");
    for _ in 0..2 {
        assert_eq!(get(&client, &url).await.status(), 200);
    }
    assert_eq!((drill.hits(), client.cache().size().pages), (4, 0));
}

#[tokio::test]
async fn older_answer_never_overwrites_a_newer_one() {
    let script = "[scenario.race]\nsteps = [{ path = \"/delay/400\" }, { path = \"/ok?bytes=7\" }]";
    let drill = Drill::builder().script(script).start().unwrap();
    let client = Client::standard();
    let url = with_headers(&drill, "/scenario/race", &["cache-control:max-age=60"]);
    let slow = spawn(client.get(&url).no_coalesce());
    hits(&drill, 1).await;
    let newer = client.get(&url).no_coalesce().send().await.unwrap();
    assert_eq!(newer.bytes().len(), 7);
    assert_ne!(crate::bench::answer(slow).await.unwrap().bytes().len(), 7);
    let kept = get(&client, &url).await;
    assert!(kept.report().cache.unwrap().hit && kept.bytes().len() == 7);
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn purge_is_not_undone_by_an_answer_on_its_way() {
    let (drill, client) = (drill(), Client::standard());
    let url = with_headers(&drill, "/delay/300", &["cache-control:max-age=60"]);
    let call = spawn(client.get(&url));
    hits(&drill, 1).await;
    assert_eq!(client.cache().invalidate(Purge::Url(url.clone())), 0);
    let late = spawn(client.get(&url));
    eventually("it joined", || client.snapshot().coalesced == 1).await;
    for call in [call, late] {
        crate::bench::answer(call).await.unwrap();
    }
    assert_eq!(client.cache().size().pages, 0);
}

#[tokio::test]
async fn answers_are_forgotten_by_url_prefix_tag_host_and_all() {
    let (drill, client) = (drill(), Client::standard());
    let fresh = "cache-control:max-age=60";
    let user = with_headers(&drill, "/ok?bytes=1", &[fresh, "surrogate-key:user-7 users"]);
    let tagged = with_headers(&drill, "/ok?bytes=2", &[fresh, "cache-tag:users, other"]);
    let plain = drill.url("/vary");
    for (purge, expected) in [
        (Purge::Url(format!("{plain}#part")), 1),
        (Purge::Prefix(drill.url("/ok")), 2),
        (Purge::Tag("users".into()), 2),
        (Purge::Tag("user-7".into()), 1),
        (Purge::Tag("user".into()), 0),
        (Purge::Host(drill.addr().to_string()), 3),
        (Purge::Host(drill.url("")), 3),
        (Purge::Everything, 3),
    ] {
        for url in [&user, &tagged, &plain] {
            get(&client, url).await;
        }
        assert_eq!(client.cache().size().pages, 3);
        assert_eq!(client.cache().invalidate(purge.clone()), expected, "{purge:?}");
        assert_eq!(client.cache().size().pages, 3 - expected, "{purge:?}");
    }
}

#[tokio::test]
async fn answers_are_forgotten_by_message() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/vary");
    get(&client, &url).await;
    let addr = client.addr();
    assert_eq!(addr.send(Invalidate::Tag("other".into())).await.unwrap(), 0);
    assert_eq!(addr.send(Invalidate::Url(url.clone())).await.unwrap(), 1);
    assert!(!get(&client, &url).await.report().cache.unwrap().hit);
    let text = format!("{:?}", Invalidate::Url("http://a/?token=secret".into()));
    assert_eq!(text, "Url(..)");
}

#[tokio::test]
async fn what_the_classifier_calls_a_failure_is_not_stored() {
    let drill = drill();
    let client = client(|builder| {
        builder.host("127.0.0.1", |host| host.attempts(1)).classifier(|_, _| Judgement::Failure)
    });
    let url = drill.url("/etag?max_age=60");
    for _ in 0..2 {
        assert!(!get(&client, &url).await.report().cache.unwrap().hit);
    }
}

#[tokio::test]
async fn handle_gives_takes_and_lists() {
    let (drill, client) = (drill(), Client::standard());
    let (cache, url) = (client.cache(), drill.url("/ok"));
    assert!(cache.get(&url).is_none());
    let seed = |said: &str| Response::builder().header("cache-control", said).body("seed").build();
    assert!(!cache.put(&url, seed("no-store")));
    assert!(cache.put(&url, seed("max-age=60")));
    assert_eq!(get(&client, &url).await.text().unwrap(), "seed");
    assert_eq!(cache.get(&url).unwrap().text().unwrap(), "seed");
    let listed: Vec<_> = cache.export().collect();
    assert_eq!((listed.len(), listed[0].status, listed[0].bytes), (1, 200, 4));
    assert_eq!(listed[0].url, url);
    assert!(!format!("{listed:?}").contains("127.0.0.1"));
    assert!(cache.size().bytes > 0);
    assert_eq!(drill.hits(), 0);
}

#[tokio::test]
async fn hits_need_no_actor() {
    let (drill, (entered, judging)) = (drill(), mpsc::channel());
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let client = client(|builder| {
        builder.classifier(move |head, _| {
            if head.url.contains("busy") {
                entered.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
            }
            Judgement::ByStatus
        })
    });
    let url = drill.url("/etag?max_age=60");
    get(&client, &url).await;
    let call = spawn(client.get(drill.url("/ok?key=busy")));
    tokio::task::spawn_blocking(move || judging.recv().unwrap()).await.unwrap();
    assert!(get(&client, &url).await.report().cache.unwrap().hit);
    assert!(!call.is_finished(), "the actors' thread is still busy");
    drop(release);
    crate::bench::answer(call).await.unwrap();
    at_rest(&client).await;
}

#[tokio::test]
async fn private_cache_of_one_identity_stores_what_is_for_it() {
    let drill = drill();
    let client = client(|builder| {
        builder.defaults(|config| {
            config.cache.mode = CacheKind::Private;
            config.cache.identity = Identity::Shared;
        })
    });
    let url = with_headers(&drill, "/ok", &["cache-control:private, max-age=60"]);
    for hit in [false, true] {
        let request = client.get(&url).bearer_auth("service");
        assert_eq!(request.send().await.unwrap().report().cache.unwrap().hit, hit);
    }
}

#[tokio::test]
async fn what_the_cache_does_is_counted() {
    let (drill, client) = (drill(), Client::standard());
    let (fresh, expired) = (drill.url("/etag?max_age=60"), drill.url("/etag?v=2&max_age=0"));
    for url in [&fresh, &fresh, &expired, &expired] {
        get(&client, url).await;
    }
    client.get(&expired).max_stale(std::time::Duration::from_secs(60)).send().await.unwrap();
    client.get(&fresh).cache_mode(CacheMode::NoStore).send().await.unwrap();
    client.cache().get(&fresh).unwrap();
    let tally = client.cache().tally();
    assert_eq!((tally.hits, tally.stale, tally.misses), (2, 1, 3));
    assert_eq!((tally.revalidated, tally.stored, tally.pages), (1, 3, 2));
    assert_eq!((tally.evicted, tally.evicted_bytes), (0, 0));
    assert_eq!(tally.bytes, client.cache().size().bytes);
}

pub(crate) async fn get(client: &Client, url: &str) -> Response {
    client.get(url).send().await.unwrap()
}

/// A path whose answers carry these headers.
pub(crate) fn with_headers(drill: &Drill, path: &str, lines: &[&str]) -> String {
    let mut url = url::Url::parse(&drill.url(path)).unwrap();
    for line in lines {
        url.query_pairs_mut().append_pair("header", line);
    }
    url.into()
}
