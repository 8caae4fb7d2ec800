//! What lies beside the rules of caching and harms a cache all the same: connections that end at the
//! wrong moment, bytes that are no text, delimiters inside values, and many variants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use spillgate::Client;

use super::doors::{Case, Door, say, say_head, through_both};
use super::origin::{Origin, ok};
use crate::bench::eventually;

const FRESH: &str = "Cache-Control: max-age=60\r\n";

/// The rest of a body that is longer than it said reads as the answer to the next request, which may
/// be another user's: such a connection is of no more use (PITFALLS S8).
#[tokio::test]
async fn body_longer_than_its_length_answers_nobody_else() {
    let answers = |_: usize, head: &str| {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let mut answer = say("200 OK", "Cache-Control: no-store\r\n", &path);
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        answer
    };
    through_both(answers, async |case: &Case| {
        for path in ["/a", "/b", "/c", "/d"] {
            let seen = case.send(Method::GET, path, &[]).await;
            assert_eq!((seen.status, seen.text()), (200, path));
        }
        assert_eq!((case.asked(), case.origin.connections().0), (4, 4), "each has its own");
    })
    .await;
}

/// An origin may close a connection between two requests: nothing of the next one was sent on it, so
/// that one goes out on another, whatever its method.
#[tokio::test]
async fn connection_that_ended_while_idle_costs_no_request() {
    let answers = |_: usize, _: &str| say("200 OK", "Cache-Control: no-store\r\nX-Ends: 1\r\n", "");
    through_both(answers, async |case: &Case| {
        for (sent, method) in [Method::GET, Method::POST].iter().cycle().take(8).enumerate() {
            let seen = case.send(method.clone(), "/a", &[("Content-Length", "0")]).await;
            assert_eq!(seen.status, 200, "{method} {sent}");
            eventually("it is closed", || case.origin.connections() == (sent + 1, sent + 1)).await;
        }
        assert_eq!(case.asked(), 8, "none was sent twice");
    })
    .await;
}

/// A connection that ends under a request that was written may have ended after the request was carried
/// out: it is sent again only where that does no harm, and where the policy says so.
#[tokio::test]
async fn connection_that_ends_under_a_request_repeats_only_what_may_be() {
    let answers = |number: usize, _: &str| match number {
        1 => Vec::new(),
        _ => say("200 OK", "Cache-Control: no-store\r\n", "seen"),
    };
    for (method, again) in [(Method::GET, true), (Method::POST, false)] {
        let number = AtomicUsize::new(0);
        let origin =
            Origin::start(move |head| answers(number.fetch_add(1, Ordering::SeqCst), head));
        origin.gate(true);
        let (client, url) = (Client::standard(), format!("http://{}/a", origin.addr));
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        let answer = client.request(method.clone(), &url).send().await;
        assert_eq!(answer.is_ok(), again, "{method}: {answer:?}");
        assert_eq!(origin.count(), if again { 3 } else { 2 }, "{method}");
        assert_eq!(origin.connections().0, origin.count() - 1, "the first was used again");
    }
    // The proxy leaves repeating what was sent to the client before it, which knows what it asked for.
    through_both(answers, async |case: &Case| {
        let Door::Serve(_) = &case.door else { return };
        assert_eq!(case.get(&[]).await.status, 200);
        assert_eq!((case.get(&[]).await.status, case.asked()), (502, 2));
        assert_eq!(case.get(&[]).await.status, 200);
    })
    .await;
}

/// Values are bytes (RFC 9110 section 5.5): what is no text survives both ways, chooses among answers,
/// and neither fails a request nor is mended.
#[tokio::test]
async fn values_that_are_no_text_survive_a_hit() {
    let answers = |number: usize, _: &str| {
        let mut head =
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-Name: caf\xe9\r\n".to_vec();
        head.extend_from_slice(b"Link: </\xff\x80>; rel=a\r\nETag: \"\xfc\"\r\nVary: X-Lane\r\n");
        head.extend_from_slice(format!("Content-Length: 1\r\n\r\n{number}").as_bytes());
        head
    };
    through_both(answers, async |case: &Case| {
        for _ in 0..3 {
            let seen = case.get(&[("X-Lane", "\u{e9}")]).await;
            assert_eq!(seen.text(), "0");
            assert_eq!(seen.lines("x-name"), [b"caf\xe9"]);
            assert_eq!(seen.lines("link"), [b"</\xff\x80>; rel=a"]);
            assert_eq!(seen.lines("etag"), [b"\"\xfc\""]);
        }
        assert_eq!(case.get(&[("X-Lane", "\u{e8}")]).await.text(), "1");
        assert_eq!(case.get(&[("X-Lane", "\u{e9}")]).await.text(), "0");
        assert_eq!(case.asked(), 2);
    })
    .await;
}

