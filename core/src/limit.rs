//! The adaptive limit: how many attempts at once a host bears, below its ceiling.
//!
//! A hundred clients with six fixed slots each keep an overloaded upstream overloaded for minutes;
//! clients that shrink to one slot let it recover in seconds (docs/defaults.md). Two signals move
//! the limit, judged once a round, when each slot has settled about once. Attempts that time out in
//! two rounds running halve it, and in each further one. A standing queue takes one away: the *least* latency of a round against the least of
//! the last minutes, as in Vegas and `CoDel`, because a burst or a slow route raises an average and a
//! queue raises the minimum. A good round gives one back.

use std::time::{Duration, Instant};

/// How the limit moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOptions {
    /// What moves it.
    pub kind: LimitKind,
    /// The least it falls to.
    pub floor: u32,
}

/// What moves a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Nothing: it is the ceiling.
    Fixed,
    /// Timeouts and queueing delay.
    Vegas,
    /// Timeouts alone.
    Aimd,
}

/// What one settled attempt says of the host's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It was answered, after this long.
    Answered(Duration),
    /// It was not answered in time, which was this long.
    TimedOut(Duration),
}

/// The limit of one host.
#[derive(Debug, Clone)]
pub struct Limit {
    options: LimitOptions,
    ceiling: u32,
    current: u32,
    round: Option<Round>,
    baseline: Baseline,
    settled: Option<Instant>,
    /// When it was last lowered.
    cut: Option<Instant>,
    /// Rounds in a row in which too many timed out.
    late_rounds: u32,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    began: Instant,
    answered: u32,
    timed_out: u32,
    least: Option<Duration>,
}

/// The least latency of the present and the previous epoch.
#[derive(Debug, Clone, Copy, Default)]
struct Baseline {
    epoch_began: Option<Instant>,
    present: Option<Duration>,
    previous: Option<Duration>,
    samples: u32,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self { kind: LimitKind::Vegas, floor: 1 }
    }
}

impl LimitOptions {
    /// The ceiling holds, whatever happens.
    pub fn fixed() -> Self {
        Self { kind: LimitKind::Fixed, ..Self::default() }
    }
}

impl Limit {
    /// A limit at its ceiling.
    pub fn new(ceiling: u32, options: LimitOptions) -> Self {
        let baseline = Baseline::default();
        Self {
            options,
            ceiling,
            current: ceiling,
            round: None,
            baseline,
            settled: None,
            cut: None,
            late_rounds: 0,
        }
    }

    /// Learns how one attempt ended.
    pub fn learn(&mut self, now: Instant, load: Load) {
        if self.options.kind == LimitKind::Fixed {
            return;
        }
        self.rest(now);
        self.settled = Some(now);
        self.judge(now);
        let round = self.round.get_or_insert(Round::new(now));
        match load {
            Load::Answered(took) => {
                round.answered += 1;
                round.least = Some(round.least.map_or(took, |least| least.min(took)));
                self.baseline.learn(now, took);
            }
            // It was sent before the limit was cut, and says nothing of the lower one.
            Load::TimedOut(took) if is_older(now, took, self.cut) => {}
            Load::TimedOut(_) => round.timed_out += 1,
        }
        self.judge(now);
    }

    /// Forgets what it learned once nothing has settled for a while.
    pub fn rest(&mut self, now: Instant) {
        if self.next_rest().is_some_and(|due| due <= now) {
            *self = Self::new(self.ceiling, self.options);
        }
    }

    /// Takes a new ceiling and new options; a limit at its ceiling moves with it.
    pub fn configure(&mut self, ceiling: u32, options: LimitOptions) {
        let at_ceiling = self.current == self.ceiling || options.kind == LimitKind::Fixed;
        self.current = if at_ceiling { ceiling } else { self.current.min(ceiling) };
        (self.ceiling, self.options) = (ceiling, options);
    }

    /// How many attempts may run at once.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// When [`Limit::rest`] gives the ceiling back, unless something settles before.
    pub fn next_rest(&self) -> Option<Instant> {
        let settled = self.settled.filter(|_| self.current < self.ceiling)?;
        settled.checked_add(REST)
    }

    fn judge(&mut self, now: Instant) {
        let Some(round) = self.round.take_if(|round| round.is_over(now, self.current)) else {
            return;
        };
        let all = f64::from(round.answered + round.timed_out);
        let is_late = f64::from(round.timed_out) >= TIMEOUT_SHARE * all;
        self.late_rounds = if is_late { self.late_rounds.saturating_add(1) } else { 0 };
        let judged = self.judged(round);
        if judged < self.current {
            self.cut = Some(now);
        }
        self.current = judged;
    }

