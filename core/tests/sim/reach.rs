//! Reach counters: a simulator that never gets anywhere finds nothing.

use std::collections::BTreeMap;
use std::fmt;

use spillgate_core::verdict::Finality;

macro_rules! marks {
    ($($mark:ident,)+) => {
        /// Every state that the default seeds must come through at least once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Mark {
            $($mark,)+
        }

        const ALL: &[Mark] = &[$(Mark::$mark,)+];
    };
}

marks! {
    Opened,
    HalfOpen,
    ProbeOk,
    ProbeFailed,
    ProbeExpired,
    ProbeNeutral,
    ProbeRefusedOthers,
    RateTripped,
    SwitchedOff,
    Coalesced,
    LeaderLeft,
    LastWaiterLeft,
    LongestWaiterLeft,
    Shed,
    QueueFull,
    RetryQueueFull,
    Retry,
    FreeRetry,
    NotRepeatable,
    AttemptsSpent,
    BudgetRefused,
    BudgetGate,
    DeadlineOnArrival,
    DeadlineInQueue,
    DeadlineInAttempt,
    DeadlineInBackOff,
    DeadlineNear,
    TooLateToSend,
    Paced,
    PacedBeyondDeadline,
    Redirect,
    RedirectRefused,
    StreamOpened,
    StaleOutcome,
    Duplicate,
    LateAnswerAfterAbort,
    AbortInTransit,
    ForcedOpen,
    ForcedClosed,
    Reset,
    DrainRefused,
    Closed,
    SlotGate,
    CircuitRefused,
    SleeperWoken,
    Bypassed,
    SharedScope,
    CeilingLowered,
    LimitLowered,
    RateGate,
    LimitRaised,
    GlobalFull,
    LaneFullOthersRun,
    LessUrgentShare,
    AttemptTimeout,
    NeverSent,
    RouteSplit,
    RouteMerged,
    RouteForcedOpen,
    HedgeSent,
    HedgeRefused,
    HedgeWon,
    HedgeLost,
    BothFailed,
    SavedByTwin,
    HybridStreakTripped,
    HybridRateTripped,
    RingTripped,
    SlowTripped,
    SlowInFlightTripped,
    ShadowOpened,
    ShadowPassed,
    RampRefused,
    ProbeAwaited,
    AwaitedAskedAgain,
    RecordedElsewhere,
    QuotaPaced,
    LaneDropped,
    LaneMetAgain,
    OfflineProbe,
    OfflineProbeFailed,
    OfflineRefused,
    OfflineKept,
    BackOnline,
    Goodput,
}

/// How often each mark was reached.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reach {
    counts: BTreeMap<Mark, u64>,
}

impl Reach {
    pub(crate) fn hit(&mut self, mark: Mark) {
        *self.counts.entry(mark).or_default() += 1;
    }

    pub(crate) fn hit_if(&mut self, mark: Mark, reached: bool) {
        if reached {
            self.hit(mark);
        }
    }

    /// An answer came for this reason.
    pub(crate) fn arrived(&mut self, finality: Finality) {
        match finality {
            Finality::Settled => {}
            Finality::DeviceOffline => self.hit(Mark::OfflineKept),
            Finality::AttemptsSpent => self.hit(Mark::AttemptsSpent),
            Finality::NotRepeatable | Finality::BodyGone => self.hit(Mark::NotRepeatable),
            Finality::BudgetSpent => self.hit(Mark::BudgetRefused),
            Finality::DeadlineNear { .. } => self.hit(Mark::DeadlineNear),
            Finality::CircuitOpen => self.hit(Mark::SleeperWoken),
            Finality::QueueFull => self.hit(Mark::RetryQueueFull),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mark, count) in &other.counts {
            *self.counts.entry(*mark).or_default() += count;
        }
    }

    pub(crate) fn missing(&self) -> Vec<Mark> {
        ALL.iter().copied().filter(|mark| !self.counts.contains_key(mark)).collect()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ALL.iter().try_for_each(|mark| {
            let count = self.counts.get(mark).copied().unwrap_or(0);
            writeln!(f, "{count:>9} {mark:?}")
        })
    }
}
