//! What happened in a world: one line for each call, one time for each attempt.

use std::ops::Range;
use std::time::Duration;

use spillgate_core::call::Priority;

use crate::simulate::client::Errand;
use crate::simulate::measure::{number, percent, quantile, ratio, whole};

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The calls, in order of arrival.
    pub(super) calls: Vec<CallLog>,
    /// When attempts left, in order.
    pub(super) sends: Vec<Duration>,
}

/// What happened to one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLog {
    /// What it was for.
    pub(super) errand: Errand,
    /// When it came.
    pub(super) arrived: Duration,
    /// When its first attempt left, if it began a flight.
    pub(super) started: Option<Duration>,
    /// When it was answered.
    pub(super) answered: Option<Duration>,
    /// Whether the answer was what the caller wished for.
    pub(super) good: bool,
    /// Whether it shared another's flight.
    pub(super) joined: bool,
}

impl Tally {
    /// A call comes; its number.
    pub(super) fn arrive(&mut self, at: Duration, errand: Errand) -> u64 {
        let (started, answered) = (None, None);
        let (good, joined) = (false, false);
        self.calls.push(CallLog { errand, arrived: at, started, answered, good, joined });
        self.calls.len() as u64 - 1
    }

    /// An attempt leaves for a call.
    pub(super) fn send(&mut self, at: Duration, ticket: u64) {
        self.sends.push(at);
        if let Some(call) = self.call(ticket) {
            call.started.get_or_insert(at);
        }
    }

    /// A call shares another's flight.
    pub(super) fn join(&mut self, ticket: u64) {
        if let Some(call) = self.call(ticket) {
            call.joined = true;
        }
    }

    /// A call is answered.
    pub(super) fn answer(&mut self, at: Duration, ticket: u64, good: bool) {
        if let Some(call) = self.call(ticket) {
            debug_assert!(call.answered.is_none(), "a call is answered once");
            (call.answered, call.good) = (Some(at), good);
        }
    }

    /// The share of calls with a good answer, in per cent.
    pub(super) fn success_pct(&self) -> f64 {
        percent(self.calls.iter().filter(|call| call.good).count(), self.calls.len())
    }

    /// The same over some of the calls.
    pub(super) fn success_pct_of(&self, chosen: impl Fn(&CallLog) -> bool) -> f64 {
        let chosen: Vec<bool> =
            self.calls.iter().filter(|call| chosen(call)).map(|call| call.good).collect();
        percent(chosen.iter().filter(|good| **good).count(), chosen.len())
    }

    /// Attempts for each call.
    pub(super) fn load_x(&self) -> f64 {
        ratio(self.sends.len(), self.calls.len())
    }

    /// Attempts for each call within a stretch of time.
    pub(super) fn load_x_during(&self, during: &Range<Duration>) -> f64 {
        let sends = self.sends.iter().filter(|at| during.contains(*at)).count();
        let calls = self.calls.iter().filter(|call| during.contains(&call.arrived)).count();
        ratio(sends, calls)
    }

    /// The most attempts that left in one tenth of a second after `from`.
    pub(super) fn peak_tenth(&self, from: Duration) -> usize {
        self.tenths().iter().skip(tenth(from)).copied().max().unwrap_or(0)
    }

    /// How many attempts left in each tenth of a second.
    pub(super) fn tenths(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for at in &self.sends {
            bump(&mut counts, tenth(*at));
        }
        counts
    }

    /// For each second, how many calls came and how many of them fared well.
    pub(super) fn seconds(&self) -> Vec<(usize, usize)> {
        let mut seconds = vec![];
        for call in &self.calls {
            let second = whole(call.arrived.as_secs_f64());
            if seconds.len() <= second {
                seconds.resize(second + 1, (0, 0));
            }
            if let Some((came, good)) = seconds.get_mut(second) {
                *came += 1;
                *good += usize::from(call.good);
            }
        }
        seconds
    }

    /// The seconds after `from` until calls fare well: the first of twenty in a row in each of
    /// which at least 95 % of those that come do. A world that does not recover gives all that is
    /// left.
    pub(super) fn recovery(&self, from: Duration) -> f64 {
        let seconds = self.seconds();
        let mut well = 0;
        let after = seconds.iter().enumerate().skip(whole(from.as_secs_f64()));
        for (passed, (_, (came, good))) in after.enumerate() {
            well = if percent(*good, *came) >= WELL_PCT { well + 1 } else { 0 };
            if well == WELL_FOR_S {
                return number(passed + 1 - well);
            }
        }
        number(seconds.len()) - from.as_secs_f64()
    }

    /// The latency that the share `quantile` of some of the answered calls did not exceed.
    pub(super) fn latency(&self, quantile_: f64, chosen: impl Fn(&CallLog) -> bool) -> Duration {
        let chosen = self.calls.iter().filter(|call| chosen(call));
        let mut times: Vec<Duration> = chosen.filter_map(CallLog::latency).collect();
        quantile(&mut times, quantile_)
    }

    fn call(&mut self, ticket: u64) -> Option<&mut CallLog> {
        self.calls.get_mut(usize::try_from(ticket).ok()?)
    }
}

impl CallLog {
    /// From its arrival to its answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.answered.map(|answered| answered.saturating_sub(self.arrived))
    }

    /// Whether it was that urgent.
    pub(super) fn is(&self, priority: Priority) -> bool {
        self.errand.priority == priority
    }
}

fn tenth(at: Duration) -> usize {
    whole(at.as_secs_f64() * 10.0)
}

fn bump(counts: &mut Vec<usize>, position: usize) {
    if counts.len() <= position {
        counts.resize(position + 1, 0);
    }
    if let Some(count) = counts.get_mut(position) {
        *count += 1;
    }
}

/// The share of calls that must fare well in a second that counts as good.
const WELL_PCT: f64 = 95.0;
/// So many good seconds in a row are a recovery.
const WELL_FOR_S: usize = 20;
