//! Nine faults of widely used caches, each right here, through `serve` and through the library.
//!
//! They were found by running the public suite of `http-tests/cache-tests` and bursts of requests
//! against the peers on one machine; the sections are of RFC 9111 unless they name another.

use http::Method;

use super::doors::{Case, say, say_head, through_both};

/// Fresh for a minute.
const FRESH: &str = "Cache-Control: max-age=60\r\n";
/// Expired when it comes, and to be had again by its tag.
const EXPIRED: &str = "Cache-Control: max-age=5\r\nAge: 9\r\nETag: \"1\"\r\n";

/// How an origin fails: with a status, and by ending the connection without a word.
fn failures() -> [Vec<u8>; 2] {
    [say("503 Service Unavailable", "", "down"), Vec::new()]
}

/// What is stored has these fields, and the origin fails from then on: it is not served.
async fn failure_is_passed_on(fields: &'static str) {
    for failure in failures() {
        let answers = move |number: usize, _: &str| match number {
            0 => say("200 OK", fields, "kept"),
            _ => failure.clone(),
        };
        through_both(answers, async |case: &Case| {
            assert_eq!(case.get(&[]).await.text(), "kept");
            for _ in 0..2 {
                let failed = case.get(&[]).await;
                assert!(matches!(failed.status, 502..=504), "{fields}: {failed:?}");
                assert_ne!(failed.body, "kept", "{fields}");
            }
            assert!(case.asked() >= 3, "{fields}: the origin is asked each time");
        })
        .await;
    }
}

/// First fault: only one line of a field that came in two is stored (section 3.1: all of a response's
/// fields are; an `http`-style map whose values are inserted, not appended, keeps the last).
#[tokio::test]
async fn both_link_lines_survive_a_hit() {
    let links = "Link: </a.css>; rel=preload\r\nLink: </b>; rel=next\r\n";
    let answers = move |_: usize, _: &str| say("200 OK", &format!("{FRESH}{links}"), "kept");
    through_both(answers, async |case: &Case| {
        for _ in 0..3 {
            let seen = case.get(&[]).await;
            let both: [&[u8]; 2] = [b"</a.css>; rel=preload", b"</b>; rel=next"];
            assert_eq!(seen.lines("link"), both);
        }
        assert_eq!(case.asked(), 1);
    })
    .await;
}

/// Second fault: of a field that `Vary` names only the first line is compared (section 4.1 wants the
/// lines combined), so that one request is given the answer to another.
#[tokio::test]
async fn vary_compares_every_line_of_a_field() {
    let fields = format!("{FRESH}Vary: X-Lane\r\n");
    let answers = move |number: usize, _: &str| say("200 OK", &fields, &number.to_string());
    through_both(answers, async |case: &Case| {
        let ask = async |lines: &[&str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("X-Lane", *line)).collect();
            case.get(&fields).await.text().to_owned()
        };
        assert_eq!(ask(&["a", "b"]).await, "0");
        assert_eq!(ask(&["a"]).await, "1");
        assert_eq!(ask(&["a", "c"]).await, "2");
        assert_eq!(ask(&["b", "a"]).await, "3");
        assert_eq!(ask(&[]).await, "4");
        for lines in [&["a", "b"][..], &["a, b"], &["a,b"]] {
            assert_eq!(ask(lines).await, "0", "{lines:?}");
        }
        assert_eq!(ask(&["a"]).await, "1");
        assert_eq!(case.asked(), 5);
    })
    .await;
}

/// Third fault: a directive counts only in lower case, and what one user was given is stored for all
/// (section 5.2: names are compared without regard to case).
#[tokio::test]
async fn no_store_and_private_count_in_any_case() {
    for said in [
        "No-Store, max-age=60",
        "max-age=60, NO-STORE",
        "Private, max-age=60",
        "PRIVATE, Max-Age=60",
        "Private=\"\", max-age=60",
        "max-age=60\r\nCache-Control: No-Store",
    ] {
        let answers = move |number: usize, _: &str| {
            say("200 OK", &format!("Cache-Control: {said}\r\n"), &number.to_string())
        };
        through_both(answers, async |case: &Case| {
            for number in ["0", "1", "2"] {
                assert_eq!(case.get(&[]).await.text(), number, "{said}");
            }
        })
        .await;
    }
}

