//! What cannot work is told at once, naming the place and what was expected.

use std::time::Duration;

use spillgate::{
    Breaker, BreakerOptions, Client, ClientBuilder, ErrorClass, ErrorKind, Limits, Timeouts,
};

use crate::bench::drill;

#[tokio::test]
async fn malformed_requests_are_refused_before_anything_is_sent() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/ok");
    let long = drill.url(&format!("/ok?{}", "x".repeat(9_000)));
    let bad = "ba\nd: x";
    for (call, expectations) in [
        (client.get("nonsense"), ["malformed", "expected http://"]),
        (client.get(""), ["malformed", "expected http://"]),
        (client.get("http://"), ["malformed", "expected http://"]),
        (client.get("http://[::1"), ["malformed", "expected http://"]),
        (client.get("ftp://127.0.0.1/"), ["`ftp`", "expected http or https"]),
        (client.get("file:///etc/passwd"), ["`file`", "expected http or https"]),
        (client.get(&long), ["the URL has", "expected at most 8192"]),
        (client.get(&url).query(&[("q", "x".repeat(9_000))]), ["the URL has", "at most 8192"]),
        (client.get(&url).header("x-a", "a\r\nb: c"), ["`x-a`", "without line breaks"]),
        (client.get(&url).header(bad, "a"), ["header's name", "expected an RFC 9110 token"]),
        (client.get(&url).bearer_auth("a\nb"), ["`authorization`", "without line breaks"]),
        (client.get(&url).deadline(Duration::ZERO), ["deadline of 0s", "more than zero"]),
        (client.get(&url).timeout(Duration::ZERO), ["attempt timeout of 0s", "more than zero"]),
        (client.get(&url).connect_timeout(Duration::ZERO), ["connect timeout of 0s", "zero"]),
        (client.get(&url).read_timeout(Duration::ZERO), ["read timeout of 0s", "more than zero"]),
        (client.get(&url).query(&[1, 2]), ["query", "expected pairs"]),
    ] {
        let error = call.send().await.unwrap_err();
        let text = error.to_string();
        assert_eq!(
            (error.kind(), error.class()),
            (ErrorKind::InvalidRequest, ErrorClass::Permanent)
        );
        for expected in expectations {
            assert!(text.contains(expected), "{expected:?} in {text:?}");
        }
    }
    assert_eq!((drill.hits(), client.snapshot().calls), (0, 0));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
}

#[test]
fn contradictions_are_refused_with_both_numbers() {
    let seconds = Duration::from_secs;
    check(
        |builder| builder.defaults(|config| config.defaults.timeouts.attempt = seconds(40)),
        &["timeouts.attempt", "40s", "30s"],
    );
    check(
        |builder| builder.defaults(|config| config.defaults.deadline = seconds(5)),
        &["timeouts.attempt", "10s", "5s"],
    );
    let timeouts = Timeouts { attempt: seconds(50), ..Timeouts::default() };
    check(
        |builder| builder.host("a.example", |host| host.timeouts(timeouts)),
        &["a.example", "timeouts.attempt", "50s", "30s"],
    );
    check(
        |builder| {
            builder.defaults(|config| {
                config.defaults.retry.backoff.base = seconds(20);
            })
        },
        &["retry.base", "20s", "10s"],
    );
}

#[test]
fn zeros_and_impossible_shares_are_refused() {
    let limits = |change: fn(&mut Limits)| {
        move |builder: ClientBuilder| builder.defaults(|config| change(&mut config.limits))
    };
    check(limits(|limits| limits.global = 0), &["limits.global", "at least 1"]);
    check(limits(|limits| limits.calls_max = 0), &["limits.calls", "at least 1"]);
    check(limits(|limits| limits.hosts_max = 0), &["limits.hosts", "at least 1"]);
    check(|b| b.host("a.example", |host| host.concurrency(0)), &["limits.per_host", "at least 1"]);
    check(|b| b.host("a.example", |host| host.attempts(0)), &["max_attempts", "at least 1"]);
    check(|b| b.host("a.example", |host| host.deadline(Duration::ZERO)), &["deadline", "zero"]);
    let breaker = |options: BreakerOptions| {
        move |builder: ClientBuilder| builder.host("a.example", |host| host.breaker(options))
    };
    check(breaker(Breaker::consecutive(0)), &["failure_threshold", "at least 1"]);
    check(breaker(Breaker::rate(1.5)), &["failure_rate", "1.5"]);
    check(breaker(Breaker::rate(f64::NAN)), &["failure_rate", "NaN"]);
}

#[test]
fn patterns_headers_and_files_are_refused_by_name() {
    check(|b| b.host("http://a.example/x", |host| host), &["http://a.example/x"]);
    check(|b| b.host("", |host| host), &["host"]);
    check(|b| b.host("a.example:99999", |host| host), &["a.example:99999"]);
    check(|b| b.default_header("x-a", "a\nb"), &["default header", "expected"]);
    check(|b| b.ca_file("/nowhere/ca.pem"), &["/nowhere/ca.pem", "No such file"]);
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_owned();
    check(|b| b.ca_file(&path), &[path.to_str().unwrap()]);
    let error = Client::builder().config_file("/nowhere/spillgate.toml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("/nowhere/spillgate.toml"), "{error}");
    std::fs::write(&path, "[defaults]\ndeadlin = \"3s\"\n").unwrap();
    let error = Client::builder().config_file(&path).unwrap_err().to_string();
    for expected in ["deadlin", "2", "deadline", "^"] {
        assert!(error.contains(expected), "{expected:?} in {error}");
    }
}

#[track_caller]
fn check(change: impl FnOnce(ClientBuilder) -> ClientBuilder, expectations: &[&str]) {
    let Err(error) = change(Client::builder()).build() else { panic!("it cannot work") };
    let text = error.to_string();
    assert_eq!((error.kind(), error.class()), (ErrorKind::InvalidConfig, ErrorClass::Permanent));
    for expected in expectations {
        assert!(text.contains(expected), "{expected:?} in {text:?}");
    }
}
