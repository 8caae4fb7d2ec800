//! The queue beside a list that is searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::{CallerKey, FlightId, HostKey, Priority};
use spillgate_core::queue::{Pushed, Queue, Standing};

/// One thing that happens to a queue.
#[derive(Debug, Clone)]
enum QueueStep {
    /// In this lane, at this rank, by this caller.
    Push(usize, usize, u64),
    Pop,
    Give(usize),
    Remove(prop::sample::Index),
    Stand(prop::sample::Index, usize, u64),
    Slots(usize, u32),
}

fn queue_step() -> impl Strategy<Value = QueueStep> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0_usize..3, 0_usize..4, 0_u64..4)
            .prop_map(|(lane, rank, caller)| QueueStep::Push(lane, rank, caller)),
        3 => Just(QueueStep::Pop),
        2 => (0_usize..3).prop_map(QueueStep::Give),
        1 => index().prop_map(QueueStep::Remove),
        1 => (index(), 0_usize..4, 0_u64..4)
            .prop_map(|(which, rank, caller)| QueueStep::Stand(which, rank, caller)),
        1 => (0_usize..3, 0_u32..4).prop_map(|(lane, slots)| QueueStep::Slots(lane, slots)),
    ]
}

/// What waits, as the list has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    flight: FlightId,
    lane: usize,
    rank: usize,
    caller: u64,
}

/// A queue as a plain list, oldest first, that is searched from end to end.
struct NaiveQueue {
    waiting: Vec<Entry>,
    /// For each lane and rank, who is next.
    rings: [[Vec<u64>; 4]; 3],
    running: [u32; 3],
    slots: [u32; 3],
    turns: u64,
    passed: [u64; 3],
}

impl NaiveQueue {
    fn push(&mut self, entry: Entry, queue_max: usize) -> Pushed {
        let mut pushed = Pushed::Queued;
        if self.waiting.len() >= queue_max {
            let Some(shed) = self.sheddable(entry) else { return Pushed::Full };
            pushed = Pushed::Shed(shed);
            self.remove(shed);
        }
        self.waiting.push(entry);
        self.join(entry);
        pushed
    }

    fn sheddable(&self, entry: Entry) -> Option<FlightId> {
        let least = self.waiting.iter().map(|other| other.rank).max()?;
        let crowd: Vec<Entry> =
            self.waiting.iter().copied().filter(|other| other.rank == least).collect();
        let of = |caller| crowd.iter().filter(|other| other.caller == caller).count();
        let most = crowd.iter().map(|other| of(other.caller)).max()?;
        let newest = crowd.iter().rfind(|other| of(other.caller) == most)?;
        let yields = least > entry.rank || (least == entry.rank && most > of(entry.caller) + 1);
        yields.then_some(newest.flight)
    }

    fn join(&mut self, entry: Entry) {
        let ring = &mut self.rings[entry.lane][entry.rank];
        if !ring.contains(&entry.caller) {
            ring.push(entry.caller);
        }
    }

    fn remove(&mut self, flight: FlightId) {
        let at = self.waiting.iter().position(|entry| entry.flight == flight).expect("it waits");
        let entry = self.waiting.remove(at);
        let twin = |other: &Entry| Entry { flight, ..*other } == entry;
        if !self.waiting.iter().any(twin) {
            self.rings[entry.lane][entry.rank].retain(|caller| *caller != entry.caller);
        }
    }

    fn stand(&mut self, which: usize, rank: usize, caller: u64) {
        let before = self.waiting[which];
        let entry = Entry { rank, caller, ..before };
        if entry != before {
            self.remove(before.flight);
            self.waiting.insert(which, entry);
            self.join(entry);
        }
    }

