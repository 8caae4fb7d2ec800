//! Injected faults over real sockets: what they do, whom they strike, and whom they spare.

use std::time::{Duration, Instant};

use spillgate::actors::core::backoff::{BackoffOptions, Jitter};
use spillgate::actors::decision::DecisionKind;
use spillgate::testing::Drill;
use spillgate::{
    BreakerState, CallReport, Chaos, Client, ClientBuilder, Config, ErrorClass, ErrorKind, Fault,
    Key,
};

use crate::bench::{PATIENCE, at_rest, client, drill, eventually, five, hits, scope_of, spawn};
use crate::command::{rows, run, spillgate, talk};

#[tokio::test]
async fn nothing_is_injected_unless_asked_for() {
    let (drill, client) = (drill(), client(|builder| builder.config(sections())));
    for n in 0..20 {
        let answer = client.get(drill.url(&format!("/ok?n={n}"))).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), injected(&answer.report())), (200, String::new()));
    }
    assert_eq!((drill.hits(), client.injected().len()), (20, 0));
}

#[tokio::test]
async fn injected_statuses_open_the_breaker_of_an_upstream_that_is_never_called() {
    let (drill, client) = (drill(), with(Chaos::seeded(7).status(1.0, 503)));
    let url = drill.url("/ok");
    for _ in 0..5 {
        let answer = client.get(&url).no_retry().send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.report().attempts), (503, 1));
        assert_eq!(injected(&answer.report()), "status 503");
    }
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Open);
    let error = client.get(&url).send().await.unwrap_err();
    assert!(error.is_circuit_open(), "{error}");
    assert_eq!((drill.hits(), drill.connections()), (0, 0));
    assert_eq!(client.injected()[0].times, 5);
}

#[tokio::test]
async fn injected_errors_are_those_of_a_network_and_nothing_is_sent() {
    let drill = drill();
    for (kind, class, post_attempts) in [
        (ErrorKind::ConnectionRefused, ErrorClass::Transient, 4),
        (ErrorKind::ConnectionTimeout, ErrorClass::Transient, 4),
        (ErrorKind::ConnectionTerminated, ErrorClass::Transient, 1),
        (ErrorKind::HttpResponseTimeout, ErrorClass::Transient, 1),
        (ErrorKind::DnsError, ErrorClass::Permanent, 1),
    ] {
        let client = with(Chaos::seeded(1).errors(1.0, kind));
        let error = client.post(drill.url("/ok")).body("pay").send().await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (kind, class));
        // What was never sent may be sent again, whatever the method.
        assert_eq!(error.report().unwrap().attempts, post_attempts, "{error}");
        let text = format!("error {}", kind.name());
        assert_eq!(injected(&error.report().unwrap()), text);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "injected by chaos");
    }
    assert_eq!((drill.hits(), drill.connections()), (0, 0));
}

#[tokio::test]
async fn latency_comes_on_top_of_the_answer_and_counts_as_waiting_for_it() {
    let late = Duration::from_millis(300);
    let (drill, client) = (drill(), with(Chaos::seeded(1).latency(1.0, late..=late)));
    let began = Instant::now();
    let answer = client.get(drill.url("/ok?bytes=10")).send().await.unwrap();
    assert_eq!((answer.bytes().len(), drill.hits()), (10, 1));
    assert!(began.elapsed() >= late);
    let report = answer.report();
    assert!(report.phases.wait.unwrap() >= late, "{:?}", report.phases);
    assert!(report.phases.read.unwrap() < late, "{:?}", report.phases);
    assert_eq!(injected(&report), "latency 300ms");
}

#[tokio::test]
async fn late_answer_ends_with_the_attempt_and_a_post_is_not_repeated() {
    let late = Duration::from_secs(3_600);
    let (drill, client) = (drill(), with(Chaos::seeded(1).latency(1.0, late..=late)));
    let call = client.post(drill.url("/ok")).body("pay").timeout(Duration::from_millis(300));
    let error = call.send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpResponseTimeout);
    assert_eq!((error.report().unwrap().attempts, drill.hits()), (1, 1));
    at_rest(&client).await;
}

