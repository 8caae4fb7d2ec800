//! Each kind of decision in words, and records put together.

use spillgate_core::verdict::Finality as End;

use super::*;

const NO_TOKENS: Option<f64> = None;

#[test]
fn entries_and_waits_are_told_with_their_numbers() {
    for (role, words) in [
        (Role::Led, "began flight 3 as foreground; 30 s until the deadline"),
        (Role::Joined, "joined flight 3 as foreground; 30 s until the deadline"),
        (
            Role::WentOn,
            "joined flight 3 as foreground, and went on with it when the call that began it left; \
             30 s until the deadline",
        ),
    ] {
        check(&entered(role, None), words);
    }
    check(
        &entered(Role::Joined, Some(2)),
        "joined flight 3 as foreground, its attempt 2 being on the wire; 30 s until the deadline",
    );
    check(&DecisionKind::Queued { ahead: 1 }, "waits for a slot, 1 flight ahead");
    check(&DecisionKind::Shared { waiters: 2 }, "another call joined; 2 calls wait for the flight");
    let (low, high) = (Priority::Background, Priority::Critical);
    check(
        &DecisionKind::Ranked { from: low, to: high },
        "raised from background to critical by a call that joined",
    );
    check(
        &DecisionKind::Ranked { from: high, to: low },
        "fell from critical to background as a call left",
    );
    for (cause, words) in [
        (WaitCause::Queue, "waited 1.5 s in the queue"),
        (WaitCause::BackOff, "waited 1.5 s as back-off"),
        (WaitCause::RetryAfter, "waited 1.5 s because the server asked for it (Retry-After)"),
        (WaitCause::Pace, "waited 1.5 s because the server holds all calls (Retry-After or quota)"),
        (WaitCause::Rate, "waited 1.5 s for the host's own rate"),
        (WaitCause::Verdict, "waited 1.5 s for the verdict of a probe"),
    ] {
        let (from, length) = (Duration::ZERO, ms(1_500));
        check(&DecisionKind::Waited { cause, from, length }, words);
    }
}

#[test]
fn times_are_rounded_to_what_can_be_read() {
    for (micros, words) in [
        (40, "0 ms"),
        (2_240, "2.2 ms"),
        (56_400, "56 ms"),
        (999_700, "1 s"),
        (1_424_000, "1.42 s"),
        (82_940_000, "82.9 s"),
    ] {
        let (cause, from) = (WaitCause::Queue, Duration::ZERO);
        let length = Duration::from_micros(micros);
        let what = DecisionKind::Waited { cause, from, length };
        check(&what, &format!("waited {words} in the queue"));
    }
}

#[test]
fn passes_name_their_gates_and_what_they_cost() {
    let gates = "sent: passed deadline, pace, rate, slot, budget";
    for (generation, probe, cost, words) in [
        (Some(4), false, Cost::Free, ", breaker (generation 4); free, 9 tokens left"),
        (
            Some(4),
            true,
            Cost::Token,
            ", breaker (generation 4, as a probe); paid as a retry, 9 tokens left",
        ),
        (
            None,
            false,
            Cost::Throttled,
            "; the breaker was not asked; paid as a throttled retry, 9 tokens left",
        ),
    ] {
        let generation = generation.map(Generation);
        let what = DecisionKind::Passed { generation, probe, cost, tokens: 9.0 };
        check(&what, &format!("{gates}{words}"));
    }
}

#[test]
fn refusals_name_their_gate_and_when_to_come_again() {
    let left = Grounds::TimeLeft { left: ms(120), needed: ms(300) };
    for (gate, grounds, words) in [
        (
            Gate::Deadline,
            left,
            "120 ms left until the deadline, of use are 300 ms or more; again in 2 s",
        ),
        (Gate::Deadline, Grounds::Gate, "too little time is left until the deadline; again in 2 s"),
        (
            Gate::Pace,
            Grounds::Gate,
            "the server asked to be left alone (Retry-After); again in 2 s",
        ),
        (Gate::Pace, Grounds::Quota, "the quota that the server told of is used up; again in 2 s"),
        (Gate::Rate, Grounds::Gate, "the host's own rate is used up; again in 2 s"),
        (Gate::Slot, Grounds::Gate, "the host has no free slot; again in 2 s"),
        (
            Gate::Budget,
            Grounds::Gate,
            "the retry budget holds 0.4 tokens, too little; again in 2 s",
        ),
        (
            Gate::Breaker,
            Grounds::Gate,
            "the circuit of http://h:1 is open (a probe failed; generation 6); again in 2 s",
        ),
        (
            Gate::Probe,
            Grounds::Gate,
            "a probe of http://h:1 is away and its verdict awaited \
             (a probe failed; generation 6); it falls within 2 s",
        ),
        (Gate::Device, Grounds::Gate, "this device is offline; again in 2 s"),
    ] {
        let what = DecisionKind::Refused {
            gate,
            retry_in: Some(ms(2_000)),
            grounds,
            scope: scope(),
            generation: Some(Generation(6)),
            reason: Some(OpenReason::ProbeFailed),
            tokens: 0.4,
        };
        check(&what, &format!("not sent: {words}"));
    }
}

