//! Attempts on the wire: what the world does with them, and what they bring home.

use std::time::{Duration, Instant};

use spillgate_core::call::AttemptId;
use spillgate_core::host;

use crate::plan::chance;
use crate::reach::Mark;
use crate::supply::check_wire;
use crate::upstream::{Attempt, Fate, Weather};
use crate::world::{Event, MS, Message, Node, SECOND, World};

impl World {
    pub(crate) fn start(&mut self, host: usize, id: AttemptId, until: Instant, probe: bool) {
        let now = self.instant();
        let offer = self.supply.offer(host, id);
        let (target, streams) = self.demand.starts(&offer);
        let lane = self.plan.keeper_index(&target.lane);
        self.supply.start(now, host, &offer, probe, &mut self.reach);
        let weather = match (self.faults, self.offline) {
            (false, _) => Weather::Healthy,
            (true, true) => Weather::Offline,
            (true, false) if self.plan.is_spared(&target, self.weather[lane]) => Weather::Healthy,
            (true, false) => self.weather[lane],
        };
        let (delay, mut fate) = weather.fate(&mut self.rng);
        let onward = (fate.is_redirect() && self.supply.hops(id.flight) < 3 && !streams)
            .then(|| self.plan.target(&mut self.rng));
        let until = u64::try_from((until - self.base).as_micros()).unwrap_or(u64::MAX);
        let mut ends_at = self.now + delay;
        if streams && fate == Fate::status(200) {
            self.schedule(ends_at, Event::Head(id));
            ends_at += self.rng.below(5 * SECOND);
        } else if ends_at > until {
            self.reach.hit(Mark::AttemptTimeout);
            // The connection of an attempt that is cut off takes a while to close.
            (ends_at, fate) = (until + self.rng.below(300 * MS), Fate::timeout());
        }
        self.reach.hit_if(Mark::SharedScope, target.keeper != target.lane);
        let attempt = Attempt {
            target,
            keeper: host,
            scope: offer.scope,
            fate,
            began: self.now,
            ends_at,
            called_back: false,
            settled: false,
            onward,
            hop: self.supply.hops(id.flight),
        };
        assert!(self.attempts.insert(id, attempt).is_none(), "{id:?} is started twice");
        check_wire(&self.attempts, &self.demand, id);
        self.schedule(ends_at, Event::End(id, ends_at));
    }

    /// An attempt is called back: it mostly ends soon, and sometimes answers all the same.
    pub(crate) fn call_back(&mut self, id: AttemptId) {
        let soon = self.now + self.rng.below(200 * MS);
        let late = chance(&mut self.rng, 0.2);
        let Some(attempt) = self.attempts.get_mut(&id).filter(|attempt| !attempt.settled) else {
            return;
        };
        assert!(!attempt.called_back, "{id:?} is called back twice");
        attempt.called_back = true;
        if attempt.ends_at > soon {
            self.reach.hit_if(Mark::LateAnswerAfterAbort, late);
            attempt.ends_at = soon;
            attempt.fate = if late { Fate::status(200) } else { Fate::cancelled() };
            self.schedule(soon, Event::End(id, soon));
        }
    }

    pub(crate) fn head(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        if attempt.called_back || attempt.settled {
            return;
        }
        let host = attempt.keeper;
        self.send((Node::Attempt(id), Node::Host(host)), &Message::Head(host, id));
    }

    pub(crate) fn end(&mut self, id: AttemptId, at: u64) {
        let (base, now) = (self.base, self.now);
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if attempt.settled || attempt.ends_at != at {
            return;
        }
        attempt.settled = true;
        let evidence = attempt.fate.evidence(|wait| base + Duration::from_micros(now + wait));
        let evidence = evidence.taking(Duration::from_micros(now - attempt.began));
        let host = attempt.keeper;
        let input = host::Input::Settled { attempt: id, evidence };
        self.send((Node::Attempt(id), Node::Host(host)), &Message::ToHost(host, input));
    }
}
