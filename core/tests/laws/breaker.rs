//! The breaker beside its model, through everything that can happen to it.

mod counts;
mod model;
mod ramp;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCalls, SlowCount,
};
use spillgate_core::breaker::{Admission, Breaker, Pass, Stance};
use spillgate_core::event::{BreakerEvent, BreakerMode, BreakerState};
use spillgate_core::outcome::{Evidence, Exposure};
use spillgate_core::rng::Rng;

use crate::breaker::model::{Answer, Model};
use crate::{ARITHMETIC, HISTORIES, cases};

/// One thing that happens to a breaker, some time after the one before.
#[derive(Debug, Clone)]
enum Step {
    Admit,
    Record(prop::sample::Index, u8, u64),
    GiveBack(prop::sample::Index),
    Wake,
    Operate(u8, u64),
    Configure(Box<BreakerOptions>),
}

proptest! {
    #![proptest_config(cases(2 * HISTORIES))]

    /// Whatever happens, a breaker answers and tells exactly what its model does, whatever its kind,
    /// and outcomes of old epochs change nothing.
    #[test]
    fn breaker_is_its_model(
        options in options(),
        steps in prop::collection::vec((step(), delay()), 1..120),
        seed in any::<u64>(),
    ) {
        let mut pair = Pair::new(options, seed);
        for (step, delay) in steps {
            pair.pass(delay);
            pair.step(step);
        }
    }
}

proptest! {
    #![proptest_config(cases(ARITHMETIC / 10))]

    /// The more good answers a slow start has seen, the more it admits: one more never ends it later
    /// nor lets fewer of the next calls pass, and one call a second is refused nothing.
    #[test]
    fn slow_start_is_monotone_in_good_answers(
        answers in prop::collection::vec(any::<bool>(), 0..12),
        gap_ms in 1_u64..900,
    ) {
        let admitted = |extra: bool| {
            let mut now = Instant::now();
            let (mut breaker, pass) = recovered(&mut now);
            let mut learn = |code| {
                let evidence = Evidence::of_status(code, None);
                breaker.record(now, pass, &evidence, &mut Rng::new(1));
            };
            answers.iter().for_each(|good| learn(if *good { 200 } else { 503 }));
            if extra {
                learn(200);
            }
            let end = breaker.next_wake().map(|end| end - now);
            let mut passed = 0;
            let mut last = now;
            for _ in 0..40 {
                now += Duration::from_millis(gap_ms);
                if matches!(breaker.admit(now).0, Admission::Admit(_)) {
                    (passed, last) = (passed + 1, now);
                }
                assert!(now - last < Duration::from_secs(1), "one a second passes");
            }
            (passed, end)
        };
        let (fewer, later) = admitted(false);
        let (more, sooner) = admitted(true);
        // Credit is dealt out in whole calls, so that one may fall on the other side of the end.
        prop_assert!(more + 1 >= fewer && sooner <= later, "{} {} {:?} {:?}", fewer, more, later, sooner);
    }
}

/// A breaker that has just closed again, with the ramp of 30 s, and one pass of its epoch.
fn recovered(now: &mut Instant) -> (Breaker, Pass) {
    let options = BreakerOptions {
        failure_threshold: 1_000,
        ramp: Duration::from_secs(30),
        ..BreakerOptions::consecutive(1)
    };
    let opening = BreakerOptions { failure_threshold: 1, ..options.clone() };
    let mut breaker = Breaker::new("scope".into(), opening);
    for code in [503, 200] {
        let Admission::Admit(pass) = breaker.admit(*now).0 else { panic!("it admits") };
        breaker.record(*now, pass, &Evidence::of_status(code, None), &mut Rng::new(1));
        *now += options.reset_timeout;
    }
    breaker.configure(*now, options);
    *now = now.checked_sub(Duration::from_secs(60)).expect("it was later");
    let Admission::Admit(pass) = breaker.admit(*now).0 else { panic!("the first passes") };
    (breaker, pass)
}

/// The machine and the model, with what each gave out.
struct Pair {
    breaker: Breaker,
    model: Model,
    rng: Rng,
    now: Instant,
    passes: Vec<(Pass, model::Pass)>,
}

