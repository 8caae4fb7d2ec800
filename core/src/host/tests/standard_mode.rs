//! The published vectors of the AWS SDKs' standard retry mode (aws-sdk-go-v2#3400,
//! aws-sdk-java-v2#6925), with the jitter at its most.

use super::*;

/// What follows an answer: the tokens left and the delay in milliseconds, or why there is none.
type Expected = (u32, Result<u128, Finality>);

#[test]
fn retry_eventually_succeeds() {
    let answers = [(status(500), (486, Ok(50))), (status(500), (472, Ok(100)))];
    check(500.0, &answers, Some(486));
}

#[test]
fn attempts_are_used_up() {
    let spent = Err(Finality::AttemptsSpent);
    let answers = [(502, (486, Ok(50))), (502, (472, Ok(100))), (502, (472, spent))];
    check(500.0, &answers.map(|(code, expected)| (status(code), expected)), None);
}

#[test]
fn quota_is_used_up_after_one_retry() {
    let broke = Err(Finality::BudgetSpent);
    check(14.0, &[(status(500), (0, Ok(50))), (status(502), (0, broke))], None);
}

#[test]
fn nothing_is_retried_without_a_quota() {
    check(0.0, &[(status(500), (0, Err(Finality::BudgetSpent)))], None);
}

#[test]
fn throttling_costs_less_and_waits_longer() {
    let answers = [(status(429), (495, Ok(1_000))), (status(500), (481, Ok(100)))];
    check(500.0, &answers, Some(495));
}

#[test]
fn named_times_are_clamped_to_the_delay_drawn_and_five_seconds_more() {
    for (hint_ms, expected) in [(10, 50), (1_500, 1_500), (135_000, 5_050)] {
        let mut bench = standard(500.0);
        let hint = bench.now + Duration::from_millis(hint_ms);
        let verdict = bench.call(Evidence::of_status(500, Some(hint)));
        assert_eq!(delay(&bench, verdict), Ok(expected), "{hint_ms} ms");
        bench.start();
    }
}

#[test]
fn named_time_of_a_throttled_answer_binds_its_own_retry_alone() {
    let mut bench = standard(500.0);
    let hint = bench.now + Duration::from_secs(3_600);
    let verdict = bench.call(Evidence::of_status(503, Some(hint)));
    assert_eq!(delay(&bench, verdict), Ok(6_000));
    bench.start();
}

#[test]
fn first_successes_fill_the_quota_by_one_each() {
    let mut bench = standard(0.0);
    for _ in 0..14 {
        assert_eq!(bench.call(status(500)), Verdict::Done(Finality::BudgetSpent));
        bench.call(status(200));
    }
    assert!(matches!(bench.call(status(500)), Verdict::RetryAt(_)));
}

/// Sends a call and its retries; `end` are the tokens after its success.
#[track_caller]
fn check(quota: f64, answers: &[(Evidence, Expected)], end: Option<u32>) {
    let mut bench = standard(quota);
    let mut offer = bench.offer();
    for (evidence, (tokens, expected)) in answers {
        let attempt = offer.attempt;
        let verdict = bench.settle_sent(&offer, *evidence);
        assert_eq!(delay(&bench, verdict), *expected);
        offer = bench.offer();
        if let Verdict::RetryAt(retry) = verdict {
            (offer.cost, offer.resend) = (retry.cost, attempt.n);
            offer.attempt = AttemptId { n: attempt.n + 1, ..attempt };
            bench.send(offer.clone()).expect("it passes");
        }
        assert!((bench.host.tokens() - f64::from(*tokens)).abs() < 1e-9);
    }
    if let Some(tokens) = end {
        bench.settle_sent(&offer, status(200));
        assert!((bench.host.tokens() - f64::from(tokens)).abs() < 1e-9);
    }
}

impl Bench {
    /// Sends an offer unless it was sent already, and settles it.
    fn settle_sent(&mut self, offer: &Offer, evidence: Evidence) -> Verdict {
        if offer.resend == 0 {
            self.send(offer.clone()).expect("it passes");
        }
        self.settle(offer.attempt, evidence)
    }
}

fn delay(bench: &Bench, verdict: Verdict) -> Result<u128, Finality> {
    match verdict {
        Verdict::RetryAt(retry) => Ok((retry.at - bench.now).as_millis()),
        Verdict::Done(finality) => Err(finality),
        Verdict::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn standard(quota: f64) -> Bench {
    let retry = RetryOptions::aws_standard();
    let budget = BudgetOptions { initial: quota, ..retry.budget };
    let backoff = BackoffOptions { jitter: Jitter::None, ..retry.backoff };
    let retry = RetryOptions { backoff, budget, ..retry };
    Bench::new(HostPolicy { breaker: BreakerOptions::off(), retry, ..policy() })
}
