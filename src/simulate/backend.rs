//! A modelled upstream: workers, a queue, latencies and faults.
//!
//! It answers in the order of arrival and, like most servers, works on for callers who hung up.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use spillgate_core::outcome::Evidence;
use spillgate_core::rng::Rng;

use crate::simulate::agenda::Clock;
use crate::simulate::chance::{Spread, happens};

/// An upstream.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    /// Requests it works on at once; `None` is as many as come.
    pub(super) workers: Option<usize>,
    /// Requests that may wait for a worker; one more is answered with 503.
    pub(super) queue_max: usize,
    /// The time that a worker needs.
    pub(super) service: Spread,
    /// The share of answers that are a 500, by route; the last holds for all further routes.
    pub(super) failing: Vec<f64>,
    /// Stretches of time in which it is not itself.
    pub(super) spells: Vec<Spell>,
    /// What it does with too many.
    pub(super) throttle: Option<Throttle>,
    /// What it must have in memory to be fast.
    pub(super) cache: Option<Cache>,
    waiting: VecDeque<Job>,
    busy: usize,
}

/// A stretch of time in which an upstream is not itself.
#[derive(Debug, Clone)]
pub(super) struct Spell {
    /// When.
    pub(super) during: Range<Duration>,
    /// How.
    pub(super) ill: Ill,
}

/// What is wrong with an upstream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ill {
    /// It accepts requests and works on none; what waits is still there afterwards.
    Hangs,
    /// All answers are a 503, at once.
    Fails,
    /// It needs that many times as long.
    Slow(f64),
    /// It starts anew afterwards with an empty cache; meanwhile all answers are a 503.
    Restarts,
}

/// A limit that answers 429 with `Retry-After`.
#[derive(Debug, Clone)]
pub(super) struct Throttle {
    /// Requests allowed in each tenth of a second.
    pub(super) each_tenth: usize,
    /// What it asks for.
    pub(super) retry_after: Duration,
    tenth: u128,
    taken: usize,
}

/// A cache that fills with what is served.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// How many times as long an answer takes that is not cached.
    pub(super) miss_cost: f64,
    /// Answers it takes until all but a third are cached.
    pub(super) fills_in: f64,
    cold: f64,
}

/// A request in the upstream's hands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Its number in the world.
    pub(super) number: usize,
    /// Where it goes.
    pub(super) route: usize,
}

/// Whether somebody waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// The caller waits.
    Waits,
    /// The caller hung up.
    Gone,
}

/// What becomes of a request that has just come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reception {
    /// It is answered after this time.
    Begun(Duration),
    /// It waits for a worker.
    Waits,
    /// It is answered at once.
    Turned(Evidence),
}

impl Backend {
    /// As many workers as requests, never ill.
    pub(super) fn endless(service: Spread) -> Self {
        Self {
            workers: None,
            queue_max: usize::MAX,
            service,
            failing: Vec::new(),
            spells: Vec::new(),
            throttle: None,
            cache: None,
            waiting: VecDeque::new(),
            busy: 0,
        }
    }

    /// That many workers with an endless queue, never ill.
    pub(super) fn of_workers(workers: usize, service: Spread) -> Self {
        Self { workers: Some(workers), ..Self::endless(service) }
    }

    /// Takes a request.
    pub(super) fn receive(
        &mut self,
        clock: &Clock,
        at: Duration,
        job: Job,
        rng: &mut Rng,
    ) -> Reception {
        if let Some(evidence) = self.turn_away(clock, at) {
            return Reception::Turned(evidence);
        }
        if self.has_worker() && !self.hangs(at) {
            return Reception::Begun(self.begin(at, rng));
        }
        if self.waiting.len() >= self.queue_max {
            return Reception::Turned(Evidence::of_status(503, None));
        }
        self.waiting.push_back(job);
        Reception::Waits
    }

    /// Ends the work on a request and says what is answered. What nobody waits for any more is
    /// not remembered.
    pub(super) fn finish(
        &mut self,
        at: Duration,
        job: Job,
        interest: Interest,
        rng: &mut Rng,
    ) -> Evidence {
        self.busy = self.busy.saturating_sub(1);
        if let (Some(cache), Interest::Waits) = (&mut self.cache, interest) {
            cache.cold *= 1.0 - 1.0 / cache.fills_in.max(1.0);
        }
        if self.spell(at).is_some_and(Ill::breaks) {
            return Evidence::of_status(503, None);
        }
        let share = self.failing.get(job.route).or_else(|| self.failing.last());
        let fails = share.is_some_and(|share| happens(rng, *share));
        Evidence::of_status(if fails { 500 } else { 200 }, None)
    }

    /// Begins the next request that waits, if a worker is free for it.
    pub(super) fn next(&mut self, at: Duration, rng: &mut Rng) -> Option<(Job, Duration)> {
        if !self.has_worker() || self.hangs(at) {
            return None;
        }
        let job = self.waiting.pop_front()?;
        Some((job, self.begin(at, rng)))
    }

    /// Tells it that a spell has begun.
    pub(super) fn fall_ill(&mut self, at: Duration) {
        if let (Some(Ill::Restarts), Some(cache)) = (self.spell(at), &mut self.cache) {
            cache.cold = 1.0;
        }
    }

    fn begin(&mut self, at: Duration, rng: &mut Rng) -> Duration {
        self.busy += 1;
        let mut time = self.service.draw(rng);
        if let Some(Ill::Slow(times)) = self.spell(at) {
            time = time.mul_f64(times);
        }
        if let Some(cache) = &self.cache
            && happens(rng, cache.cold)
        {
            time = time.mul_f64(cache.miss_cost);
        }
        time
    }

    fn turn_away(&mut self, clock: &Clock, at: Duration) -> Option<Evidence> {
        if self.spell(at).is_some_and(Ill::breaks) {
            return Some(Evidence::of_status(503, None));
        }
        let throttle = self.throttle.as_mut()?;
        let hint = throttle.hint(clock, at)?;
        Some(Evidence::of_status(429, Some(hint)))
    }

    fn has_worker(&self) -> bool {
        self.workers.is_none_or(|workers| self.busy < workers)
    }

    fn hangs(&self, at: Duration) -> bool {
        matches!(self.spell(at), Some(Ill::Hangs))
    }

    fn spell(&self, at: Duration) -> Option<Ill> {
        self.spells.iter().find(|spell| spell.during.contains(&at)).map(|spell| spell.ill)
    }
}

impl Ill {
    fn breaks(self) -> bool {
        match self {
            Self::Fails | Self::Restarts => true,
            Self::Hangs | Self::Slow(_) => false,
        }
    }
}

impl Throttle {
    /// A limit that is untouched.
    pub(super) fn new(each_tenth: usize, retry_after: Duration) -> Self {
        Self { each_tenth, retry_after, tenth: 0, taken: 0 }
    }

    fn hint(&mut self, clock: &Clock, at: Duration) -> Option<Instant> {
        let tenth = at.as_millis() / 100;
        if tenth != self.tenth {
            (self.tenth, self.taken) = (tenth, 0);
        }
        self.taken += 1;
        (self.taken > self.each_tenth).then(|| clock.instant(at + self.retry_after))
    }
}

impl Cache {
    /// A full cache.
    pub(super) fn warm(miss_cost: f64, fills_in: f64) -> Self {
        Self { miss_cost, fills_in, cold: 0.0 }
    }
}
