//! The production rules of caching before a process: what is stored is answered at once.
//!
//! Wired as the library wires them: a look by the rules, a flight for what they do not answer, and
//! the rules again for what comes back or fails to. The rules, the table of renewals and the
//! machines are production's; only the store is a plain table, for no answer here has a body, and the
//! origin is never asked with a condition: either answer to that is one request.

use std::collections::BTreeMap;
use std::time::Instant;

use spillgate_core::cache::date::Wall;
use spillgate_core::cache::directives::Wishes;
use spillgate_core::cache::freshness::Exchange;
use spillgate_core::cache::rules::Rules;
use spillgate_core::cache::storing::{Answered, Entry, judge};
use spillgate_core::cache::using::{self, Use};
use spillgate_core::call::{AttemptId, Priority, Ticket};
use spillgate_core::outcome::Evidence;

use crate::caching::renewals::{Place, Renewals, Turn};
use crate::simulate::client::{Client, Effect, Reply, Wish};
use crate::simulate::process::Process;

/// A process with a cache before its pipeline.
pub(super) struct Cached {
    process: Process,
    manner: Manner,
    stored: BTreeMap<u64, Entry>,
    asked: BTreeMap<Ticket, Asked>,
    renewals: Renewals,
    renewed: u64,
    began: Option<Instant>,
    /// What the process wants, before it is known what callers get.
    wanted: Vec<Effect>,
}

/// How a cache goes about it.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    /// Its rules.
    pub(super) rules: Rules,
    /// What good answers say in `Cache-Control`; bad ones say nothing.
    pub(super) said: &'static str,
    /// Whether those who ask for the same share a flight.
    pub(super) sharing: Sharing,
}

/// Whether those who ask for the same share a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// They do.
    Coalesced,
    /// Each asks for itself.
    Apart,
}

/// What the origin is asked for.
struct Asked {
    key: u64,
    at: Wall,
    /// Whether another asked before, who stores the answer.
    joined: bool,
    /// The right to renew, if nobody waits for it.
    turn: Option<Turn>,
}

impl Cached {
    /// An empty cache before a process.
    pub(super) fn new(process: Process, manner: Manner) -> Self {
        Self {
            process,
            manner,
            stored: BTreeMap::new(),
            asked: BTreeMap::new(),
            renewals: Renewals::default(),
            renewed: 0,
            began: None,
            wanted: Vec::new(),
        }
    }

    fn look(&self, key: u64, at: Wall) -> Option<Use> {
        let entry = self.stored.get(&key)?;
        Some(using::decide(&self.manner.rules, entry, &Wishes::default(), at))
    }

    fn ask(&mut self, now: Instant, (key, wish): (u64, Wish), turn: Option<Turn>) {
        let asked = Asked { key, at: self.wall(now), joined: false, turn };
        self.asked.insert(wish.ticket, asked);
        let key = (self.manner.sharing == Sharing::Coalesced).then_some(key);
        self.process.submit(now, Wish { key, ..wish }, &mut self.wanted);
    }

    /// Renews what was served stale, unless that is under way.
    fn renew(&mut self, now: Instant, key: u64, wish: Wish) {
        let Some(turn) = self.renewals.begin(place(key)) else { return };
        self.renewed += 1;
        let ticket = Ticket(RENEWALS + self.renewed);
        let wish = Wish { ticket, priority: Priority::Background, ..wish };
        self.ask(now, (key, wish), Some(turn));
    }

    /// Hands on what the process wants, but for answers: those are the rules' to give.
    fn follow(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut wanted = std::mem::take(&mut self.wanted);
        for effect in wanted.drain(..) {
            match effect {
                Effect::Send { .. } | Effect::Recall(_) => effects.push(effect),
                Effect::Join(ticket) => {
                    if let Some(asked) = self.asked.get_mut(&ticket) {
                        asked.joined = true;
                    }
                    effects.push(effect);
                }
                Effect::Answer { ticket, reply } => {
                    let Some(asked) = self.asked.remove(&ticket) else { continue };
                    let reply = self.came(now, &asked, reply);
                    if asked.turn.is_none() {
                        effects.push(Effect::Answer { ticket, reply });
                    }
                }
            }
        }
        self.wanted = wanted;
    }

    /// What a caller gets when this came, or when nothing did.
    fn came(&mut self, now: Instant, asked: &Asked, reply: Reply) -> Reply {
        match reply {
            Reply::Error(kind) if using::is_covered(kind) => self.instead(now, asked, reply),
            Reply::Error(_) => reply,
            Reply::Status(status) if using::is_failure(status) => self.instead(now, asked, reply),
            Reply::Status(status) => {
                if !asked.joined {
                    self.store(now, asked, status);
                }
                reply
            }
        }
    }

    fn instead(&self, now: Instant, asked: &Asked, reply: Reply) -> Reply {
        let at = self.wall(now);
        let covered = self.stored.get(&asked.key).filter(|entry| {
            let wishes = Wishes::default();
            using::instead_of_error(&self.manner.rules, entry, &wishes, at).is_some()
        });
        covered.map_or(reply, |entry| Reply::Status(entry.status))
    }

    fn store(&mut self, now: Instant, asked: &Asked, status: u16) {
        let request: &[(&str, &str)] = &[];
        let said = [("cache-control", self.manner.said)];
        let good = Reply::Status(status).is_good();
        let response = if good { said.as_slice() } else { &[] };
        let exchange = Exchange { requested: asked.at, received: self.wall(now) };
        let answered =
            Answered { method: "GET", request, status, response, of_target: false, exchange };
        if let Ok(entry) = judge(&self.manner.rules, &answered) {
            self.stored.insert(asked.key, entry);
        }
    }

