//! Paths that answer whole, each with its parameters.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::super::Drill;
use super::{client, get, json, status};

#[tokio::test]
async fn ok_has_the_length_and_type_asked_for() {
    let drill = Drill::start().unwrap();
    assert_eq!(get(&drill, "/ok").await.text().await.unwrap(), "ok");
    let text = get(&drill, "/ok?bytes=100000").await.bytes().await.unwrap();
    assert_eq!(text.len(), 100_000);
    assert!(text.iter().zip((b'a'..=b'z').cycle()).all(|(byte, letter)| *byte == letter));
    assert_eq!(json(&drill, "/ok?type=json").await, json!({ "ok": true }));
    for bytes in [22, 23, 70_000] {
        let answer = get(&drill, &format!("/ok?type=json&bytes={bytes}")).await;
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), bytes);
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["ok"], true);
    }
    assert_eq!(get(&drill, "/ok?bytes=0").await.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn status_without_times_stays() {
    let drill = Drill::start().unwrap();
    for _ in 0..3 {
        assert_eq!(status(&drill, "/status/503").await, 503);
    }
    for code in [200, 204, 205, 304, 404, 429, 599] {
        assert_eq!(status(&drill, &format!("/status/{code}")).await, code);
    }
    assert_eq!(drill.hits_at("/status/503"), 3);
}

#[tokio::test]
async fn status_turns_to_200_after_its_times_by_key() {
    let drill = Drill::start().unwrap();
    let mut seen = Vec::new();
    for target in [
        "/status/503?times=2",
        "/status/503?times=2",
        "/status/503?times=2",
        "/status/503?times=2&other",
        "/status/500?times=1&key=a",
        "/status/500?times=1&key=a",
        "/status/500?times=1&key=b",
        "/status/500?times=0&key=c",
    ] {
        seen.push(status(&drill, target).await);
    }
    assert_eq!(seen, [503, 503, 200, 503, 500, 200, 500, 200]);
    assert_eq!(drill.hits_of("a"), 2);
    assert_eq!(drill.hits_of("/status/503?times=2"), 3);
}

#[tokio::test]
async fn retry_after_is_seconds_or_a_date_just_ahead() {
    let drill = Drill::start().unwrap();
    let answer = get(&drill, "/status/429?retry_after=7").await;
    assert_eq!(answer.headers()["retry-after"], "7");
    assert!(!get(&drill, "/status/429").await.headers().contains_key("retry-after"));
    let before = SystemTime::now();
    let answer = get(&drill, "/status/503?retry_after=date&times=1").await;
    let date = answer.headers()["retry-after"].to_str().unwrap();
    let date = httpdate::parse_http_date(date).unwrap();
    assert!(date > before + Duration::from_secs(1), "{date:?}");
    assert!(date <= SystemTime::now() + Duration::from_secs(2), "{date:?}");
    let answer = get(&drill, "/status/503?retry_after=date&times=1").await;
    assert!(!answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn flap_cycles() {
    let drill = Drill::start().unwrap();
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(status(&drill, "/flap?ok=2&fail=1&key=f").await);
    }
    assert_eq!(seen, [200, 200, 503, 200, 200, 503, 200]);
    assert_eq!(status(&drill, "/flap?ok=0&fail=1").await, 503);
    assert_eq!(status(&drill, "/flap?ok=1&fail=0").await, 200);
}

#[tokio::test]
async fn delay_is_at_least_as_long_as_asked_for() {
    let drill = Drill::start().unwrap();
    let start = std::time::Instant::now();
    assert_eq!(status(&drill, "/delay/80?jitter=20").await, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn etag_answers_304_to_its_validators_only() {
    let drill = Drill::start().unwrap();
    let url = drill.url("/etag?v=7&max_age=1&swr=2&sie=3");
    let fresh = client().get(&url).send().await.unwrap();
    assert_eq!(fresh.headers()["etag"], "\"7\"");
    assert_eq!(
        fresh.headers()["cache-control"],
        "max-age=1, stale-while-revalidate=2, stale-if-error=3"
    );
    let modified = fresh.headers()["last-modified"].to_str().unwrap().to_owned();
    let check = async |name: &str, value: &str| {
        let answer = client().get(&url).header(name, value).send().await.unwrap();
        assert_eq!(answer.headers()["etag"], "\"7\"");
        answer.status().as_u16()
    };
    assert_eq!(check("if-none-match", "\"7\"").await, 304);
    assert_eq!(check("if-none-match", "\"6\", W/\"7\"").await, 304);
    assert_eq!(check("if-none-match", "*").await, 304);
    assert_eq!(check("if-none-match", "\"8\"").await, 200);
    assert_eq!(check("if-modified-since", &modified).await, 304);
    assert_eq!(check("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT").await, 200);
    let plain = get(&drill, "/etag").await;
    assert_eq!(plain.headers()["cache-control"], "no-cache");
    assert_ne!(plain.headers()["last-modified"], modified);
}

#[tokio::test]
async fn vary_names_the_language_it_saw() {
    let drill = Drill::start().unwrap();
    let request = client().get(drill.url("/vary")).header("accept-language", "de");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["vary"], "Accept-Language");
    assert_eq!(answer.headers()["cache-control"], "max-age=60");
    assert_eq!(answer.text().await.unwrap(), r#"{"accept_language":"de"}"#);
    assert_eq!(json(&drill, "/vary").await, json!({ "accept_language": null }));
}

#[tokio::test]
async fn echo_tells_the_request() {
    let drill = Drill::start().unwrap();
    let url = drill.url("/echo?a=b");
    let request = client().put(&url).header("x-a", "1").header("x-a", "2").body("tea");
    let told: Value =
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(told["method"], "PUT");
    assert_eq!((&told["path"], &told["query"]), (&json!("/echo"), &json!("a=b")));
    assert_eq!(told["headers"]["x-a"], json!(["1", "2"]));
    assert_eq!((&told["body"], &told["body_len"]), (&json!("tea"), &json!(3)));

    let binary = client().post(&url).body(vec![0xff, 0x00]).send().await.unwrap();
    let told: Value = serde_json::from_slice(&binary.bytes().await.unwrap()).unwrap();
    assert_eq!((&told["body"], &told["body_hex"]), (&Value::Null, &json!("ff00")));

    let limit = 1024 * 1024;
    let whole = client().post(&url).body(vec![b'x'; limit]).send().await.unwrap();
    assert_eq!(whole.status(), 200);
    let long = client().post(&url).body(vec![b'x'; limit + 1]).send().await.unwrap();
    assert_eq!(long.status(), 413);
    assert_eq!(drill.read(|ledger| ledger.requests().last().unwrap().body_len()), 1_048_577);
}

#[tokio::test]
async fn redirects_end_where_they_should() {
    let drill = Drill::start().unwrap();
    let follow = super::builder().redirect(reqwest::redirect::Policy::limited(5)).build().unwrap();
    let end = follow.get(drill.url("/redirect/3")).send().await.unwrap();
    assert_eq!((end.url().path(), end.status().as_u16()), ("/ok", 200));
    assert_eq!(drill.hits(), 4);
    let target = "/redirect/2?to=%2Fstatus%2F404%3Fa%3Db%26c&status=307";
    let end = follow.get(drill.url(target)).send().await.unwrap();
    assert_eq!(end.url().as_str(), drill.url("/status/404?a=b&c"));
    assert_eq!(status(&drill, "/redirect/2?status=308").await, 308);
    assert_eq!(status(&drill, "/redirect/0").await, 200);
    let far = get(&drill, "/redirect/1?to=http://other.test/x").await;
    assert_eq!(far.headers()["location"], "http://other.test/x");
}

#[tokio::test]
async fn gzip_expands_to_zeros() {
    let drill = Drill::start().unwrap();
    for bytes in [0, 1, 3_000_000] {
        let answer = get(&drill, &format!("/gzip?bytes={bytes}")).await;
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        let packed = answer.bytes().await.unwrap();
        assert!(packed.len() < 100 + bytes / 100, "{} for {bytes}", packed.len());
        let mut plain = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, vec![0; bytes]);
    }
}

#[tokio::test]
async fn problem_is_problem_json() {
    let drill = Drill::start().unwrap();
    let answer = get(&drill, "/problem/422").await;
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["status"], 422);
    assert_eq!(problem["title"], "Unprocessable Entity");
    assert_eq!(problem["instance"], "/problem/422");
    assert!(problem["type"].is_string() && problem["detail"].is_string());
}

#[tokio::test]
async fn count_counts_others_and_not_itself() {
    let drill = Drill::start().unwrap();
    assert_eq!(json(&drill, "/count?key=a").await, json!({ "key": "a", "hits": 0 }));
    for target in ["/ok?key=a", "/nothing?key=a", "/ok?bytes=x&key=b", "/ok"] {
        status(&drill, target).await;
    }
    assert_eq!(json(&drill, "/count?key=a").await["hits"], 1);
    assert_eq!(json(&drill, "/count?path=/ok").await, json!({ "path": "/ok", "hits": 3 }));
    assert_eq!(json(&drill, "/count").await, json!({ "key": null, "hits": 4 }));
    get(&drill, "/").await;
    assert_eq!(drill.hits(), 4);
}

#[tokio::test]
async fn unknown_paths_and_wrong_parameters_say_what_would_be_right() {
    let drill = Drill::start().unwrap();
    let answer = get(&drill, "/nothing").await;
    assert_eq!(answer.status(), 404);
    let listed: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let paths = listed["paths"].as_array().unwrap();
    assert!(paths.iter().any(|path| path.as_str().unwrap().starts_with("/status/{code}")));
    let wrong = get(&drill, "/slow?every=soon").await;
    assert_eq!(wrong.status(), 400);
    let wrong: Value = serde_json::from_slice(&wrong.bytes().await.unwrap()).unwrap();
    assert_eq!(wrong["parameter"], "every");
    assert_eq!(wrong["expected"], "a whole number from 0 to 86400000");
    let index = get(&drill, "/").await.text().await.unwrap();
    assert!(paths.iter().all(|path| index.contains(path.as_str().unwrap())));
}

#[tokio::test]
async fn every_method_is_served_and_head_has_no_body() {
    let drill = Drill::start().unwrap();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let request = client().request(method.parse().unwrap(), drill.url("/ok"));
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "ok");
    }
    let head = client().head(drill.url("/ok?bytes=200000000")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "200000000");
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    assert_eq!(drill.in_flight(), 0);
    assert_eq!(drill.read(super::super::ledger::Ledger::aborted_in_all), 0);
}