    fn judged(&self, round: Round) -> u32 {
        let floor = self.options.floor.clamp(1, self.ceiling.max(1)).min(self.ceiling);
        match self.late_rounds {
            0 => {}
            1 => return self.current,
            _ => return (self.current / 2).max(floor),
        }
        let queued = match self.options.kind {
            LimitKind::Vegas => self.queued(round),
            LimitKind::Fixed | LimitKind::Aimd => 0.0,
        };
        // What queues is at most the limit itself: latency alone never takes more than half.
        let most = f64::from(self.ceiling) / 2.0;
        if queued > most {
            return self.current.saturating_sub(1).max(floor);
        }
        self.current.saturating_add(1).min(self.ceiling)
    }

    /// How many of the attempts in flight wait in a queue of the upstream rather than being served.
    fn queued(&self, round: Round) -> f64 {
        let (Some(least), Some(baseline)) = (round.least, self.baseline.least()) else {
            return 0.0;
        };
        let baseline = baseline.max(LATENCY_MIN).as_secs_f64();
        let least = least.max(LATENCY_MIN).as_secs_f64();
        f64::from(self.current) * (1.0 - baseline / least).max(0.0)
    }
}

impl Round {
    fn new(began: Instant) -> Self {
        Self { began, answered: 0, timed_out: 0, least: None }
    }

    fn is_over(&self, now: Instant, limit: u32) -> bool {
        let settled = self.answered + self.timed_out;
        // Slots that time out do so together: waiting longer would only send more after them.
        let lasted = now.saturating_duration_since(self.began) >= ROUND_MIN;
        settled >= limit.max(1) && (lasted || self.answered == 0)
    }
}

impl Baseline {
    fn learn(&mut self, now: Instant, took: Duration) {
        let began = *self.epoch_began.get_or_insert(now);
        if now.saturating_duration_since(began) >= EPOCH {
            (self.previous, self.present, self.epoch_began) = (self.present, None, Some(now));
        }
        self.present = Some(self.present.map_or(took, |least| least.min(took)));
        self.samples = self.samples.saturating_add(1);
    }

    /// The least latency, once there are enough samples to believe it is the host's and not a
    /// route's.
    fn least(&self) -> Option<Duration> {
        let least = self.present.into_iter().chain(self.previous).min();
        least.filter(|_| self.samples >= SAMPLES_MIN)
    }
}

fn is_older(now: Instant, took: Duration, cut: Option<Instant>) -> bool {
    cut.is_some_and(|cut| now.saturating_duration_since(cut) < took)
}

