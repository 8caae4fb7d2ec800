//! Which attempt suffers which injected fault: seeded chance, for game days and tests.
//!
//! A draw is pure: the time since the start is an argument, and each fault has a random source of
//! its own that moves on by the same steps at every attempt it is drawn for. So the same seed and
//! the same order of attempts bring the same faults, and one fault more changes nothing about the
//! others. What a fault does to the wire is the facade's.

use std::fmt;
use std::time::Duration;

use crate::advice::ErrorKind;
use crate::outcome::Exposure;
use crate::policy::PolicyError;
use crate::rng::Rng;

/// A fault, and how often and when it is injected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dose {
    /// What is done to an attempt.
    pub harm: Harm,
    /// The share of the attempts that suffer it, from 0 to 1.
    pub share: f64,
    /// When it begins, from the start.
    pub from: Duration,
    /// When it ends, from the start; without one it does not.
    pub until: Option<Duration>,
    /// How many attempts suffer it at most.
    pub times_max: Option<u64>,
}

/// What is done to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Its answer comes later, by a time drawn evenly from this range.
    Latency {
        /// The least time.
        least: Duration,
        /// The most time.
        most: Duration,
    },
    /// It ends otherwise than the upstream would have it.
    Strike(Strike),
}

/// How an attempt ends that is struck; it suffers one strike at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// With this error, and nothing is sent.
    Error(ErrorKind),
    /// With this status, and nothing is sent.
    Status {
        /// The status.
        code: u16,
        /// What its `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// Never: nothing is sent, and nothing answers.
    Hang,
    /// The answer's body breaks off.
    Truncate,
    /// The answer's body stops arriving.
    Stall,
}

/// What one attempt suffers in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Injection {
    /// How much later its answer comes.
    pub latency: Duration,
    /// How it is struck, if it is.
    pub strike: Option<Strike>,
}

/// Deals faults to attempts, in the order in which they are asked for.
#[derive(Debug, Clone)]
pub struct Dealer {
    courses: Vec<Course>,
}

/// A dose, its random source, and how often it was given.
#[derive(Debug, Clone)]
struct Course {
    dose: Dose,
    rng: Rng,
    given: u64,
}

impl Dose {
    /// A fault for this share of the attempts, at all times.
    pub fn new(harm: Harm, share: f64) -> Self {
        Self { harm, share, from: Duration::ZERO, until: None, times_max: None }
    }

    /// Refuses what no network does, and what can never happen.
    pub fn check(&self) -> Result<(), PolicyError> {
        let refuse = |setting, problem: String| Err(PolicyError { setting, problem });
        if !(0.0..=1.0).contains(&self.share) {
            let share = self.share;
            return refuse("share", format!("{share} is no share; expected a number from 0 to 1"));
        }
        if self.until.is_some_and(|until| until <= self.from) {
            let from = self.from;
            return refuse("until", format!("ends before it begins; expected more than {from:?}"));
        }
        match self.harm {
            Harm::Latency { least, most } if most < least => {
                let problem = format!("{least:?} is more than {most:?}; expected least, then most");
                refuse("latency", problem)
            }
            Harm::Strike(Strike::Error(kind)) if exposure(kind).is_none() => {
                let names: Vec<&str> = injectable().map(ErrorKind::name).collect();
                let names = names.join(", ");
                let problem = format!("no network brings {}; expected one of {names}", kind.name());
                refuse("error", problem)
            }
            Harm::Strike(Strike::Status { code, .. }) if !(200..=599).contains(&code) => {
                refuse("status", format!("{code} answers nothing; expected 200 to 599"))
            }
            Harm::Latency { .. } | Harm::Strike(_) => Ok(()),
        }
    }
}

impl Dealer {
    /// Deals these doses by chance that follows from `seed`.
    pub fn new(seed: u64, doses: impl IntoIterator<Item = Dose>) -> Self {
        let mut seeds = Rng::new(seed);
        let course = |dose| Course { dose, rng: Rng::new(seeds.next_u64()), given: 0 };
        Self { courses: doses.into_iter().map(course).collect() }
    }

    /// What the next attempt suffers; `applies` says which doses it is within reach of, by their
    /// position.
    ///
    /// Latencies add up; of the strikes the first counts.
    pub fn inject(&mut self, since: Duration, applies: impl Fn(usize) -> bool) -> Injection {
        let mut injection = Injection::default();
        let courses = self.courses.iter_mut().enumerate();
        for (_, course) in courses.filter(|(index, _)| applies(*index)) {
            let (is_hit, latency) = course.draw(since);
            match course.dose.harm {
                Harm::Latency { .. } if is_hit => {
                    injection.latency = injection.latency.saturating_add(latency);
                }
                Harm::Strike(strike) if is_hit && injection.strike.is_none() => {
                    injection.strike = Some(strike);
                }
                Harm::Latency { .. } | Harm::Strike(_) => continue,
            }
            course.given += 1;
        }
        injection
    }