/// Fourth fault: an `Age` of the largest number there is makes the reader panic, or wraps round to
/// something young (section 1.2.2: what overflows is as old as can be told).
#[tokio::test]
async fn largest_age_makes_an_answer_old_and_harms_nobody() {
    for age in ["18446744073709551615", "18446744073709551616", "99999999999999999999999"] {
        let answers = move |number: usize, _: &str| {
            let fields = format!("Cache-Control: max-age=60\r\nETag: \"1\"\r\nAge: {age}\r\n");
            say("200 OK", &fields, &number.to_string())
        };
        through_both(answers, async |case: &Case| {
            assert_eq!(case.get(&[]).await.text(), "0");
            assert_eq!(case.get(&[]).await.text(), "1", "{age}: it is long stale");
            let stale = case.get(&[("Cache-Control", "max-stale")]).await;
            assert_eq!(stale.text(), "1");
            let told: u64 = String::from_utf8_lossy(stale.lines("age")[0]).parse().unwrap();
            assert!(told >= 1 << 31, "{told}");
            assert_eq!(case.asked(), 2);
        })
        .await;
    }
}

/// Fifth fault: a 503, or no answer at all, brings back what had to be validated (section 5.2.2.2; RFC
/// 5861 section 4 gives way to it).
#[tokio::test]
async fn expired_must_revalidate_is_not_served_for_a_503() {
    for fields in [
        "Cache-Control: max-age=5, must-revalidate\r\nAge: 9\r\n",
        "Cache-Control: max-age=5, proxy-revalidate\r\nAge: 9\r\nETag: \"1\"\r\n",
        "Cache-Control: s-maxage=5\r\nAge: 9\r\nETag: \"1\"\r\n",
        "Cache-Control: max-age=5, must-revalidate, stale-if-error=60\r\nAge: 9\r\nETag: \"1\"\r\n",
    ] {
        failure_is_passed_on(fields).await;
    }
}

/// Sixth fault: `stale-if-error=0` is read as if it said nothing, and the default budget serves what
/// the origin does not want served (RFC 5861 section 4).
#[tokio::test]
async fn stale_if_error_of_zero_serves_nothing_stale() {
    for said in ["stale-if-error=0", "Stale-If-Error=\"0\""] {
        let fields = format!("Cache-Control: max-age=5, {said}\r\nAge: 9\r\nETag: \"1\"\r\n");
        failure_is_passed_on(fields.leak()).await;
    }
    // It is the word that forbids it: without it, the budget covers a failure.
    for failure in failures() {
        let answers = move |number: usize, _: &str| match number {
            0 => say("200 OK", EXPIRED, "kept"),
            _ => failure.clone(),
        };
        through_both(answers, async |case: &Case| {
            for _ in 0..3 {
                assert_eq!(case.get(&[]).await.text(), "kept");
            }
        })
        .await;
    }
}

/// Seventh fault: a stored `no-cache` answer stands in when the origin resets the connection (section
/// 5.2.2.4: not without its word).
#[tokio::test]
async fn stored_no_cache_is_not_served_for_a_reset() {
    for fields in [
        "Cache-Control: no-cache, max-age=60\r\nETag: \"1\"\r\n",
        "Cache-Control: no-cache, stale-if-error=60\r\nETag: \"1\"\r\n",
        "Cache-Control: no-cache\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        failure_is_passed_on(fields).await;
    }
}