#[test]
fn retries_name_the_delay_the_wish_and_the_price() {
    for (wish, cost, words) in [
        (None, Cost::Token, "; paid from the retry budget, 8.1 tokens left before it"),
        (
            Some(ms(1_000)),
            Cost::Throttled,
            ", as the server asks for 1 s (Retry-After); paid from the retry budget as a throttled \
             one, 8.1 tokens left before it",
        ),
        (None, Cost::Free, "; free, since nothing can have been sent, 8.1 tokens left before it"),
    ] {
        let what = DecisionKind::Retry { delay: ms(1_240), wish, cost, tokens: 8.1 };
        check(&what, &format!("retry in 1.24 s{words}"));
    }
}

#[test]
fn reasons_against_a_retry_come_with_their_numbers() {
    for (finality, words) in [
        (End::Settled, "settled"),
        (End::AttemptsSpent, "no retry: all attempts are used up (4 attempts)"),
        (End::NotRepeatable, "no retry: the request must not be repeated"),
        (End::BudgetSpent, "no retry: the retry budget is empty (0.3 tokens left)"),
        (End::DeadlineNear { retry_at: None }, "no retry: the deadline is too near (250 ms left)"),
        (End::CircuitOpen, "no retry: the circuit of http://h:1 is open"),
        (End::QueueFull, "no retry: the queue is full"),
        (End::DeviceOffline, "no retry: this device is offline"),
    ] {
        check(&no_retry(finality, None), words);
    }
    check(
        &no_retry(End::DeadlineNear { retry_at: None }, Some(ms(60_000))),
        "no retry: the deadline is too near (250 ms left); the server wants to be asked again in \
         60 s",
    );
}

#[test]
fn ends_say_what_was_sent_and_what_is_left() {
    let answered = |attempts, tokens| DecisionKind::Answered { status: 200, attempts, tokens };
    check(&answered(1, NO_TOKENS), "done with 200 after 1 attempt");
    check(
        &answered(3, Some(8.1)),
        "done with 200 after 3 attempts; 8.1 tokens left in the retry budget",
    );
    let failed = |kind, grounds, retry_in, attempts| {
        let (scope, tokens) = (scope(), NO_TOKENS);
        DecisionKind::Failed { kind, grounds, retry_in, scope, attempts, tokens }
    };
    check(
        &failed(ErrorKind::CircuitOpen, Grounds::Gate, Some(ms(29_900)), 0),
        "failed with circuit_open of http://h:1; nothing was sent; asking again makes sense in \
         29.9 s",
    );
    let left = Grounds::TimeLeft { left: ms(120), needed: ms(300) };
    check(
        &failed(ErrorKind::DeadlineExceeded, left, None, 2),
        "failed with deadline_exceeded after 2 attempts; 120 ms left until the deadline, of use \
         are 300 ms or more",
    );
    let took = Duration::from_micros(2_240);
    let ended = |status, error| DecisionKind::Ended { status, error, took };
    check(&ended(Some(503), None), "answered 503 after 2.2 ms");
    check(&ended(None, Some(ErrorKind::ConnectionRefused)), "connection_refused after 2.2 ms");
    check(&DecisionKind::Redirected { host: scope() }, "redirected to http://h:1");
    check(&DecisionKind::LeftOut { count: 12 }, "… 12 more");
}

#[test]
fn decision_about_an_attempt_begins_with_its_number() {
    let what = DecisionKind::LeftOut { count: 1 };
    let decision = Decision { at: Duration::ZERO, attempt: Some(2), what };
    assert_eq!(decision.to_string(), "attempt 2: … 1 more");
}

fn check(what: &DecisionKind, words: &str) {
    assert_eq!(what.to_string(), words);
}

fn entered(role: Role, under_way: Option<u32>) -> DecisionKind {
    DecisionKind::Entered {
        flight: FlightId(3),
        role,
        priority: Priority::Foreground,
        deadline: ms(30_000),
        under_way,
    }
}

fn no_retry(finality: Finality, retry_in: Option<Duration>) -> DecisionKind {
    DecisionKind::NoRetry {
        finality,
        attempts: 4,
        left: ms(250),
        retry_in,
        tokens: Some(0.3),
        scope: scope(),
    }
}

fn scope() -> ScopeKey {
    "http://h:1".into()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
