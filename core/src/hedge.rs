//! Hedging: a second attempt beside a slow first one, and the first answer wins.
//!
//! Differs from what is usually built in three ways. Hedges are paid for from a budget of their own
//! that calls fill at 5 %, so that a brownout, in which every call is slow, cannot double its load.
//! Nothing is hedged while most slots are in use: a second attempt would only queue in front of
//! somebody's first. And a primary that lost teaches the time it had taken when it lost, so that
//! the quantile does not sink with each hedge that wins.
//!
//! Whoever asks cancels the loser; without that, hedging at high utilisation costs more than it
//! saves (docs/defaults.md).

use std::time::{Duration, Instant};

use crate::call::{HedgeDelay, Repeat};
use crate::latency::Latency;

/// When a second attempt may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgeOptions {
    /// How long the first attempt may take before.
    pub delay: HedgeDelay,
    /// Hedges earned by each call; 0.05 is one for twenty.
    pub ratio: f64,
    /// The most hedges that are saved up.
    pub cap: f64,
    /// The share of slots in use above which nothing is hedged.
    pub busy_max: f64,
}

/// The hedges of one scope.
#[derive(Debug, Clone)]
pub struct Hedge {
    options: HedgeOptions,
    latency: Latency,
    tokens: f64,
}

/// Whether a hedge may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedging {
    /// It is paid for: send it, and cancel whichever attempt loses.
    Send,
    /// It may not: calls have not earned it.
    Unpaid,
    /// It may not: too many slots are in use.
    Busy,
}

impl Default for HedgeOptions {
    fn default() -> Self {
        Self { delay: HedgeDelay::LiveP95, ratio: 0.05, cap: 5.0, busy_max: 0.7 }
    }
}

impl Hedge {
    /// Hedges that are still to be earned.
    pub fn new(options: HedgeOptions) -> Self {
        Self { options, latency: Latency::default(), tokens: 0.0 }
    }

    /// Counts a first attempt that leaves at `sent`, and says when to ask for its hedge; `None` is
    /// never: it must not be sent twice, or too little is known.
    pub fn begin(&mut self, sent: Instant, repeat: Repeat) -> Option<Instant> {
        self.earn();
        self.due(sent, repeat, self.options.delay)
    }

    /// Earns for one call.
    pub fn earn(&mut self) {
        self.tokens = (self.tokens + self.options.ratio).min(self.options.cap);
    }

    /// Asks for the hedge of an attempt that has not answered, with that many of the slots in use.
    pub fn ask(&mut self, taken: u32, slots_max: u32) -> Hedging {
        let hedging = self.look(taken, slots_max);
        if hedging == Hedging::Send {
            self.spend();
        }
        hedging
    }

    /// Pays for one hedge that is sent.
    pub fn spend(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// Takes new options; tokens above the new cap are lost.
    pub fn configure(&mut self, options: HedgeOptions) {
        self.options = options;
        self.tokens = self.tokens.min(options.cap);
    }

    /// Learns how long a first attempt took to its answer, or until its hedge won.
    pub fn record(&mut self, latency: Duration) {
        self.latency.record(latency);
    }

    /// Whether a hedge would be sent, with that many of the slots in use; pays nothing.
    pub fn look(&self, taken: u32, slots_max: u32) -> Hedging {
        if f64::from(taken) > f64::from(slots_max) * self.options.busy_max {
            return Hedging::Busy;
        }
        // Twenty deposits of 0.05 must buy one hedge although 0.05 has no exact double.
        if self.tokens < 1.0 - 1e-9 { Hedging::Unpaid } else { Hedging::Send }
    }

    /// When to ask for the hedge of an attempt that leaves at `sent` and may take this long.
    pub fn due(&self, sent: Instant, repeat: Repeat, delay: HedgeDelay) -> Option<Instant> {
        match repeat {
            Repeat::Always => sent.checked_add(self.delay(delay)?),
            Repeat::IfNeverSent | Repeat::Never => None,
        }
    }

    /// The hedges that are saved up.
    pub fn tokens(&self) -> f64 {
        self.tokens
    }

    fn delay(&self, delay: HedgeDelay) -> Option<Duration> {
        match delay {
            HedgeDelay::Fixed(delay) => Some(delay),
            HedgeDelay::LiveP95 if self.latency.samples() < SAMPLES_MIN => None,
            HedgeDelay::LiveP95 => Some(self.latency.quantile(0.95)),
        }
    }
}

/// Attempts before their quantile is trusted.
const SAMPLES_MIN: u32 = 100;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn twenty_calls_buy_one_hedge() {
        let (now, mut hedge) = (Instant::now(), hedge());
        for _ in 0..19 {
            hedge.begin(now, Repeat::Always);
        }
        assert_eq!(hedge.ask(0, 6), Hedging::Unpaid);
        hedge.begin(now, Repeat::Always);
        assert_eq!(hedge.ask(0, 6), Hedging::Send);
        assert_eq!(hedge.ask(0, 6), Hedging::Unpaid);
    }

    #[test]
    fn brownout_is_hedged_for_one_call_in_twenty() {
        let (now, mut hedge) = (Instant::now(), hedge());
        let mut sent = 0;
        for _ in 0..10_000 {
            hedge.begin(now, Repeat::Always);
            sent += i32::from(hedge.ask(0, 6) == Hedging::Send);
        }
        assert!((495..=500).contains(&sent), "{sent}");
    }

    #[test]
    fn nothing_is_hedged_above_seven_slots_of_ten() {
        let (now, mut hedge) = (Instant::now(), hedge());
        for _ in 0..100 {
            hedge.begin(now, Repeat::Always);
        }
        assert_eq!(hedge.ask(8, 10), Hedging::Busy);
        assert_eq!(hedge.ask(7, 10), Hedging::Send);
    }

    #[test]
    fn only_what_may_be_sent_twice_is_hedged() {
        let (now, mut hedge) = (Instant::now(), hedge());
        assert_eq!(hedge.begin(now, Repeat::Never), None);
        assert_eq!(hedge.begin(now, Repeat::IfNeverSent), None);
        assert_eq!(hedge.begin(now, Repeat::Always), Some(now + Duration::from_millis(10)));
    }

    #[test]
    fn live_delay_is_known_after_a_hundred_answers() {
        let (now, mut hedge) = (Instant::now(), Hedge::new(HedgeOptions::default()));
        (1..=99).for_each(|ms| hedge.record(Duration::from_millis(ms)));
        assert_eq!(hedge.begin(now, Repeat::Always), None);
        hedge.record(Duration::from_millis(100));
        let delay = hedge.begin(now, Repeat::Always).map(|due| due - now);
        let ms = delay.map_or(0, |delay| delay.as_millis());
        assert!((95..=107).contains(&ms), "{ms}");
    }

    fn hedge() -> Hedge {
        let delay = HedgeDelay::Fixed(Duration::from_millis(10));
        Hedge::new(HedgeOptions { delay, ..HedgeOptions::default() })
    }
}