/// Eighth fault: a field that a 304 brings for the first time is dropped (section 3.2: each field that
/// it gives is added).
#[tokio::test]
async fn field_that_a_304_brings_first_is_kept() {
    let answers = |number: usize, head: &str| {
        if number == 0 {
            return say("200 OK", EXPIRED, "kept");
        }
        assert!(head.to_ascii_lowercase().contains("if-none-match: \"1\""), "{head}");
        say_head("304 Not Modified", &format!("{FRESH}ETag: \"1\"\r\nX-New: a\r\nX-New: b\r\n"))
    };
    through_both(answers, async |case: &Case| {
        assert!(case.get(&[]).await.lines("x-new").is_empty());
        for _ in 0..3 {
            let seen = case.get(&[]).await;
            assert_eq!((seen.status, seen.text()), (200, "kept"));
            let lines: [&[u8]; 2] = [b"a", b"b"];
            assert_eq!(seen.lines("x-new"), lines);
        }
        assert_eq!(case.asked(), 2, "it is fresh again");
    })
    .await;
}

/// Ninth fault, first half: what a 304 says of a stored field is dropped, or takes what it does not
/// mention along, or what frames the body (section 3.2).
#[tokio::test]
async fn what_a_304_says_replaces_what_was_stored_and_no_more() {
    let first = "Content-Type: text/plain\r\nContent-Encoding: x-own\r\nX-Old: 1\r\nX-Two: a\r\nX-Two: b\r\n";
    let answers = move |number: usize, _: &str| match number {
        0 => say("200 OK", &format!("{EXPIRED}{first}"), "kept"),
        _ => say_head(
            "304 Not Modified",
            &format!("{FRESH}ETag: \"1\"\r\nX-Two: c\r\nContent-Encoding: x-other\r\n"),
        ),
    };
    through_both(answers, async |case: &Case| {
        case.get(&[]).await;
        for _ in 0..2 {
            let seen = case.get(&[]).await;
            assert_eq!((seen.status, seen.text()), (200, "kept"));
            for (name, value) in [
                ("x-two", "c"),
                ("x-old", "1"),
                ("content-type", "text/plain"),
                ("content-encoding", "x-own"),
                ("cache-control", "max-age=60"),
                ("etag", "\"1\""),
            ] {
                assert_eq!(seen.lines(name), [value.as_bytes()], "{name}");
            }
            let age = seen.lines("age");
            assert!(age.is_empty() || age == [b"0"] || age == [b"1"], "{age:?}");
        }
        assert_eq!(case.asked(), 2);
    })
    .await;
}

/// Ninth fault, second half: the answer to a `HEAD` changes nothing, or hides that the stored answer is
/// of yesterday (section 4.3.5).
#[tokio::test]
async fn head_renews_what_it_agrees_with_and_ends_what_it_does_not() {
    for (told, renews) in [
        ("ETag: \"1\"\r\nContent-Length: 4\r\n", true),
        ("ETag: \"2\"\r\nContent-Length: 4\r\n", false),
        ("ETag: \"1\"\r\nContent-Length: 5\r\n", false),
    ] {
        let answers = move |_: usize, head: &str| {
            if head.starts_with("HEAD") {
                return say_head("200 OK", &format!("{FRESH}{told}X-New: 1\r\n"));
            }
            say("200 OK", EXPIRED, "kept")
        };
        through_both(answers, async |case: &Case| {
            case.get(&[]).await;
            let head = case.send(Method::HEAD, "/a", &[]).await;
            assert_eq!((head.status, head.text()), (200, ""));
            let seen = case.get(&[]).await;
            assert_eq!((seen.status, seen.text()), (200, "kept"), "{told}");
            assert_eq!(seen.lines("x-new").len(), usize::from(renews), "{told}");
            assert_eq!(case.asked(), if renews { 2 } else { 3 }, "{told}");
            if !renews {
                let conditions = ["if-none-match", "if-modified-since"];
                let last = case.origin.heads().remove(2).to_ascii_lowercase();
                assert!(!conditions.iter().any(|name| last.contains(name)), "{last}");
            }
        })
        .await;
    }
}
