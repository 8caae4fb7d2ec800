//! Reach counters: a simulator that never gets anywhere finds nothing.

use std::collections::BTreeMap;
use std::fmt;

/// Every state that the default seeds must come through at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
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
    GlobalFull,
    LaneFullOthersRun,
    LessUrgentShare,
    AttemptTimeout,
    NeverSent,
}

const ALL: [Mark; 53] = [
    Mark::Opened,
    Mark::HalfOpen,
    Mark::ProbeOk,
    Mark::ProbeFailed,
    Mark::ProbeExpired,
    Mark::ProbeNeutral,
    Mark::ProbeRefusedOthers,
    Mark::RateTripped,
    Mark::SwitchedOff,
    Mark::Coalesced,
    Mark::LeaderLeft,
    Mark::LastWaiterLeft,
    Mark::LongestWaiterLeft,
    Mark::Shed,
    Mark::QueueFull,
    Mark::RetryQueueFull,
    Mark::Retry,
    Mark::FreeRetry,
    Mark::NotRepeatable,
    Mark::AttemptsSpent,
    Mark::BudgetRefused,
    Mark::BudgetGate,
    Mark::DeadlineOnArrival,
    Mark::DeadlineInQueue,
    Mark::DeadlineInAttempt,
    Mark::DeadlineInBackOff,
    Mark::DeadlineNear,
    Mark::TooLateToSend,
    Mark::Paced,
    Mark::PacedBeyondDeadline,
    Mark::Redirect,
    Mark::RedirectRefused,
    Mark::StreamOpened,
    Mark::StaleOutcome,
    Mark::Duplicate,
    Mark::LateAnswerAfterAbort,
    Mark::AbortInTransit,
    Mark::ForcedOpen,
    Mark::ForcedClosed,
    Mark::Reset,
    Mark::DrainRefused,
    Mark::Closed,
    Mark::SlotGate,
    Mark::CircuitRefused,
    Mark::SleeperWoken,
    Mark::Bypassed,
    Mark::SharedScope,
    Mark::CeilingLowered,
    Mark::GlobalFull,
    Mark::LaneFullOthersRun,
    Mark::LessUrgentShare,
    Mark::AttemptTimeout,
    Mark::NeverSent,
];

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

    pub(crate) fn add(&mut self, other: &Self) {
        for (mark, count) in &other.counts {
            *self.counts.entry(*mark).or_default() += count;
        }
    }

    pub(crate) fn missing(&self) -> Vec<Mark> {
        ALL.into_iter().filter(|mark| !self.counts.contains_key(mark)).collect()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ALL.into_iter().try_for_each(|mark| {
            let count = self.counts.get(&mark).copied().unwrap_or(0);
            writeln!(f, "{count:>9} {mark:?}")
        })
    }
}
