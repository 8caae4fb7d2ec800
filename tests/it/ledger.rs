//! The decision ledger over real sockets: what a report lists, and what it never says.

use std::time::Duration;

use spillgate::actors::core::call::FlightId;
use spillgate::actors::core::verdict::{Cost, Finality, Gate, Grounds};
use spillgate::actors::record::WaitCause;
use spillgate::{CallReport, DecisionKind, ErrorKind, Key, Priority, Role};

use crate::bench::{
    answer, client, drill, eventually, fail, five, guarded, hits, quick, scope_of, spawn,
};

#[tokio::test]
async fn two_failures_and_an_answer_list_gates_back_offs_and_the_budget() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/status/503?times=2");
    let report = client.get(url).explain().send().await.unwrap().report();
    let kinds = names(&report);
    let told: Vec<&str> = kinds.iter().copied().filter(|name| *name != "waited").collect();
    let failed = ["passed", "ended", "retry"];
    let expected = [&["entered"][..], &failed, &failed, &["passed", "ended", "answered"]].concat();
    assert_eq!(told, expected);
    let passed: Vec<(bool, Cost, f64)> = decisions(&report, |what| {
        let DecisionKind::Passed { probe, cost, tokens, .. } = what else { return None };
        Some((*probe, *cost, *tokens))
    });
    let paid = |tokens| (false, Cost::Token, tokens);
    assert_eq!(passed, [(false, Cost::Free, 10.0), paid(9.0), paid(8.0)]);
    let back_offs = decisions(&report, |what| {
        let DecisionKind::Waited { cause: WaitCause::BackOff, length, .. } = what else {
            return None;
        };
        Some(*length)
    });
    assert_eq!(back_offs.len(), 2);
    assert_eq!(back_offs.iter().sum::<Duration>(), report.back_off);
    let times: Vec<Duration> = report.decisions().iter().map(|decision| decision.at).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!((report.flight(), report.role()), (Some(FlightId(1)), Some(Role::Led)));
    let left = report.budget_left().unwrap();
    assert!((left - 8.1).abs() < 1e-9, "{left}");
    assert_eq!(report.generation().unwrap().0, 0);
}

#[tokio::test]
async fn refused_call_names_the_circuit_and_when_to_come_again() {
    let (drill, client) = (drill(), guarded(Duration::from_secs(30)));
    fail(&client, &drill.url("/status/503"), 5).await;
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    let report = error.report().unwrap();
    assert!(report.retry_at.is_some() && report.retry_at == error.retry_at());
    assert_eq!((report.role(), report.flight()), (None, None), "it came to no flight");
    let refused = decisions(&report, |what| {
        let DecisionKind::Failed { kind, retry_in, scope, attempts, .. } = what else {
            return None;
        };
        Some((*kind, retry_in.unwrap(), scope.to_string(), *attempts))
    });
    let [(kind, retry_in, scope, attempts)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((*kind, *attempts), (ErrorKind::CircuitOpen, 0));
    assert!(*retry_in > Duration::from_secs(20), "{retry_in:?}");
    assert_eq!(*scope, scope_of(&drill));
}

#[tokio::test]
async fn probe_is_told_with_the_generation_of_its_breaker() {
    let (drill, client) = (drill(), guarded(Duration::from_millis(50)));
    fail(&client, &drill.url("/status/503"), 5).await;
    let report = loop {
        match client.get(drill.url("/ok")).send().await {
            Ok(response) => break response.report(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::CircuitOpen),
        }
        tokio::task::yield_now().await;
    };
    let probes = decisions(&report, |what| {
        let DecisionKind::Passed { probe, generation, .. } = what else { return None };
        Some((*probe, *generation))
    });
    assert_eq!(probes, [(true, report.generation())]);
    assert!(report.generation().unwrap().0 > 0);
}

#[tokio::test]
async fn joined_call_names_the_flight_of_its_leader_and_its_rank() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/delay/300");
    let leader = client.get(&url).priority(Priority::Background).explain();
    let leader = spawn(leader);
    hits(&drill, 1).await;
    let joined = spawn(client.get(&url).priority(Priority::Critical));
    let (led, joined) = (answer(leader).await.unwrap(), answer(joined).await.unwrap());
    assert_eq!(drill.hits(), 1);
    let (led, joined) = (led.report(), joined.report());
    assert_eq!((led.role(), joined.role()), (Some(Role::Led), Some(Role::Joined)));
    assert_eq!(led.flight(), joined.flight());
    let under_way = decisions(&joined, |what| {
        let DecisionKind::Entered { under_way, role: Role::Joined, .. } = what else { return None };
        Some(*under_way)
    });
    assert_eq!(under_way, [Some(1)]);
    for report in [&led, &joined] {
        let ranks = decisions(report, |what| {
            let DecisionKind::Ranked { from, to } = what else { return None };
            Some((*from, *to))
        });
        assert_eq!(ranks, [(Priority::Background, Priority::Critical)]);
    }
    assert!(names(&led).contains(&"shared"), "{:?}", names(&led));
}