    /// The time of day: only differences are used.
    fn wall(&self, now: Instant) -> Wall {
        let passed = self.began.map(|began| now.saturating_duration_since(began));
        Wall(MORNING.0 + passed.unwrap_or_default())
    }
}

impl Client for Cached {
    fn submit(&mut self, now: Instant, wish: Wish, effects: &mut Vec<Effect>) {
        self.began.get_or_insert(now);
        let Some(key) = wish.key else { return self.process.submit(now, wish, effects) };
        let used = self.look(key, self.wall(now));
        let served = self.stored.get(&key).map(|entry| Reply::Status(entry.status));
        match used.zip(served) {
            Some((Use::Fresh | Use::Stale, reply)) => {
                effects.push(Effect::Answer { ticket: wish.ticket, reply });
            }
            Some((Use::WhileRenewed, reply)) => {
                effects.push(Effect::Answer { ticket: wish.ticket, reply });
                self.renew(now, key, wish);
            }
            Some((Use::Validate(_), _)) | None => self.ask(now, (key, wish), None),
        }
        self.follow(now, effects);
    }

    fn settle(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        self.process.settle(now, attempt, evidence, &mut self.wanted);
        self.follow(now, effects);
    }

    fn wake(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.process.wake(now, &mut self.wanted);
        self.follow(now, effects);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.process.next_wake()
    }
}

fn place(key: u64) -> Place {
    (([0; 32], None), key.to_be_bytes().to_vec())
}

/// Tickets beyond it are of renewals, which no caller waits for.
const RENEWALS: u64 = 1 << 62;
/// When a world begins.
const MORNING: Wall = Wall::from_secs(1_795_348_800);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spillgate_core::call::FlightId;

    use super::*;
    use crate::simulate::agenda::Clock;
    use crate::simulate::lab::Lab;
    use crate::simulate::process::Recipe;

    struct Driver {
        clock: Clock,
        cached: Cached,
        tickets: u64,
    }

    #[test]
    fn what_is_stored_costs_no_request_until_it_expires_and_then_one_to_be_renewed() {
        let mut driver = driver("max-age=10, stale-while-revalidate=5");
        let first = driver.call(0);
        assert_eq!(first, (vec![], 1));
        assert_eq!(driver.settle(0, 1, 200), [Reply::Status(200)]);
        assert_eq!(driver.call(9), (vec![Reply::Status(200)], 0));
        assert_eq!(driver.call(12), (vec![Reply::Status(200)], 1));
        assert_eq!(driver.call(13), (vec![Reply::Status(200)], 0));
        assert_eq!(driver.settle(13, 2, 200), []);
        assert_eq!(driver.call(21), (vec![Reply::Status(200)], 0));
        assert_eq!(driver.call(28), (vec![], 1));
    }

    #[test]
    fn stale_answers_stand_in_for_errors_as_they_say() {
        for (said, reply) in [
            ("max-age=10, stale-if-error=60", Reply::Status(200)),
            ("max-age=10, stale-if-error=5", Reply::Status(500)),
            ("max-age=10", Reply::Status(500)),
        ] {
            let mut driver = driver(said);
            driver.call(0);
            driver.settle(0, 1, 200);
            assert_eq!(driver.call(20), (vec![], 1), "{said}");
            assert_eq!(driver.settle(20, 2, 500), [reply], "{said}");
        }
    }

    fn driver(said: &'static str) -> Driver {
        let mut lab = Lab::default();
        lab.policy.retry.attempts_max = 1;
        let process = Recipe::new(lab.policy, lab.limits).processes(1, 1).remove(0);
        let rules = Rules { stale_if_error: Duration::ZERO, ..Rules::default() };
        let manner = Manner { rules, said, sharing: Sharing::Coalesced };
        Driver { clock: Clock::new(), cached: Cached::new(process, manner), tickets: 0 }
    }

    impl Driver {
        /// What a call is answered with at once, and how many requests leave for it.
        fn call(&mut self, second: u64) -> (Vec<Reply>, usize) {
            self.tickets += 1;
            let now = self.clock.instant(Duration::from_secs(second));
            let wish = Wish {
                ticket: Ticket(self.tickets),
                route: 0,
                priority: Priority::Normal,
                deadline: now + Duration::from_secs(30),
                key: Some(7),
            };
            let mut effects = Vec::new();
            self.cached.submit(now, wish, &mut effects);
            let sent = effects.iter().filter(|effect| matches!(effect, Effect::Send { .. }));
            (replies(&effects), sent.count())
        }

        /// What is answered when the first attempt of a flight comes to this.
        fn settle(&mut self, second: u64, flight: u64, status: u16) -> Vec<Reply> {
            let now = self.clock.instant(Duration::from_secs(second));
            let attempt = AttemptId { flight: FlightId(flight), n: 1 };
            let mut effects = Vec::new();
            self.cached.settle(now, attempt, Evidence::of_status(status, None), &mut effects);
            replies(&effects)
        }
    }

    fn replies(effects: &[Effect]) -> Vec<Reply> {
        let reply = |effect: &Effect| match effect {
            Effect::Answer { reply, .. } => Some(*reply),
            Effect::Send { .. } | Effect::Recall(_) | Effect::Join(_) => None,
        };
        effects.iter().filter_map(reply).collect()
    }
}