impl Pair {
    fn new(options: BreakerOptions, seed: u64) -> Self {
        Self {
            breaker: Breaker::new("scope".into(), options.clone()),
            model: Model::new("scope".into(), options),
            rng: Rng::new(seed),
            now: Instant::now(),
            passes: Vec::new(),
        }
    }

    /// Lets time pass: so much, or to the very moment at which something is due.
    fn pass(&mut self, delay: Option<Duration>) {
        let reopens = match self.breaker.stance() {
            Stance::Refusing { until } => until,
            Stance::Admitting => None,
        };
        let due = self.breaker.next_wake().or(reopens);
        self.now = match delay {
            Some(delay) => self.now + delay,
            None => due.map_or(self.now, |due| due.max(self.now)),
        };
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        let (told, expected) = match step {
            Step::Admit => self.admit(),
            Step::Record(which, what, took_ms) if !self.passes.is_empty() => {
                let which = which.index(self.passes.len());
                let (pass, ours) = self.passes[which];
                // Now and then an outcome is told twice.
                if took_ms % 8 > 0 {
                    self.passes.swap_remove(which);
                }
                let evidence = evidence(what).taking(Duration::from_millis(took_ms));
                let told = self.breaker.record(now, pass, &evidence, &mut self.rng);
                let expected = self.model.record(now, ours, &evidence, drawn(told.as_ref()));
                (told, expected)
            }
            Step::GiveBack(which) if !self.passes.is_empty() => {
                let (pass, ours) = self.passes.swap_remove(which.index(self.passes.len()));
                self.breaker.give_back(pass);
                self.model.give_back(ours);
                (None, None)
            }
            Step::Wake => {
                let told = self.breaker.wake(now, &mut self.rng);
                let expected = self.model.wake(now, drawn(told.as_ref()));
                (told, expected)
            }
            Step::Operate(what, ms) => self.operate(what, now + Duration::from_millis(ms)),
            Step::Configure(options) => {
                let expected = self.model.configure(now, &options);
                (self.breaker.configure(now, *options), expected)
            }
            Step::Record(..) | Step::GiveBack(_) => return,
        };
        assert_eq!(told, expected);
        assert_eq!(self.breaker.state(), self.model.state());
        assert_eq!(self.breaker.stance(), self.model.stance());
        assert_eq!(self.breaker.generation().0, self.model.epoch());
        assert_eq!(self.breaker.is_plain(), self.model.is_plain());
        assert_eq!(self.breaker.next_wake(), self.model.next_wake());
        assert_eq!(&**self.breaker.scope(), "scope");
    }

    fn admit(&mut self) -> (Option<BreakerEvent>, Option<BreakerEvent>) {
        let (admission, told) = self.breaker.admit(self.now);
        let (answer, expected) = self.model.admit(self.now);
        assert!(agree(answer, admission), "{answer:?} {admission:?}");
        if let (Admission::Admit(pass), Answer::Admit(ours)) = (admission, answer) {
            assert_eq!(pass.generation, self.breaker.generation());
            self.passes.push((pass, ours));
        }
        (told, expected)
    }

    fn operate(
        &mut self,
        what: u8,
        until: Instant,
    ) -> (Option<BreakerEvent>, Option<BreakerEvent>) {
        let (now, breaker, model) = (self.now, &mut self.breaker, &mut self.model);
        match what {
            0 => (breaker.reset(now), model.reset(now)),
            1 => (breaker.force_open(now, Some(until)), model.force_open(now, Some(until))),
            2 => (breaker.force_open(now, None), model.force_open(now, None)),
            _ => (breaker.force_closed(now), model.force_closed(now)),
        }
    }
}

/// Whether the machine's answer is the model's.
fn agree(answer: Answer, admission: Admission) -> bool {
    match (answer, admission) {
        (Answer::Admit(ours), Admission::Admit(theirs)) => {
            ours.is_probe == theirs.probe.is_some() && ours.epoch == theirs.generation.0
        }
        (Answer::Refuse(ours), Admission::Refuse { until }) => ours == until,
        (Answer::Await(ours), Admission::Await { until }) => ours == until,
        _ => false,
    }
}

