//! What callers and operators do, and how a run ends.

use std::time::{Duration, Instant};

use spillgate_core::breaker::Breaker;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::{ScopeKey, Ticket};
use spillgate_core::coordinator::port::Input;
use spillgate_core::host::{self, Command, Order};
use spillgate_core::outcome::Evidence;
use spillgate_core::policy::HostPolicy;
use spillgate_core::rng::Rng;

use crate::plan::{self, Ending, RING_CALLS, Wish, chance, lane_key, pick, target};
use crate::reach::Mark;
use crate::upstream::WEATHERS;
use crate::world::{Event, MS, Message, Node, SECOND, World};

impl World {
    /// Lays out calls, weather and operators for the faulty part of the run.
    pub(crate) fn script(&mut self) {
        let mut n = 0;
        while n < self.plan.calls {
            let at = self.rng.below(FAULTY);
            let burst = if chance(&mut self.rng, 0.1) { 1 + self.rng.below(30) } else { 1 };
            // A burst is one caller's: the same call over and over, or many different ones.
            let wish = self.plan.wish(&mut self.rng);
            let same = chance(&mut self.rng, 0.5);
            for _ in 0..burst {
                let other = self.plan.wish(&mut self.rng);
                let wish = if same { wish.clone() } else { other };
                let at = at + self.rng.below(30 * MS);
                self.schedule(at, Event::Call(Box::new(wish)));
                n += 1;
            }
        }
        for lane in 0..self.plan.lanes {
            let mut at = 0;
            while at < FAULTY {
                let weather = pick(&mut self.rng, &WEATHERS);
                self.schedule(at, Event::Weather(lane, weather));
                at += SECOND + self.rng.below(6 * SECOND);
            }
        }
        for _ in 0..self.rng.below(40) {
            let (at, what) = (self.rng.below(FAULTY), self.rng.next_u64());
            self.schedule(at, Event::Operate(what));
        }
        if chance(&mut self.rng, 0.5) {
            let from = self.rng.below(FAULTY);
            let until = from + self.rng.below(9 * SECOND);
            self.schedule(from, Event::Network(true));
            self.schedule(until, Event::Network(false));
        }
        self.schedule(FAULTY + 30 * SECOND, Event::Finish);
        if self.plan.ending != Ending::AtRest {
            let at = FAULTY / 2 + self.rng.below(FAULTY / 2);
            let input = match self.plan.ending {
                Ending::Close => Input::Close,
                Ending::Drain | Ending::AtRest => Input::Drain,
            };
            self.schedule(at, Event::Deliver(Message::ToCoordinator(input)));
        }
    }