#[tokio::test]
async fn call_that_outlasts_its_leader_says_so() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/delay/300");
    let leader = spawn(client.get(&url).priority(Priority::Critical));
    hits(&drill, 1).await;
    let joined = spawn(client.get(&url));
    eventually("the second call has joined", || {
        client.snapshot().hosts.iter().any(|host| host.coalesced == 1)
    })
    .await;
    leader.abort();
    let report = answer(joined).await.unwrap().report();
    assert_eq!(report.role(), Some(Role::WentOn));
    let ranks = decisions(&report, |what| {
        let DecisionKind::Ranked { from, to } = what else { return None };
        Some((*from, *to))
    });
    assert_eq!(ranks, [(Priority::Critical, Priority::Normal)]);
}

#[tokio::test]
async fn wait_for_retry_after_is_told_with_the_wish_of_the_server() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/status/503?times=1&retry_after=1");
    let report = client.get(url).send().await.unwrap().report();
    let wishes = decisions(&report, |what| {
        let DecisionKind::Retry { delay, wish, .. } = what else { return None };
        Some((*delay, *wish))
    });
    let [(delay, Some(wish))] = wishes[..] else { panic!("{wishes:?}") };
    assert!(wish <= Duration::from_secs(1) && delay >= wish, "{delay:?} {wish:?}");
    let waited = decisions(&report, |what| {
        let DecisionKind::Waited { cause: WaitCause::RetryAfter, length, .. } = what else {
            return None;
        };
        Some(*length)
    });
    assert_eq!(waited.len(), 1);
    assert_eq!(waited[0], report.back_off);
}

#[tokio::test]
async fn final_answer_says_why_it_was_not_retried() {
    let (drill, client) = (drill(), quick());
    let check = |report: CallReport, expected: Finality| {
        let found = decisions(&report, |what| {
            let DecisionKind::NoRetry { finality, .. } = what else { return None };
            Some(*finality)
        });
        assert_eq!(found, [expected], "{:#?}", report.decisions());
    };
    let url = drill.url("/status/503");
    check(client.get(&url).send().await.unwrap().report(), Finality::AttemptsSpent);
    check(client.post(&url).send().await.unwrap().report(), Finality::NotRepeatable);
    let far = client.get(drill.url("/status/503?retry_after=60")).deadline(Duration::from_secs(5));
    let report = far.send().await.unwrap().report();
    let near = decisions(&report, |what| {
        let DecisionKind::NoRetry {
            finality: Finality::DeadlineNear { .. }, retry_in, left, ..
        } = what
        else {
            return None;
        };
        Some((retry_in.unwrap(), *left))
    });
    let [(retry_in, left)] = near[..] else { panic!("{:#?}", report.decisions()) };
    assert!(retry_in > Duration::from_secs(50) && left < Duration::from_secs(5));
}

#[tokio::test]
async fn too_little_time_is_told_with_what_is_left_and_what_is_of_use() {
    let drill = drill();
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    // The slot comes free with a fifth of the deadline left, of which a quarter would be of use. On
    // a machine that was asleep meanwhile the deadline has passed: then again.
    let (error, short) = loop {
        let first = spawn(client.get(drill.url("/delay/800")).no_coalesce());
        eventually("the slot is taken", || client.snapshot().running == 1).await;
        let late = client.get(drill.url("/ok")).no_coalesce().deadline(Duration::from_secs(1));
        let ended = late.send().await;
        answer(first).await.unwrap();
        let Err(error) = ended else { continue };
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
        let short = decisions(&error.report().unwrap(), |what| {
            let DecisionKind::Failed { grounds: Grounds::TimeLeft { left, needed }, .. } = what
            else {
                return None;
            };
            Some((*left, *needed))
        });
        if let [short] = short[..] {
            break (error, short);
        }
    };
    let (left, needed) = short;
    assert!(left < needed && needed <= Duration::from_millis(250), "{left:?} {needed:?}");
    assert!(error.message().contains("or more are of use"), "{error}");
}