#[tokio::test]
async fn truncated_body_is_transient_and_tried_again() {
    let drill = drill();
    let client = with(Chaos::seeded(1).fault(Fault::truncate(1.0).times(1)));
    let answer = client.get(drill.url("/ok?bytes=1000")).send().await.unwrap();
    assert_eq!((answer.bytes().len(), answer.report().attempts, drill.hits()), (1_000, 2, 2));
    assert_eq!(injected(&answer.report()), "truncated body");

    let client = with(Chaos::seeded(1).truncate(1.0));
    let call = client.get(drill.url("/ok?bytes=1000")).no_retry();
    let error = call.send().await.unwrap_err();
    let told = (error.kind(), error.class());
    assert_eq!(told, (ErrorKind::HttpResponseIncomplete, ErrorClass::Transient));
    let mut body = client.get(drill.url("/ok?bytes=1000")).send_streaming().await.unwrap();
    assert_eq!(body.chunk().await.unwrap().unwrap().len(), 500);
    let error = body.chunk().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpResponseIncomplete);
    assert!(body.chunk().await.is_none());
    assert_eq!(client.get(drill.url("/ok?bytes=0")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn stalled_body_ends_by_the_idle_time() {
    let (drill, client) = (drill(), with(Chaos::seeded(1).stall(1.0)));
    let call = client.get(drill.url("/ok?bytes=1000")).no_retry();
    let error = call.read_timeout(Duration::from_millis(100)).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReadTimeout);
    assert_eq!(drill.hits(), 1);
    at_rest(&client).await;
}

#[tokio::test]
async fn hang_ends_at_the_attempts_timeout_and_gives_its_slot_back() {
    let drill = drill();
    let client = client(|builder| {
        let chaos = Chaos::seeded(1).fault(Fault::hang(1.0).times(1));
        builder.host("127.0.0.1", |host| host.concurrency(1).attempts(1)).chaos(chaos)
    });
    let call = client.get(drill.url("/ok?n=1")).timeout(Duration::from_millis(100));
    let error = call.send().await.unwrap_err();
    assert_eq!((error.kind(), drill.hits()), (ErrorKind::HttpResponseTimeout, 0));
    assert_eq!(client.get(drill.url("/ok?n=2")).send().await.unwrap().status(), 200);
    at_rest(&client).await;
}

#[tokio::test]
async fn cancelled_hang_gives_its_slot_back() {
    let drill = drill();
    let client = client(|builder| {
        let chaos = Chaos::seeded(1).fault(Fault::hang(1.0).times(1));
        builder.host("127.0.0.1", |host| host.concurrency(1)).chaos(chaos)
    });
    let call = spawn(client.get(drill.url("/ok?n=1")));
    eventually("it hangs", || client.snapshot().running == 1).await;
    call.abort();
    at_rest(&client).await;
    assert_eq!(client.get(drill.url("/ok?n=2")).send().await.unwrap().status(), 200);
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn same_seed_brings_the_same_outcomes_and_another_does_not() {
    let drill = drill();
    let outcomes = async |seed: u64| {
        let chaos = Chaos::seeded(seed)
            .errors(0.2, ErrorKind::ConnectionRefused)
            .status(0.2, 503)
            .truncate(0.2);
        let client = client(|builder| {
            builder
                .defaults(|config| config.defaults.breaker = spillgate::Breaker::off())
                .chaos(chaos)
        });
        let mut seen = Vec::new();
        for n in 0..60 {
            let url = drill.url(&format!("/ok?bytes=100&n={n}"));
            seen.push(match client.get(url).no_retry().send().await {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(error) => error.kind().name().to_owned(),
            });
        }
        seen
    };
    let (first, again, other) = (outcomes(7).await, outcomes(7).await, outcomes(8).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    for outcome in ["200", "503", "connection_refused", "http_response_incomplete"] {
        assert!(first.iter().any(|seen| seen == outcome), "{outcome} never came: {first:?}");
    }
}

#[tokio::test]
async fn only_the_named_hosts_and_routes_are_struck() {
    let drill = Drill::builder().hosts(2).start().unwrap();
    let port = drill.addrs()[0].port();
    let client = with(
        Chaos::seeded(1)
            .fault(Fault::status(1.0, 418).route("POST /**"))
            .fault(Fault::status(1.0, 502).route("GET /status/{code}"))
            .on(format!("127.0.0.1:{port}")),
    );
    let status = async |request: spillgate::RequestBuilder| {
        request.no_retry().send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(client.post(drill.url_on(0, "/ok"))).await, 418);
    assert_eq!(status(client.get(drill.url_on(0, "/status/204"))).await, 502);
    assert_eq!(drill.hits(), 0);
    assert_eq!(status(client.get(drill.url_on(0, "/ok"))).await, 200);
    assert_eq!(status(client.post(drill.url_on(1, "/ok"))).await, 200);
    assert_eq!(status(client.get(drill.url_on(1, "/status/204"))).await, 204);
    assert_eq!(drill.hits(), 3);
}

#[tokio::test]
async fn retry_after_of_an_injected_status_is_obeyed() {
    let drill = drill();
    let fault = Fault::status(1.0, 429).retry_after(Duration::from_secs(1)).times(1);
    let client = with(Chaos::seeded(1).fault(fault));
    let answer = client.get(drill.url("/ok")).send().await.unwrap();
    let report = answer.report();
    assert_eq!((answer.status().as_u16(), report.attempts, drill.hits()), (200, 2, 1));
    assert!(report.back_off >= Duration::from_secs(1), "{:?}", report.back_off);
}

#[tokio::test]
async fn stopped_chaos_injects_nothing_more() {
    let (drill, client) = (drill(), with(Chaos::seeded(1).status(1.0, 500)));
    let call = || client.get(drill.url("/ok")).no_retry().send();
    assert_eq!(call().await.unwrap().status(), 500);
    client.stop_chaos();
    assert_eq!(call().await.unwrap().status(), 200);
    assert_eq!((drill.hits(), client.injected()[0].times), (1, 1));
}

#[tokio::test]
async fn window_that_has_not_begun_strikes_nobody() {
    let drill = drill();
    let fault = Fault::status(1.0, 500).from(Duration::from_secs(3_600));
    let client = with(Chaos::seeded(1).fault(fault));
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

#[test]
fn chaos_that_cannot_be_is_refused_at_the_start() {
    for (chaos, said) in [
        (Chaos::seeded(1).hang(1.5), ["hang", "share", "0 to 1"]),
        (Chaos::seeded(1).errors(1.0, ErrorKind::CircuitOpen), ["circuit_open", "error", "one of"]),
        (Chaos::seeded(1).hang(1.0).on("http://a"), ["hang", "no URL", "expected"]),
        (Chaos::seeded(1).hang(1.0).route("v1"), ["hang", "path", "expected"]),
    ] {
        let error = Client::builder().chaos(chaos).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        for text in said {
            assert!(error.to_string().contains(text), "expected `{text}` in {error}");
        }
    }
}

#[tokio::test]
async fn sections_of_a_file_strike_once_they_are_asked_for() {
    let drill = drill();
    let client = client(|builder| builder.config(sections()).chaos_from_config(true));
    let answer = client.post(drill.url("/ok")).idempotency_key(Key::auto()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), drill.hits()), (418, 0));
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

#[test]
fn sections_that_mean_nothing_show_their_place() {
    for (text, said) in [
        ("fault = \"lag\"\nshare = 1", vec![":2:", "lag", "latency"]),
        ("fault = \"hang\"", vec!["share"]),
        ("fault = \"hang\"\nshare = 2", vec![":3:", "^", "0 to 1"]),
        ("fault = \"status\"\nshare = 1", vec![":2:", "needs `status`"]),
        ("fault = \"latency\"\nshare = 1", vec![":2:", "needs `latency`"]),
        ("fault = \"error\"\nshare = 1\nerror = \"x\"", vec![":4:", "connection_refused"]),
        ("fault = \"hang\"\nshare = 1\nhost = \"http://a\"", vec![":4:", "no URL"]),
        ("fault = \"hang\"\nshare = 1\nroute = \"v1\"", vec![":4:", "path"]),
        ("fault = \"hang\"\nshare = 1\nlatency_ms = 3", vec![":4:", "latency_ms"]),
    ] {
        let error = Config::from_toml(&format!("[[chaos]]\n{text}\n"), "f.toml").unwrap_err();
        for part in said {
            assert!(error.to_string().contains(part), "expected `{part}` in\n{error}");
        }
    }
}

#[test]
fn flag_injects_and_says_so_and_a_wrong_one_is_refused() {
    let drill = drill();
    let url = drill.url("/ok");
    let output = run(&["fetch", &url, "--chaos", "status=1:404,seed=7"]);
    assert_eq!((output.status.code(), drill.hits()), (Some(4), 0), "{}", talk(&output));
    assert_eq!(rows(&output)[0]["status"], 404);
    let told = talk(&output);
    assert!(told.contains("CHAOS IS ON") && told.contains("status 404 (share 1)"), "{told}");
    let output = run(&["trace", &url, "--chaos", "status=1:404,host=10.0.*"]);
    assert_eq!((output.status.code(), drill.hits()), (Some(0), 1));

    for (spec, said) in [
        ("status=1:503,eror=1:x", vec!["--chaos", "item 2", "`error`", "hint: did you mean"]),
        ("hang=5%", vec!["--chaos", "item 1", "expected a share", "hint: write `0.05`"]),
        ("host=a", vec!["--chaos", "injects nothing", "expected", "hint: such as"]),
    ] {
        for command in ["fetch", "demo"] {
            let place = if command == "fetch" { &[url.as_str()][..] } else { &[] };
            let output = run(&[&[command, "--chaos", spec], place].concat());
            let told = talk(&output);
            assert_eq!(output.status.code(), Some(2), "{told}");
            for text in said.iter().chain(&["--chaos"]) {
                assert!(told.contains(text), "{spec}: expected `{text}` in\n{told}");
            }
        }
    }
    let output = spillgate(&["fetch", &url]).env("SPILLGATE_CHAOS", "status=1:404").output();
    assert_eq!(output.unwrap().status.code(), Some(4));
}

#[test]
fn sections_are_inert_without_the_flag_and_the_check_says_so() {
    let drill = drill();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECTIONS).unwrap();
    let path = file.path().to_str().unwrap();
    let checked = run(&["check-config", path]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(talk(&checked).contains("[[chaos]] injected only with `--chaos config`"));
    let post = ["fetch", "-X", "POST", "--config", path];
    let url = drill.url("/ok");
    let plain = run(&[&post[..], &[&url]].concat());
    assert_eq!((plain.status.code(), talk(&plain).contains("CHAOS")), (Some(0), false));
    let chaotic = run(&[&post[..], &[&url, "--chaos", "config"]].concat());
    assert_eq!((chaotic.status.code(), talk(&chaotic).contains("CHAOS")), (Some(4), true));
    assert_eq!(drill.hits(), 1);
    let none = run(&["fetch", &url, "--chaos", "config"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(talk(&none).contains("no [[chaos]] section"), "{}", talk(&none));
}

#[tokio::test]
async fn struck_attempts_of_many_callers_leave_nothing_behind() {
    let drill = drill();
    let ms = Duration::from_millis;
    let chaos = Chaos::seeded(3)
        .latency(0.2, ms(1)..=ms(20))
        .errors(0.1, ErrorKind::ConnectionTerminated)
        .status(0.1, 503)
        .hang(0.1)
        .truncate(0.1)
        .stall(0.1);
    let client = with(chaos);
    let calls: Vec<_> = (0..100)
        .map(|n| client.get(drill.url(&format!("/ok?bytes=100&n={n}"))))
        .map(|call| spawn(call.timeout(ms(200)).read_timeout(ms(100)).deadline(ms(2_000))))
        .collect();
    for call in calls {
        let _ = tokio::time::timeout(PATIENCE, call).await.expect("each call ends");
    }
    at_rest(&client).await;
    hits(&drill, 1).await;
    assert!(client.injected().iter().all(|one| one.times > 0), "{:?}", client.injected());
}

/// A client that retries at once, opens after five failures, and suffers `chaos`.
fn with(chaos: Chaos) -> Client {
    client(|builder: ClientBuilder| {
        let builder = builder.defaults(|config| {
            let base = Duration::from_millis(1);
            let backoff = &mut config.defaults.retry.backoff;
            *backoff = BackoffOptions { base, jitter: Jitter::None, ..backoff.clone() };
        });
        let reset = Duration::from_secs(60);
        builder.host("127.0.0.1", |host| host.breaker(five(reset))).chaos(chaos)
    })
}

fn sections() -> Config {
    Config::from_toml(SECTIONS, "test").unwrap()
}

/// The fault that was injected into the first attempt, as the decisions tell it; empty if none was.
fn injected(report: &CallReport) -> String {
    let decisions = report.decisions().into_iter().map(|decision| decision.what);
    let mut told = decisions.filter_map(|what| {
        if let DecisionKind::Injected { fault } = what { Some(fault.to_string()) } else { None }
    });
    told.next().unwrap_or_default()
}

const SECTIONS: &str =
    "[[chaos]]\nfault = \"status\"\nshare = 1\nstatus = 418\nroute = \"POST /**\"\n";