    /// The doses, and how many attempts have suffered each.
    pub fn given(&self) -> impl Iterator<Item = (&Dose, u64)> {
        self.courses.iter().map(|course| (&course.dose, course.given))
    }
}

impl Course {
    /// Two draws an attempt, whatever comes of them.
    fn draw(&mut self, since: Duration) -> (bool, Duration) {
        let is_chosen = self.rng.unit() < self.dose.share;
        let latency = match self.dose.harm {
            Harm::Latency { least, most } => {
                least.saturating_add(self.rng.up_to(most.saturating_sub(least)))
            }
            Harm::Strike(_) => self.rng.up_to(Duration::ZERO),
        };
        let Dose { from, until, times_max, .. } = self.dose;
        let is_time = since >= from && until.is_none_or(|until| since < until);
        let is_left = times_max.is_none_or(|times| self.given < times);
        (is_chosen && is_time && is_left, latency)
    }
}

impl Strike {
    /// Whether the upstream is called at all.
    pub fn reaches_upstream(self) -> bool {
        match self {
            Self::Error(_) | Self::Status { .. } | Self::Hang => false,
            Self::Truncate | Self::Stall => true,
        }
    }
}

impl Injection {
    /// Whether the attempt suffers nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the upstream can have seen a request that ended so; `None` for what no network does.
pub fn exposure(kind: ErrorKind) -> Option<Exposure> {
    NEVER_SENT
        .contains(&kind)
        .then_some(Exposure::NeverSent)
        .or_else(|| MAYBE_SENT.contains(&kind).then_some(Exposure::MaybeSent))
}

/// The errors that can be injected.
pub fn injectable() -> impl Iterator<Item = ErrorKind> {
    NEVER_SENT.into_iter().chain(MAYBE_SENT)
}

/// What a network does before a request is sent.
const NEVER_SENT: [ErrorKind; 7] = [
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionTimeout,
    ErrorKind::DnsError,
    ErrorKind::DestinationUnavailable,
    ErrorKind::DeviceOffline,
    ErrorKind::TlsCertificateError,
    ErrorKind::TlsProtocolError,
];

/// What a network does once some of the request may have left.
const MAYBE_SENT: [ErrorKind; 3] =
    [ErrorKind::ConnectionTerminated, ErrorKind::HttpResponseTimeout, ErrorKind::HttpProtocolError];

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency { least, most } if least == most => write!(f, "latency {least:?}"),
            Self::Latency { least, most } => write!(f, "latency {least:?} to {most:?}"),
            Self::Strike(strike) => strike.fmt(f),
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(kind) => write!(f, "error {}", kind.name()),
            Self::Status { code, retry_after: None } => write!(f, "status {code}"),
            Self::Status { code, retry_after: Some(time) } => {
                write!(f, "status {code}, retry after {time:?}")
            }
            Self::Hang => f.write_str("hang"),
            Self::Truncate => f.write_str("truncated body"),
            Self::Stall => f.write_str("stalled body"),
        }
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = !self.latency.is_zero();
        if late {
            // Whole milliseconds are what a person reads.
            write!(f, "latency {}ms", self.latency.as_millis())?;
        }
        match self.strike {
            Some(strike) if late => write!(f, ", {strike}"),
            Some(strike) => strike.fmt(f),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANG: Harm = Harm::Strike(Strike::Hang);
    const BUSY: Harm = Harm::Strike(Strike::Status { code: 503, retry_after: None });
    const SLOW: Harm =
        Harm::Latency { least: Duration::from_millis(200), most: Duration::from_millis(800) };

    fn injections(chaos: &mut Dealer, count: usize) -> Vec<Injection> {
        (0..count).map(|_| chaos.inject(Duration::ZERO, |_| true)).collect()
    }

    fn given(chaos: &Dealer) -> Vec<u64> {
        chaos.given().map(|(_, given)| given).collect()
    }

    #[test]
    fn same_seed_deals_the_same_faults_and_another_does_not() {
        let doses = [Dose::new(SLOW, 0.3), Dose::new(BUSY, 0.2), Dose::new(HANG, 0.1)];
        let deal = |seed| injections(&mut Dealer::new(seed, doses), 1_000);
        assert_eq!(deal(7), deal(7));
        assert_ne!(deal(7), deal(8));
    }

    #[test]
    fn shares_hold_and_latencies_cover_their_range() {
        let mut chaos = Dealer::new(7, [Dose::new(SLOW, 0.1), Dose::new(BUSY, 0.02)]);
        let all = injections(&mut chaos, 10_000);
        let late: Vec<Duration> =
            all.iter().map(|one| one.latency).filter(|late| !late.is_zero()).collect();
        let struck = all.iter().filter(|one| one.strike.is_some()).count();
        assert!((900..1_100).contains(&late.len()), "{}", late.len());
        assert!((150..250).contains(&struck), "{struck}");
        let ms = Duration::from_millis;
        assert!(late.iter().all(|late| (ms(200)..=ms(800)).contains(late)));
        assert!(late.iter().any(|late| *late < ms(250)) && late.iter().any(|l| *l > ms(750)));
        assert_eq!(given(&chaos), [late.len() as u64, struck as u64]);
    }

    #[test]
    fn none_and_all_are_exact() {
        let mut never = Dealer::new(1, [Dose::new(BUSY, 0.0)]);
        assert!(injections(&mut never, 1_000).iter().all(Injection::is_none));
        let mut always = Dealer::new(1, [Dose::new(BUSY, 1.0)]);
        assert!(injections(&mut always, 1_000).iter().all(|one| one.strike.is_some()));
    }

    #[test]
    fn one_fault_more_changes_nothing_about_the_others() {
        let alone = injections(&mut Dealer::new(7, [Dose::new(BUSY, 0.3)]), 500);
        let late = Dose::new(SLOW, 0.5);
        let both = injections(&mut Dealer::new(7, [Dose::new(BUSY, 0.3), late]), 500);
        let strikes = |all: &[Injection]| all.iter().map(|one| one.strike).collect::<Vec<_>>();
        assert_eq!(strikes(&alone), strikes(&both));
    }

    #[test]
    fn attempts_out_of_reach_draw_nothing() {
        let mut chaos = Dealer::new(7, [Dose::new(BUSY, 0.5)]);
        let mut mixed = chaos.clone();
        let plain = injections(&mut chaos, 100);
        let within: Vec<Injection> = (0..200)
            .map(|n| mixed.inject(Duration::ZERO, |_| n % 2 == 0))
            .enumerate()
            .filter_map(|(n, injection)| (n % 2 == 0).then_some(injection))
            .collect();
        assert_eq!(plain, within);
    }

    #[test]
    fn a_window_and_a_count_bound_it() {
        let (from, until) = (Duration::from_secs(10), Some(Duration::from_secs(20)));
        let mut chaos = Dealer::new(1, [Dose { from, until, ..Dose::new(BUSY, 1.0) }]);
        for (second, struck) in [(0, false), (9, false), (10, true), (19, true), (20, false)] {
            let injection = chaos.inject(Duration::from_secs(second), |_| true);
            assert_eq!(injection.strike.is_some(), struck, "{second}");
        }
        let mut thrice = Dealer::new(1, [Dose { times_max: Some(3), ..Dose::new(BUSY, 1.0) }]);
        let struck = injections(&mut thrice, 9).iter().filter(|one| !one.is_none()).count();
        assert_eq!(struck, 3);
    }

    #[test]
    fn the_first_strike_counts_and_latency_comes_on_top() {
        let doses = [Dose::new(BUSY, 1.0), Dose::new(HANG, 1.0), Dose::new(SLOW, 1.0)];
        let mut chaos = Dealer::new(1, doses);
        let [one] = injections(&mut chaos, 1)[..] else { panic!("one") };
        assert!(matches!(one.strike, Some(Strike::Status { code: 503, .. })));
        assert!(!one.latency.is_zero());
        assert_eq!(given(&chaos), [1, 0, 1]);
        assert!(one.to_string().starts_with("latency ") && one.to_string().ends_with("status 503"));
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        let strike = |strike| Dose::new(Harm::Strike(strike), 1.0);
        let seconds = Duration::from_secs;
        for (dose, setting) in [
            (Dose::new(HANG, 1.1), "share"),
            (Dose::new(HANG, -0.1), "share"),
            (Dose::new(HANG, f64::NAN), "share"),
            (Dose { until: Some(Duration::ZERO), ..Dose::new(HANG, 1.0) }, "until"),
            (Dose::new(Harm::Latency { least: seconds(2), most: seconds(1) }, 1.0), "latency"),
            (strike(Strike::Error(ErrorKind::CircuitOpen)), "error"),
            (strike(Strike::Status { code: 101, retry_after: None }), "status"),
        ] {
            assert_eq!(dose.check().unwrap_err().setting, setting, "{dose:?}");
        }
        for kind in injectable() {
            assert_eq!(strike(Strike::Error(kind)).check(), Ok(()));
        }
    }
}