/// `stale-if-error` is for good answers: an error that was stored and has expired is no better than the
/// error that came.
#[tokio::test]
async fn stale_error_stands_in_for_no_error() {
    for stored in ["500 Internal Server Error", "503 Service Unavailable", "504 Gateway Timeout"] {
        let answers = move |number: usize, _: &str| {
            let fields = "Cache-Control: max-age=5, stale-if-error=60\r\nAge: 9\r\nETag: \"1\"\r\n";
            match number {
                0 => say(stored, fields, "old"),
                _ => say("503 Service Unavailable", "Cache-Control: no-store\r\n", "new"),
            }
        };
        through_both(answers, async |case: &Case| {
            case.get(&[]).await;
            for _ in 0..2 {
                let seen = case.get(&[]).await;
                assert_eq!((seen.status, seen.text()), (503, "new"), "{stored}");
            }
        })
        .await;
    }
}

/// Lifetimes are guessed from `Last-Modified` for the statuses that RFC 9110 section 15.1 lists, and for
/// others only where the answer says `public` (RFC 9111 section 4.2.2).
#[tokio::test]
async fn lifetimes_are_guessed_for_the_listed_statuses_and_for_what_is_public() {
    let listed = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
    let others = [201, 202, 302, 303, 307, 400, 403, 406, 409, 422, 429, 505];
    let answers = |_: usize, head: &str| {
        let path = head.split(' ').nth(1).unwrap();
        let (status, said) = path[1..].split_once('/').unwrap();
        let fields = format!(
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Said: {said}\r\n{}",
            if said == "public" { "Cache-Control: public\r\n" } else { "" }
        );
        match status {
            "204" => say_head("204 No Content", &fields),
            _ => say(&format!("{status} Status"), &fields, "seen"),
        }
    };
    through_both(answers, async |case: &Case| {
        let all =
            listed.iter().map(|status| (status, true)).chain(others.iter().map(|s| (s, false)));
        for (status, guessed) in all {
            for (said, hit) in [("nothing", guessed), ("public", true)] {
                let before = case.asked();
                let path = format!("/{status}/{said}");
                for _ in 0..2 {
                    let seen = case.send(Method::GET, &path, &[]).await;
                    assert_eq!(seen.status, *status, "{said}");
                }
                assert_eq!(case.asked() - before, if hit { 1 } else { 2 }, "{status} {said}");
            }
        }
    })
    .await;
}

/// Whoever reads `Cache-Status` learns of every answer what became of it, one of the proxy's own
/// included (RFC 9211); `tests/conformance` reads those of the whole suite strictly.
#[tokio::test]
async fn every_answer_says_what_the_cache_did() {
    let answers = |number: usize, _: &str| match number {
        0 => say("200 OK", FRESH, "seen"),
        1 => say("503 Service Unavailable", "Cache-Status: edge; fwd=stale\r\n", "down"),
        _ => Vec::new(),
    };
    through_both(answers, async |case: &Case| {
        let Door::Serve(_) = &case.door else { return };
        for (method, path, fields, told) in [
            (Method::GET, "/a", &[][..], "spillgate; fwd=uri-miss; stored"),
            (Method::GET, "/a", &[], "spillgate; hit; ttl=60"),
            (Method::HEAD, "/a", &[("Range", "bytes=0-1")], "spillgate; hit; ttl=60"),
            (Method::GET, "/b", &[], "edge; fwd=stale, spillgate; fwd=uri-miss"),
            (Method::GET, "/c", &[], "spillgate; detail=connection_terminated"),
            (
                Method::GET,
                "/c",
                &[("Cache-Control", "only-if-cached")],
                "spillgate; detail=not-stored",
            ),
            (Method::GET, "/a", &[("Host", "b")], "spillgate; detail=refused"),
            (Method::DELETE, "/a", &[], "spillgate; detail=connection_terminated"),
        ] {
            let seen = case.send(method.clone(), path, fields).await;
            let lines = seen.lines("cache-status");
            let said = String::from_utf8(lines.join(&b", "[..])).unwrap();
            let said = ["59", "58"].iter().fold(said, |said, secs| said.replace(secs, "60"));
            assert_eq!(said, told, "{method} {path} {fields:?}");
        }
    })
    .await;
}