fn drawn(told: Option<&BreakerEvent>) -> Option<Instant> {
    told.filter(|event| event.to == BreakerState::Open)?.retry_at
}

fn evidence(what: u8) -> Evidence {
    let error = |kind| Evidence::of_error(kind, Exposure::MaybeSent);
    match what {
        0 | 1 => Evidence::of_status(200, None),
        2 | 3 => Evidence::of_status(503, None),
        4 => Evidence::of_status(429, None),
        5 => Evidence::of_status(404, None),
        6 => Evidence::of_status(500, None),
        7 => error(ErrorKind::ConnectionTerminated),
        8 => error(ErrorKind::HttpResponseTimeout),
        9 => error(ErrorKind::DeviceOffline),
        _ => error(ErrorKind::Cancelled),
    }
}

fn delay() -> impl Strategy<Value = Option<Duration>> {
    let up_to = |ms: u64| (0..ms).prop_map(|ms| Some(Duration::from_millis(ms)));
    prop_oneof![6 => up_to(200), 2 => up_to(2_500), 1 => up_to(20_000), 2 => Just(None)]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        16 => Just(Step::Admit),
        16 => (index(), 0_u8..11, 0_u64..1_500).prop_map(|(which, what, took)| Step::Record(which, what, took)),
        2 => index().prop_map(Step::GiveBack),
        6 => Just(Step::Wake),
        1 => (0_u8..4, 0_u64..5_000).prop_map(|(what, ms)| Step::Operate(what, ms)),
        1 => options().prop_map(|options| Step::Configure(Box::new(options))),
    ]
}

fn options() -> impl Strategy<Value = BreakerOptions> {
    (any::<u64>(), any::<bool>()).prop_map(|(seed, is_usual)| {
        let rng = &mut Rng::new(seed);
        let kinds = [BreakerKind::Consecutive, BreakerKind::Rate, BreakerKind::Hybrid];
        let off = rng.below(12) == 0;
        let kind = if off { BreakerKind::Off } else { pick(rng, &kinds) };
        let counted = pick(rng, &[SlowCount::AtItsEnd, SlowCount::InFlight]);
        let limit = Duration::from_millis(pick(rng, &[300, 1_000]));
        let slow = Some(SlowCalls { limit, rate: pick(rng, &[0.25, 0.5, 1.0]), counted });
        let shadow = pick(rng, &[BreakerMode::Enforcing, BreakerMode::Shadow]);
        let ignored = [Ignored::Status(500), Ignored::Kind(ErrorKind::ConnectionTerminated)];
        BreakerOptions {
            kind,
            failure_threshold: pick(rng, &[1, 2, 3, 5]),
            success_threshold: pick(rng, &[1, 1, 2, 3]),
            failure_rate: pick(rng, &[0.25, 0.5, 1.0]),
            min_calls: pick(rng, &[0, 1, 4, 8]),
            window: Duration::from_millis(pick(rng, &[0, 1_000, 10_000])),
            window_calls: pick(rng, &[None, None, Some(3), Some(6)]),
            slow: if is_usual { None } else { slow },
            reset_timeout: Duration::from_millis(pick(rng, &[200, 1_000, 3_000])),
            reset_growth: pick(rng, &[1.0, 1.5, 2.0]),
            reset_timeout_max: Duration::from_millis(pick(rng, &[100, 6_000])),
            reset_jitter: pick(rng, &[0.0, 0.2]),
            probes_max: pick(rng, &[0, 1, 1, 2]),
            probe_lease: Duration::from_millis(pick(rng, &[300, 2_000])),
            half_open: pick(rng, &[HalfOpen::FailFast, HalfOpen::Queue]),
            ramp: Duration::from_millis(pick(rng, &[0, 500, 5_000])),
            mode: if is_usual { BreakerMode::Enforcing } else { shadow },
            ignore: if rng.below(4) == 0 { ignored.to_vec() } else { Vec::new() },
            learn: false,
        }
    })
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[usize::try_from(rng.below(from.len() as u64)).unwrap_or(0)]
}