    fn pop(&mut self) -> Option<FlightId> {
        let ready = |entry: &&Entry| self.running[entry.lane] < self.slots[entry.lane];
        let best = self.waiting.iter().filter(ready).map(|entry| entry.rank).min()?;
        let first = |rank| move |entry: &&Entry| entry.rank == rank;
        let mut pick = *self.waiting.iter().filter(ready).find(first(best))?;
        if self.turns % 10 == 9 {
            let other = self.waiting.iter().filter(ready).find(|entry| entry.rank > best);
            pick = other.copied().unwrap_or(pick);
        }
        let (lane, mut rank) = (pick.lane, pick.rank);
        let mine: Vec<_> = self.waiting.iter().filter(|entry| entry.lane == lane).collect();
        let is_most_urgent = mine.iter().all(|entry| entry.rank >= rank);
        if let Some(other) = mine.iter().find(|entry| entry.rank > rank)
            && is_most_urgent
        {
            self.passed[lane] = (self.passed[lane] + 1) % 10;
            rank = if self.passed[lane] == 0 { other.rank } else { rank };
        }
        if !is_most_urgent {
            self.passed[lane] = 0;
        }
        self.turns += 1;
        self.running[lane] += 1;
        let ring = &mut self.rings[lane][rank];
        ring.rotate_left(1);
        let caller = *ring.last()?;
        let own = |entry: &&&Entry| (entry.rank, entry.caller) == (rank, caller);
        let flight = mine.iter().find(own)?.flight;
        self.remove(flight);
        Some(flight)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The queue does what a list would do that is searched from end to end.
    #[test]
    fn queue_is_a_sorted_list(
        steps in prop::collection::vec(queue_step(), 1..300),
        queue_max in 1_usize..20,
    ) {
        let lanes: [HostKey; 3] = ["a".into(), "b".into(), "c".into()];
        let mut queue = Queue::new(queue_max);
        lanes.iter().for_each(|lane| queue.set_lane(lane, 2));
        let mut naive = NaiveQueue {
            waiting: Vec::new(),
            rings: Default::default(),
            running: [0; 3],
            slots: [2; 3],
            turns: 0,
            passed: [0; 3],
        };
        for (n, step) in (0_u64..).zip(steps) {
            match step {
                QueueStep::Push(lane, rank, caller) => {
                    let pushed = queue.push(FlightId(n), &lanes[lane], standing(rank, caller));
                    let entry = Entry { flight: FlightId(n), lane, rank, caller };
                    prop_assert_eq!(pushed, naive.push(entry, queue_max));
                }
                QueueStep::Pop => prop_assert_eq!(queue.pop(), naive.pop()),
                QueueStep::Give(lane) if naive.running[lane] > 0 => {
                    queue.give(&lanes[lane]);
                    naive.running[lane] -= 1;
                }
                QueueStep::Remove(which) if !naive.waiting.is_empty() => {
                    let flight = naive.waiting[which.index(naive.waiting.len())].flight;
                    naive.remove(flight);
                    queue.remove(flight);
                    queue.remove(flight);
                }
                QueueStep::Stand(which, rank, caller) if !naive.waiting.is_empty() => {
                    let which = which.index(naive.waiting.len());
                    queue.stand(naive.waiting[which].flight, standing(rank, caller));
                    naive.stand(which, rank, caller);
                }
                QueueStep::Slots(lane, slots_max) => {
                    queue.set_lane(&lanes[lane], slots_max);
                    naive.slots[lane] = slots_max;
                }
                QueueStep::Give(_) | QueueStep::Remove(_) | QueueStep::Stand(..) => {}
            }
            prop_assert_eq!(queue.len(), naive.waiting.len());
            for (lane, key) in lanes.iter().enumerate() {
                let of = |rank| {
                    let here = |entry: &&Entry| (entry.lane, entry.rank) == (lane, rank);
                    naive.waiting.iter().filter(here).count()
                };
                prop_assert_eq!(queue.depth(key), [of(0), of(1), of(2), of(3)]);
                prop_assert_eq!(queue.running(key), naive.running[lane]);
            }
        }
    }

    /// Whatever comes meanwhile, no caller with something to send is passed over more often than there
    /// are others, and what waits is served once.
    #[test]
    fn no_caller_is_passed_over_more_often_than_there_are_others(
        steps in prop::collection::vec(
            prop::option::weighted(0.6, (0..CALLERS, 1_usize..4)),
            1..400,
        ),
        pause_ms in prop::option::of(1_u64..500),
    ) {
        let lane: HostKey = "a".into();
        let mut queue = Queue::new(10_000);
        queue.set_lane(&lane, 10_000);
        let mut now = Instant::now();
        let (mut waiting, mut passed) = (BTreeMap::new(), BTreeMap::new());
        for (n, step) in (0_u64..).zip(steps) {
            now += Duration::from_millis(pause_ms.unwrap_or_default());
            queue.tick(now);
            if let Some((caller, flights)) = step {
                for flight in (10 * n..).take(flights).map(FlightId) {
                    queue.push(flight, &lane, standing(2, caller));
                    waiting.insert(flight, caller);
                }
                continue;
            }
            let Some(served) = queue.pop() else {
                prop_assert!(waiting.is_empty());
                continue;
            };
            let owner = waiting.remove(&served).expect("it waited, and once");
            passed.remove(&owner);
            let others: BTreeSet<u64> = waiting.values().copied().collect();
            for caller in others.iter().filter(|caller| **caller != owner) {
                let seen = passed.entry(*caller).or_insert(0);
                *seen += 1;
                prop_assert!(*seen < CALLERS, "{caller} was passed over {seen} times");
            }
            passed.retain(|caller, _| others.contains(caller));
        }
        prop_assert_eq!(queue.len(), waiting.len());
    }
}

fn standing(rank: usize, caller: u64) -> Standing {
    Standing { rank: Priority::ALL[rank], caller: CallerKey(caller) }
}

const CALLERS: u64 = 6;