/// RFC 9111 section 3.5, and what else is meant for one (PITFALLS S7): whoever comes after gets none of
/// it, with credentials of its own or without.
#[tokio::test]
async fn what_is_for_one_is_given_to_nobody_else() {
    for said in [
        "Cache-Control: max-age=60\r\nX-Credentials: 1\r\n",
        "Cache-Control: no-store, max-age=60, public\r\n",
        "Cache-Control: private, max-age=60\r\n",
        "Cache-Control: max-age=60\r\nSet-Cookie: id=1\r\n",
        "Cache-Control: max-age=60\r\nVary: *\r\n",
        "Cache-Control: max-age=60\r\nVary: Accept, *\r\n",
    ] {
        let answers = move |number: usize, _: &str| say("200 OK", said, &number.to_string());
        through_both(answers, async |case: &Case| {
            let first: &[(&str, &str)] =
                if said.contains("Credentials") { &[("Authorization", "Bearer a")] } else { &[] };
            let askers = [first, &[], &[("Authorization", "Bearer b")], &[("Cookie", "id=2")]];
            for (number, fields) in askers.into_iter().enumerate() {
                let seen = case.get(fields).await;
                assert_eq!(seen.text() == "0", number == 0, "{said}: {fields:?}");
            }
        })
        .await;
    }
}

/// A 5xx that says how long it is fresh takes no good answer's place (PITFALLS S7).
#[tokio::test]
async fn good_answer_outlives_an_error_with_a_lifetime() {
    let answers = |number: usize, _: &str| match number {
        0 => say("200 OK", FRESH, "good"),
        _ => say("503 Service Unavailable", FRESH, "bad"),
    };
    through_both(answers, async |case: &Case| {
        assert_eq!(case.get(&[]).await.text(), "good");
        case.get(&[("Cache-Control", "no-cache")]).await;
        assert_eq!(case.asked(), 2);
        assert_eq!(case.get(&[]).await.text(), "good");
        assert_eq!(case.asked(), 2);
    })
    .await;
}

/// Nothing inside a value ends it: requests that say different things are told apart, whatever stands in
/// them: undici#5012 (PITFALLS S7).
#[tokio::test]
async fn delimiters_inside_values_join_no_two_requests() {
    let said: [&[(&str, &str)]; 10] = [
        &[("X-A", "1"), ("X-B", "2")],
        &[("X-A", "1, X-B: 2")],
        &[("X-A", "1|2")],
        &[("X-A", "1"), ("X-B", "")],
        &[("X-A", "1")],
        &[("X-A", "1;2")],
        &[("X-A", "\"1, 2\"")],
        &[("X-A", "1, 2")],
        &[("X-B", "1, 2")],
        &[("X-A", "1 2")],
    ];
    let fields = format!("{FRESH}Vary: X-A, X-B\r\n");
    let answers = move |number: usize, _: &str| say("200 OK", &fields, &number.to_string());
    through_both(answers, async |case: &Case| {
        for _ in 0..2 {
            for (number, fields) in said.iter().enumerate() {
                assert_eq!(case.get(fields).await.text(), number.to_string(), "{fields:?}");
            }
        }
        assert_eq!(case.asked(), said.len());
        for (path, other) in [("/x?a=1&b=2", "/x?a=1%26b=2"), ("/x?", "/x"), ("/x/y", "/x%2Fy")] {
            let one = case.send(Method::GET, path, &[]).await;
            assert_ne!(one.body, case.send(Method::GET, other, &[]).await.body, "{path} {other}");
        }
    })
    .await;
}

/// Two thousand values of one field in `Vary`: the room for them is bounded, and whoever asks gets the
/// answer to what it said. `two_thousand_variants_stay_bounded_and_right` is the same for `serve`.
#[tokio::test]
async fn two_thousand_values_are_bounded_and_none_is_wrong_in_the_library() {
    let origin = Origin::start(|head| {
        let line = head.lines().find_map(|line| line.strip_prefix("x-lane: ")).unwrap();
        ok("Cache-Control: max-age=60\r\nVary: X-Lane\r\n", &format!("lane {line}."))
    });
    origin.gate(true);
    let (client, url) = (Client::standard(), format!("http://{}/a", origin.addr));
    let hits = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..20)
        .map(|worker| {
            let (client, url, hits) = (client.clone(), url.clone(), hits.clone());
            tokio::spawn(async move {
                for lane in (0..200).map(|number| worker * 100 + number % 100) {
                    let request = client.get(&url).header("x-lane", lane.to_string());
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.text().unwrap(), format!("lane {lane}."));
                    let hit = answer.report().cache.unwrap().hit;
                    hits.fetch_add(usize::from(hit), Ordering::SeqCst);
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let size = client.cache().size();
    assert_eq!(size.pages, 1);
    assert!(size.bytes < 128 * 1024, "{size:?}");
    assert_eq!(origin.count() + hits.load(Ordering::SeqCst), 4_000);
    assert!(origin.count() >= 2_000);
}
