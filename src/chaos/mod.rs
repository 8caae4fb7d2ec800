//! Chaos: faults injected on purpose, seeded and off by default, for game days and tests.
//!
//! They are put between the actors and the network, so that breakers, retries, budgets, slots and
//! spans meet them as if the network had brought them. Which attempt suffers what is a pure draw in
//! `spillgate_core::chaos`.

mod body;
pub(crate) mod injector;
pub(crate) mod spec;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use spillgate_actors::error::Error;
use spillgate_core::advice::ErrorKind;
use spillgate_core::chaos::{Dose, Harm, Strike};

use crate::config::Config;
use crate::config::pattern::HostPattern;
use crate::config::route::RoutePattern;
use crate::config::settings::ChaosSettings;

/// Faults to inject, each into a share of the attempts; the same seed and the same order of attempts
/// bring the same faults.
///
/// ```
/// use std::time::Duration;
///
/// use spillgate::{Chaos, Client, ErrorKind, Fault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), spillgate::Error> {
/// let ms = Duration::from_millis;
/// let chaos = Chaos::seeded(7)
///     .latency(0.1, ms(200)..=ms(800))
///     .errors(0.05, ErrorKind::ConnectionRefused)
///     .status(0.02, 503)
///     .hang(0.01)
///     .truncate(0.01)
///     .fault(Fault::status(1.0, 429).retry_after(ms(2_000)).times(3).route("POST /v1/*"))
///     .fault(Fault::errors(1.0, ErrorKind::DnsError).on("gone.example.net"))
///     .on("*.example.com"); // where the others strike
/// let client = Client::builder().chaos(chaos).build()?;
///
/// let call = client.get("https://gone.example.net/").no_retry();
/// let error = call.send().await.expect_err("no such name");
/// assert_eq!(error.kind(), ErrorKind::DnsError);
/// assert_eq!(error.report().map(|report| report.attempts), Some(1));
/// client.stop_chaos();
/// # Ok(())
/// # }
/// ```
///
/// A latency comes on top of whatever else an attempt suffers; of the other faults the first that
/// is drawn counts.
#[derive(Debug, Clone, Default)]
#[must_use = "chaos does nothing until a client is built with it"]
pub struct Chaos {
    seed: u64,
    faults: Vec<Fault>,
    reach: Reach,
}

/// One fault to inject, and where, when and how often.
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until chaos holds it"]
pub struct Fault {
    dose: Dose,
    reach: Reach,
}

/// The attempts that a fault may strike, as they were written.
#[derive(Debug, Clone, Default)]
struct Reach {
    host: Option<String>,
    route: Option<String>,
}

impl Chaos {
    /// No fault yet; chance follows from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The faults of a configuration's `[[chaos]]` sections.
    pub(crate) fn of_config(config: &Config, seed: u64) -> Self {
        let faults = config.chaos.iter().map(Fault::of_config).collect();
        Self { seed, faults, reach: Reach::default() }
    }

    /// Makes answers late, by times drawn evenly from a range; `d..=d` is a fixed one.
    pub fn latency(self, share: f64, times: RangeInclusive<Duration>) -> Self {
        self.fault(Fault::latency(share, times))
    }

    /// Fails attempts with this error; nothing is sent.
    pub fn errors(self, share: f64, kind: ErrorKind) -> Self {
        self.fault(Fault::errors(share, kind))
    }

    /// Answers attempts with this status; nothing is sent.
    pub fn status(self, share: f64, code: u16) -> Self {
        self.fault(Fault::status(share, code))
    }

    /// Lets attempts hang until they are given up; nothing is sent.
    pub fn hang(self, share: f64) -> Self {
        self.fault(Fault::hang(share))
    }

    /// Breaks the bodies of answers off.
    pub fn truncate(self, share: f64) -> Self {
        self.fault(Fault::truncate(share))
    }

    /// Stops the bodies of answers half-way, without an end.
    pub fn stall(self, share: f64) -> Self {
        self.fault(Fault::stall(share))
    }

    /// Adds a fault.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Strikes only these hosts, such as `*.example.com` or `name:port`, with the faults that name
    /// none of their own.
    pub fn on(mut self, host: impl Into<String>) -> Self {
        self.reach.host = Some(host.into());
        self
    }