#[tokio::test]
async fn call_held_by_the_server_names_the_gate_and_the_wait() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/status/503?times=1&retry_after=1");
    assert_eq!(client.get(url).no_retry().send().await.unwrap().status(), 503);
    let report = client.get(drill.url("/ok")).send().await.unwrap().report();
    let refused = decisions(&report, |what| {
        let DecisionKind::Refused { gate, retry_in, scope, .. } = what else { return None };
        Some((*gate, retry_in.unwrap(), scope.to_string()))
    });
    let [(Gate::Pace, retry_in, scope)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(*scope, scope_of(&drill));
    assert!(*retry_in < Duration::from_secs(2), "{retry_in:?}");
    let waited = decisions(&report, |what| {
        let DecisionKind::Waited { cause: WaitCause::Pace, length, .. } = what else { return None };
        Some(*length)
    });
    assert_eq!(waited.len(), 1);
}

#[tokio::test]
async fn waiting_call_that_explains_says_how_many_were_ahead() {
    let drill = drill();
    let client = client(|builder| {
        builder.host("127.0.0.1", |host| host.concurrency(1).breaker(five(Duration::from_secs(30))))
    });
    let _holds = spawn(client.get(drill.url("/delay/2000?n=1")));
    hits(&drill, 1).await;
    let _waits = spawn(client.get(drill.url("/ok?n=2")));
    eventually("one waits", || client.snapshot().queued == 1).await;
    let waits = spawn(client.get(drill.url("/ok?n=3")).explain());
    eventually("two wait", || client.snapshot().queued == 2).await;
    client.breakers().force_open(scope_of(&drill), None);
    let error = crate::bench::error(waits).await;
    assert_eq!(error.kind(), ErrorKind::CircuitOpen, "{error}");
    let report = error.report().unwrap();
    assert_eq!(names(&report), ["entered", "queued", "waited", "failed"]);
    assert_eq!(report.decisions()[1].what, DecisionKind::Queued { ahead: 1 });
}

#[tokio::test]
async fn list_is_bounded_and_says_how_much_is_left_out() {
    let drill = drill();
    let generous = client(|builder| {
        builder.defaults(|config| {
            config.defaults.retry.backoff.base = Duration::from_millis(1);
            config.defaults.retry.backoff.cap = Duration::from_millis(1);
            config.defaults.retry.budget.initial = 100.0;
            config.defaults.retry.budget.cap = 100.0;
            config.defaults.breaker = spillgate::Breaker::off();
        })
    });
    let report = generous.get(drill.url("/status/503")).retries(39).send().await.unwrap().report();
    assert_eq!(report.attempts, 40);
    let decisions = report.decisions();
    assert_eq!(decisions.len(), 65);
    let DecisionKind::LeftOut { count } = decisions[64].what else { panic!("{decisions:?}") };
    assert!(count >= 40 * 3 - 64, "{count}");
}

#[tokio::test]
async fn no_decision_tells_a_secret() {
    const CANARY: &str = "canary-7f3";
    let (drill, client) = (drill(), quick());
    let url = drill.url(&format!("/redirect/1?to=/status/503&token={CANARY}"));
    let url = url.replace("http://", &format!("http://{CANARY}:{CANARY}@"));
    let call = client
        .post(url)
        .header("x-api-key", CANARY)
        .bearer_auth(CANARY)
        .idempotency_key(Key::new(CANARY))
        .body(CANARY)
        .explain();
    let report = call.send().await.unwrap().report();
    let decisions = report.decisions();
    assert!(names(&report).contains(&"retry") || decisions.len() > 3, "{decisions:?}");
    for decision in &decisions {
        assert!(!format!("{decision} {decision:?}").contains(CANARY), "{decision}");
    }
}

fn names(report: &CallReport) -> Vec<&'static str> {
    report.decisions().iter().map(|decision| decision.what.name()).collect()
}

fn decisions<T>(report: &CallReport, of: impl Fn(&DecisionKind) -> Option<T>) -> Vec<T> {
    report.decisions().iter().filter_map(|decision| of(&decision.what)).collect()
}