    pub(crate) fn call(&mut self, wish: &Wish) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let spec = wish.spec(ticket, self.instant() + Duration::from_micros(wish.budget));
        self.demand.wish(&spec, wish.stream);
        let link = (Node::Caller(ticket.0), Node::Coordinator);
        self.send(link, &Message::ToCoordinator(Input::Submit(spec)));
        if let Some(after) = wish.cancel_after {
            self.schedule(self.now + after, Event::Cancel(ticket));
        }
    }

    pub(crate) fn operate(&mut self, what: u64) {
        let mut rng = Rng::new(what);
        let keeper = pick(&mut rng, &(0..self.hosts.len()).collect::<Vec<_>>());
        let scope = self.plan.keepers()[keeper].clone();
        let soon = self.instant() + Duration::from_millis(500 + rng.below(4_000));
        let order = match rng.below(26) {
            0 => Order::ForceOpen(Some(soon)),
            1 => Order::ForceOpen(None),
            2 => Order::ForceClosed,
            3 => Order::Reset,
            4 => Order::Configure(BreakerOptions::off()),
            5 => Order::Configure(plan::breaker(&mut rng)),
            6 => {
                let (global, queue_max) = (pick(&mut rng, &[1, 3, 24]), self.plan.queue_max);
                let input = Input::Resize { global, queue_max };
                let link = (Node::Operator, Node::Coordinator);
                return self.send(link, &Message::ToCoordinator(input));
            }
            7..10 => Order::Record(Evidence::of_status(pick(&mut rng, &[200, 503, 429]), None)),
            10 | 11 => return self.drop_lane(keeper),
            _ => return self.reload(keeper, &mut rng),
        };
        self.order(keeper, scope, order);
    }

    fn reload(&mut self, keeper: usize, rng: &mut Rng) {
        let concurrency = pick(rng, &[1, 2, 6]);
        let learn = self.plan.policy.breaker.learn;
        let breaker = BreakerOptions { learn, ..plan::breaker(rng) };
        let policy = HostPolicy { concurrency, breaker, ..self.plan.policy.clone() };
        let reload = Message::ToHost(keeper, host::Input::Reload(Box::new(policy)));
        self.send((Node::Operator, Node::Host(keeper)), &reload);
        if keeper < self.plan.lanes {
            // The coordinator learns it later than the host, now and then much later.
            let late = self.rng.below(300 * MS);
            self.hold_link((Node::Operator, Node::Coordinator), late);
            let input = Input::Lane { lane: lane_key(keeper), slots_max: concurrency };
            self.send((Node::Operator, Node::Coordinator), &Message::ToCoordinator(input));
        }
    }

    fn drop_lane(&mut self, keeper: usize) {
        if keeper < self.plan.lanes {
            let lane = lane_key(keeper);
            let is_idle = self.coordinator.queue().running(&lane) == 0
                && self.coordinator.queue().depth(&lane) == [0; 4];
            self.reach.hit_if(Mark::LaneDropped, is_idle);
            self.tell_coordinator(Input::DropLane(lane));
        }
    }

    fn order(&mut self, keeper: usize, scope: ScopeKey, order: Order) {
        let command = host::Input::Command(Command { scope, order });
        self.send((Node::Operator, Node::Host(keeper)), &Message::ToHost(keeper, command));
    }

    /// Ends the faults, then calls now and then until every breaker has closed.
    pub(crate) fn finish(&mut self) {
        let now = self.instant();
        let held = self.hosts.iter().filter_map(|host| host.held_until(now)).max();
        let later = held.map_or(0, |until| u64::try_from((until - now).as_micros()).unwrap_or(0));
        if self.faults {
            self.faults = false;
            self.reset_what_was_held();
            return self.schedule(self.now + later + SECOND, Event::Finish);
        }
        let well = self.hosts.iter().all(|host| is_well(now, host));
        if self.plan.ending != Ending::AtRest || self.healed.is_some() {
            return;
        }
        // A window over calls forgets by calls alone.
        if well && self.coordinator.is_idle() && self.rounds >= RING_CALLS {
            return self.prove_goodput();
        }
        assert!(self.now < 4_000 * SECOND, "faults are off, and a host does not heal");
        self.rounds += 1;
        let everywhere = (0..self.plan.lanes).flat_map(|lane| (0..4).map(move |kind| (lane, kind)));
        let mut at = self.now;
        for (lane, kind) in everywhere {
            // One after the other, since the queue may be short.
            at += 100 * MS;
            self.schedule(at, Event::Call(Box::new(Wish::plain(target(lane, kind)))));
        }
        self.schedule(at + SECOND, Event::Finish);
    }

    /// All is well: from here on calls must succeed.
    fn prove_goodput(&mut self) {
        self.healed = Some(Ticket(self.tickets + 1));
        for n in 0..CALLS_AFTER {
            let lane = usize::try_from(n).unwrap_or(0) % self.plan.lanes;
            let wish = Wish::plain(target(lane, n % 3));
            self.schedule(self.now + n * 100 * MS, Event::Call(Box::new(wish)));
        }
    }

    fn reset_what_was_held(&mut self) {
        for (keeper, scope) in self.supply.held() {
            self.order(keeper, scope, Order::Reset);
        }
    }

    /// What must hold when nothing is left to happen.
    pub(crate) fn check_rest(&mut self) {
        let now = self.instant();
        assert!(self.coordinator.is_idle(), "the coordinator rests: {:?}", self.coordinator);
        assert!(self.attempts.values().all(|attempt| attempt.settled), "nothing is on the wire");
        self.demand.check_end();
        for host in &self.hosts {
            assert_eq!(host.slots().taken(), 0, "a host's slots are free");
            assert_eq!(host.held_until(now), None, "holds have ended");
        }
        if self.plan.ending == Ending::AtRest {
            let well = self.hosts.iter().all(|host| is_well(now, host));
            assert!(well, "all is well, so all breakers are closed");
            let first = self.healed.expect("its goodput is proven");
            let (good, all) = self.demand.good_from(first);
            assert!(all as u64 == CALLS_AFTER && good * 100 >= all * 99, "{good} of {all} succeed");
            self.reach.hit(Mark::Goodput);
        }
        self.reach.hit_if(Mark::Closed, self.plan.ending == Ending::Close);
    }
}

/// Whether nothing is left of what a host went through.
fn is_well(now: Instant, host: &host::Host) -> bool {
    let is_plain = host.scopes().iter().all(Breaker::is_plain);
    is_plain && host.slots().taken() == 0 && host.held_until(now).is_none()
}

/// How long the faults last.
const FAULTY: u64 = 30 * SECOND;
/// Calls that must succeed once all has healed.
const CALLS_AFTER: u64 = 200;