    /// Strikes only these calls, such as `GET /v1/*`, `/users/{id}` or `POST /**`, with the faults
    /// that name none of their own.
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.reach.route = Some(route.into());
        self
    }

    /// Whether there is no fault.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// What can strike, checked: each dose with its aim.
    fn aimed(&self) -> Result<Vec<(Dose, Aim)>, Error> {
        let aimed = self.faults.iter().map(|fault| {
            let harm = fault.dose.harm;
            let wrong = |problem: String| {
                Error::new(ErrorKind::InvalidConfig, format!("chaos `{harm}`: {problem}"))
            };
            fault
                .dose
                .check()
                .map_err(|error| wrong(format!("{}: {}", error.setting, error.problem)))?;
            Ok((fault.dose, Aim::of(&fault.reach, &self.reach).map_err(wrong)?))
        });
        aimed.collect()
    }
}

impl Fault {
    /// Makes answers late, by times drawn evenly from a range; `d..=d` is a fixed one.
    pub fn latency(share: f64, times: RangeInclusive<Duration>) -> Self {
        let (least, most) = times.into_inner();
        Self::new(share, Harm::Latency { least, most })
    }

    /// Fails attempts with this error, as the network would have it; nothing is sent.
    pub fn errors(share: f64, kind: ErrorKind) -> Self {
        Self::new(share, Harm::Strike(Strike::Error(kind)))
    }

    /// Answers attempts with this status, without a body; nothing is sent.
    pub fn status(share: f64, code: u16) -> Self {
        Self::new(share, Harm::Strike(Strike::Status { code, retry_after: None }))
    }

    /// Lets attempts hang until they are given up; nothing is sent.
    pub fn hang(share: f64) -> Self {
        Self::new(share, Harm::Strike(Strike::Hang))
    }

    /// Breaks the bodies of answers off, half-way through the first piece; one without bytes is
    /// spared.
    pub fn truncate(share: f64) -> Self {
        Self::new(share, Harm::Strike(Strike::Truncate))
    }

    /// Stops the bodies of answers, half-way through the first piece; one without bytes is spared.
    pub fn stall(share: f64) -> Self {
        Self::new(share, Harm::Strike(Strike::Stall))
    }

    /// Lets a status carry `Retry-After`, in whole seconds; other faults have none.
    pub fn retry_after(mut self, time: Duration) -> Self {
        if let Harm::Strike(Strike::Status { retry_after, .. }) = &mut self.dose.harm {
            *retry_after = Some(time);
        }
        self
    }

    /// Strikes only these hosts, such as `*.example.com` or `name:port`.
    pub fn on(mut self, host: impl Into<String>) -> Self {
        self.reach.host = Some(host.into());
        self
    }

    /// Strikes only these calls, such as `GET /v1/*`, `/users/{id}` or `POST /**`.
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.reach.route = Some(route.into());
        self
    }

    /// Begins so long after the client was built.
    pub fn from(mut self, from: Duration) -> Self {
        self.dose.from = from;
        self
    }

    /// Ends so long after the client was built.
    pub fn until(mut self, until: Duration) -> Self {
        self.dose.until = Some(until);
        self
    }

    /// Strikes so many attempts at most.
    pub fn times(mut self, times: u64) -> Self {
        self.dose.times_max = Some(times);
        self
    }

    fn new(share: f64, harm: Harm) -> Self {
        Self { dose: Dose::new(harm, share), reach: Reach::default() }
    }

    fn of_config(settings: &ChaosSettings) -> Self {
        let ChaosSettings { dose, host, route } = settings.clone();
        Self { dose, reach: Reach { host, route } }
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let seam = if index == 0 { "" } else { ", " };
            write!(f, "{seam}{} (share {})", fault.dose.harm, fault.dose.share)?;
        }
        write!(f, "; seed {}", self.seed)
    }
}

/// The attempts that a fault may strike.
#[derive(Debug, Clone)]
struct Aim {
    host: Option<HostPattern>,
    route: Option<RoutePattern>,
}

impl Aim {
    fn of(own: &Reach, common: &Reach) -> Result<Self, String> {
        let host = own.host.as_ref().or(common.host.as_ref());
        let route = own.route.as_ref().or(common.route.as_ref());
        Ok(Self {
            host: host.map(|text| HostPattern::parse(text)).transpose()?,
            route: route.map(|text| RoutePattern::parse(text)).transpose()?,
        })
    }
}