/// The share of a round's attempts that must time out to count as overload; a tail does not.
const TIMEOUT_SHARE: f64 = 0.1;
/// The shortest round with answers in it.
const ROUND_MIN: Duration = Duration::from_millis(500);
/// How long a least latency is believed; the limit judges by this and the epoch before.
const EPOCH: Duration = Duration::from_secs(60);
/// Below this, differences of latency are noise.
const LATENCY_MIN: Duration = Duration::from_millis(5);
/// Answers before a least latency is believed.
const SAMPLES_MIN: u32 = 100;
/// After so long without any end of an attempt the limit is its ceiling again.
const REST: Duration = Duration::from_secs(60);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    struct Bench {
        limit: Limit,
        now: Instant,
    }

    impl Bench {
        fn new(kind: LimitKind) -> Self {
            let options = LimitOptions { kind, ..LimitOptions::default() };
            Self { limit: Limit::new(6, options), now: Instant::now() }
        }

        /// A second in which each slot is answered ten times.
        fn second(&mut self, latency_ms: u64) -> u32 {
            for _ in 0..60 {
                self.now += Duration::from_secs(1) / 60;
                self.limit.learn(self.now, Load::Answered(Duration::from_millis(latency_ms)));
            }
            self.limit.current()
        }

        /// All slots time out at once.
        fn time_out(&mut self) -> u32 {
            self.now += Duration::from_secs(10);
            (0..self.limit.current())
                .for_each(|_| self.limit.learn(self.now, Load::TimedOut(Duration::from_secs(10))));
            self.limit.current()
        }
    }

    #[test]
    fn healthy_host_keeps_its_ceiling_however_slow_or_idle() {
        for latency_ms in [1, 10, 2_000] {
            let mut bench = Bench::new(LimitKind::Vegas);
            assert!((0..100).all(|_| bench.second(latency_ms) == 6), "{latency_ms} ms");
            for _ in 0..10 {
                bench.now += Duration::from_secs(20);
                bench.limit.learn(bench.now, Load::Answered(Duration::from_millis(latency_ms)));
                assert_eq!(bench.limit.current(), 6);
            }
        }
    }

    #[test]
    fn timeouts_halve_it_to_one_and_answers_grow_it_again() {
        for kind in [LimitKind::Vegas, LimitKind::Aimd] {
            let mut bench = Bench::new(kind);
            bench.second(10);
            let falling: Vec<u32> = (0..4).map(|_| bench.time_out()).collect();
            assert_eq!(falling, [6, 3, 1, 1]);
            let seconds = (1..=10).find(|_| bench.second(10) == 6);
            assert!(seconds.is_some_and(|seconds| (2..=5).contains(&seconds)), "{seconds:?}");
        }
    }

    #[test]
    fn timeouts_from_before_a_cut_take_nothing_more() {
        let mut bench = Bench::new(LimitKind::Vegas);
        assert_eq!([bench.time_out(), bench.time_out()], [6, 3]);
        bench.now += Duration::from_secs(1);
        for _ in 0..20 {
            bench.limit.learn(bench.now, Load::TimedOut(Duration::from_secs(10)));
            assert_eq!(bench.limit.current(), 3, "they were sent before");
        }
        assert_eq!(bench.time_out(), 1);
    }

    #[test]
    fn twice_the_least_latency_is_not_yet_a_queue() {
        let mut bench = Bench::new(LimitKind::Vegas);
        (0..10).for_each(|_| assert_eq!(bench.second(10), 6));
        (0..10).for_each(|_| assert_eq!(bench.second(20), 6));
        assert!((0..10).any(|_| bench.second(21) < 6));
    }

    #[test]
    fn tail_of_timeouts_below_a_tenth_takes_nothing() {
        let mut bench = Bench::new(LimitKind::Vegas);
        for _ in 0..100 {
            bench.limit.learn(bench.now, Load::TimedOut(Duration::from_secs(10)));
            assert_eq!(bench.second(10), 6);
        }
    }

    #[test]
    fn standing_queue_takes_at_most_half_and_a_new_normal_gives_it_back() {
        let mut bench = Bench::new(LimitKind::Vegas);
        (0..10).for_each(|_| assert_eq!(bench.second(10), 6));
        let slowest = (0..20).map(|_| bench.second(500)).min();
        assert_eq!(slowest, Some(3));
        let seconds = (0..200).find(|_| bench.second(500) == 6);
        assert!(seconds.is_some(), "after two epochs it is how the host is");
        let mut aimd = Bench::new(LimitKind::Aimd);
        (0..10).for_each(|_| assert_eq!(aimd.second(10), 6));
        assert!((0..20).all(|_| aimd.second(500) == 6));
    }

    /// Latencies that spread by half of themselves: the least of a minute is far below the least of
    /// half a second, and that is no queue.
    #[test]
    fn natural_spread_takes_no_slot_for_good() {
        let mut bench = Bench::new(LimitKind::Vegas);
        let mut rng = crate::rng::Rng::new(1);
        let mut lowered = 0;
        for _ in 0..20_000 {
            bench.now += Duration::from_secs(1) / 120;
            let spread = (0..6).map(|_| rng.unit()).sum::<f64>() / 6.0;
            let took = Duration::from_millis(50).mul_f64(0.2 + 1.6 * spread);
            bench.limit.learn(bench.now, Load::Answered(took));
            lowered += i32::from(bench.limit.current() < 6);
        }
        assert!(lowered < 4_000, "{lowered} of 20,000");
    }

    #[test]
    fn slow_route_beside_a_fast_one_is_no_queue() {
        let mut bench = Bench::new(LimitKind::Vegas);
        for n in 0..10_000_u64 {
            bench.now += Duration::from_millis(17);
            let took = if n % 10 == 0 { 10 } else { 900 };
            bench.limit.learn(bench.now, Load::Answered(Duration::from_millis(took)));
            assert_eq!(bench.limit.current(), 6);
        }
    }

    #[test]
    fn rest_gives_the_ceiling_back() {
        let mut bench = Bench::new(LimitKind::Vegas);
        assert_eq!(bench.limit.next_rest(), None);
        (0..2).for_each(|_| assert!(bench.time_out() > 1));
        let due = bench.limit.next_rest().expect("it is below its ceiling");
        bench.limit.rest(due.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(bench.limit.current(), 3);
        bench.limit.rest(due);
        assert_eq!((bench.limit.current(), bench.limit.next_rest()), (6, None));
    }

    #[test]
    fn never_above_the_ceiling_nor_below_the_floor() {
        let options = LimitOptions { floor: 2, ..LimitOptions::default() };
        let mut bench = Bench::new(LimitKind::Vegas);
        bench.limit.configure(4, options);
        assert_eq!(bench.limit.current(), 4);
        assert_eq!((0..5).map(|_| bench.time_out()).min(), Some(2));
        bench.limit.configure(1, options);
        assert_eq!((bench.limit.current(), bench.time_out()), (1, 1));
        bench.limit.configure(9, LimitOptions::fixed());
        assert_eq!((bench.limit.current(), bench.time_out()), (9, 9));
        let mut none = Limit::new(0, options);
        none.learn(bench.now, Load::TimedOut(Duration::from_secs(10)));
        assert_eq!(none.current(), 0);
    }
}
