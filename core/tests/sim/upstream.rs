//! The modelled upstreams: what an attempt meets there, and what it brings home.

use std::time::{Duration, Instant};

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{ScopeKey, Target};
use spillgate_core::outcome::{Evidence, Exposure};
use spillgate_core::quota::Quota;
use spillgate_core::rng::Rng;

use crate::plan::{chance, pick};
use crate::world::{MS, SECOND};

/// How a lane's upstream behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Healthy,
    Flaky,
    Dead,
    Slow,
    Hanging,
    Resetting,
    Busy,
    Refusing,
    Offline,
    Redirecting,
    Declining,
    Metered,
}

pub(crate) const WEATHERS: [Weather; 12] = [
    Weather::Healthy,
    Weather::Flaky,
    Weather::Dead,
    Weather::Slow,
    Weather::Hanging,
    Weather::Resetting,
    Weather::Busy,
    Weather::Refusing,
    Weather::Offline,
    Weather::Redirecting,
    Weather::Declining,
    Weather::Metered,
];

/// What an attempt will come to, if nobody calls it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Status {
        code: u16,
        retry_after: Option<u64>,
    },
    /// A good answer that tells what is left of a quota, and for how long.
    Metered {
        remaining: u64,
        reset: u64,
    },
    Error {
        kind: ErrorKind,
        exposure: Exposure,
    },
}

/// One attempt on the wire, as the world sees it.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) target: Target,
    pub(crate) keeper: usize,
    pub(crate) scope: ScopeKey,
    pub(crate) fate: Fate,
    pub(crate) began: u64,
    pub(crate) ends_at: u64,
    pub(crate) called_back: bool,
    /// Whether its connection is gone and its end is reported.
    pub(crate) settled: bool,
    pub(crate) onward: Option<Target>,
    /// How many redirects its flight had followed.
    pub(crate) hop: u32,
}

impl Weather {
    /// How long an attempt takes here, and what it comes to.
    pub(crate) fn fate(self, rng: &mut Rng) -> (u64, Fate) {
        let quick = MS + rng.below(60 * MS);
        let slow = 300 * MS + rng.below(3 * SECOND);
        let maybe = |kind| Fate::Error { kind, exposure: Exposure::MaybeSent };
        let never = |kind| Fate::Error { kind, exposure: Exposure::NeverSent };
        match self {
            Self::Healthy => (quick, Fate::status(200)),
            Self::Flaky => (quick, Fate::status(pick(rng, &[200, 503, 500, 404]))),
            Self::Dead => (quick, Fate::status(503)),
            Self::Slow => (slow, Fate::status(pick(rng, &[200, 200, 503]))),
            Self::Hanging => (3_600 * SECOND, Fate::status(200)),
            Self::Resetting => (quick, maybe(ErrorKind::ConnectionTerminated)),
            Self::Busy => {
                let wait = pick(rng, &[300 * MS, 2 * SECOND, 30 * SECOND]);
                let wait = if chance(rng, 0.01) { 1_000_000 * SECOND } else { wait };
                let retry_after = chance(rng, 0.8).then_some(wait);
                (quick, Fate::Status { code: pick(rng, &[429, 503]), retry_after })
            }
            Self::Refusing => (MS, never(ErrorKind::ConnectionRefused)),
            Self::Offline => (MS, never(ErrorKind::DeviceOffline)),
            Self::Redirecting => (quick, Fate::status(pick(rng, &[307, 307, 200]))),
            Self::Declining => (quick, Fate::status(pick(rng, &[404, 404, 500]))),
            Self::Metered => {
                let reset = pick(rng, &[300 * MS, 2 * SECOND, 90 * SECOND]);
                (quick, Fate::Metered { remaining: pick(rng, &[0, 2, 5]), reset })
            }
        }
    }
}

impl Fate {
    pub(crate) fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None }
    }

    pub(crate) fn timeout() -> Self {
        let kind = ErrorKind::HttpResponseTimeout;
        Self::Error { kind, exposure: Exposure::MaybeSent }
    }

    pub(crate) fn cancelled() -> Self {
        Self::Error { kind: ErrorKind::Cancelled, exposure: Exposure::MaybeSent }
    }

    pub(crate) fn is_redirect(self) -> bool {
        matches!(self, Self::Status { code: 300..=399, .. })
    }

    pub(crate) fn error(self) -> Option<ErrorKind> {
        match self {
            Self::Status { .. } | Self::Metered { .. } => None,
            Self::Error { kind, .. } => Some(kind),
        }
    }

    pub(crate) fn evidence(self, at: impl Fn(u64) -> Instant) -> Evidence {
        match self {
            Self::Status { code, retry_after } => Evidence::of_status(code, retry_after.map(at)),
            Self::Metered { remaining, reset } => {
                let reset = Duration::from_micros(reset);
                let quota = Some(Quota { remaining, reset });
                Evidence { quota, ..Evidence::of_status(200, None) }
            }
            Self::Error { kind, exposure } => Evidence::of_error(kind, exposure),
        }
    }
}
