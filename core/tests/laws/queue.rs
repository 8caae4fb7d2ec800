//! The queue beside a list that is searched from end to end.

use proptest::prelude::*;
use spillgate_core::call::{FlightId, HostKey, Priority};
use spillgate_core::queue::{Pushed, Queue};

use crate::{HISTORIES, cases};

/// One thing that happens to a queue.
#[derive(Debug, Clone)]
enum QueueStep {
    Push(usize, usize),
    Pop,
    Give(usize),
    Remove(prop::sample::Index),
    Rank(prop::sample::Index, usize),
    Slots(usize, u32),
}

fn queue_step() -> impl Strategy<Value = QueueStep> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0_usize..3, 0_usize..4).prop_map(|(lane, rank)| QueueStep::Push(lane, rank)),
        3 => Just(QueueStep::Pop),
        2 => (0_usize..3).prop_map(QueueStep::Give),
        1 => index().prop_map(QueueStep::Remove),
        1 => (index(), 0_usize..4).prop_map(|(which, rank)| QueueStep::Rank(which, rank)),
        1 => (0_usize..3, 0_u32..4).prop_map(|(lane, slots)| QueueStep::Slots(lane, slots)),
    ]
}

/// A queue as a plain list, oldest first, that is searched from end to end.
struct NaiveQueue {
    waiting: Vec<(FlightId, usize, usize)>,
    running: [u32; 3],
    slots: [u32; 3],
    turns: u64,
    passed: [u64; 3],
}

impl NaiveQueue {
    fn push(&mut self, flight: FlightId, lane: usize, rank: usize, queue_max: usize) -> Pushed {
        let mut pushed = Pushed::Queued;
        if self.waiting.len() >= queue_max {
            let least = self.waiting.iter().map(|entry| entry.2).max().unwrap_or(0);
            if self.waiting.is_empty() || least <= rank {
                return Pushed::Full;
            }
            let newest = self.waiting.iter().rposition(|entry| entry.2 == least).expect("it waits");
            pushed = Pushed::Shed(self.waiting.remove(newest).0);
        }
        self.waiting.push((flight, lane, rank));
        pushed
    }

    fn pop(&mut self) -> Option<FlightId> {
        let ready = |entry: &&(FlightId, usize, usize)| self.running[entry.1] < self.slots[entry.1];
        let best = self.waiting.iter().filter(ready).map(|entry| entry.2).min()?;
        let first = |rank| move |entry: &&(FlightId, usize, usize)| entry.2 == rank;
        let mut pick = *self.waiting.iter().filter(ready).find(first(best))?;
        if self.turns % 10 == 9 {
            let other = self.waiting.iter().filter(ready).find(|entry| entry.2 > best);
            pick = other.copied().unwrap_or(pick);
        }
        let lane = pick.1;
        let mine: Vec<_> = self.waiting.iter().filter(|entry| entry.1 == lane).copied().collect();
        let is_most_urgent = mine.iter().all(|entry| entry.2 >= pick.2);
        if let Some(other) = mine.iter().find(|entry| entry.2 > pick.2)
            && is_most_urgent
        {
            self.passed[lane] = (self.passed[lane] + 1) % 10;
            pick = if self.passed[lane] == 0 { *other } else { pick };
        }
        if !is_most_urgent {
            self.passed[lane] = 0;
        }
        self.turns += 1;
        self.running[lane] += 1;
        self.waiting.retain(|entry| entry.0 != pick.0);
        Some(pick.0)
    }
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// The queue does what a list would do that is searched from end to end.
    #[test]
    fn queue_is_a_sorted_list(
        steps in prop::collection::vec(queue_step(), 1..120),
        queue_max in 1_usize..20,
    ) {
        let lanes: [HostKey; 3] = ["a".into(), "b".into(), "c".into()];
        let mut queue = Queue::new(queue_max);
        lanes.iter().for_each(|lane| queue.set_lane(lane, 2));
        let mut naive = NaiveQueue {
            waiting: Vec::new(),
            running: [0; 3],
            slots: [2; 3],
            turns: 0,
            passed: [0; 3],
        };
        for (n, step) in (0_u64..).zip(steps) {
            match step {
                QueueStep::Push(lane, rank) => {
                    let pushed = queue.push(FlightId(n), &lanes[lane], Priority::ALL[rank]);
                    prop_assert_eq!(pushed, naive.push(FlightId(n), lane, rank, queue_max));
                }
                QueueStep::Pop => prop_assert_eq!(queue.pop(), naive.pop()),
                QueueStep::Give(lane) if naive.running[lane] > 0 => {
                    queue.give(&lanes[lane]);
                    naive.running[lane] -= 1;
                }
                QueueStep::Remove(which) if !naive.waiting.is_empty() => {
                    let (flight, ..) = naive.waiting.remove(which.index(naive.waiting.len()));
                    queue.remove(flight);
                    queue.remove(flight);
                }
                QueueStep::Rank(which, rank) if !naive.waiting.is_empty() => {
                    let which = which.index(naive.waiting.len());
                    naive.waiting[which].2 = rank;
                    queue.set_rank(naive.waiting[which].0, Priority::ALL[rank]);
                }
                QueueStep::Slots(lane, slots_max) => {
                    queue.set_lane(&lanes[lane], slots_max);
                    naive.slots[lane] = slots_max;
                }
                QueueStep::Give(_) | QueueStep::Remove(_) | QueueStep::Rank(..) => {}
            }
            prop_assert_eq!(queue.len(), naive.waiting.len());
            for (lane, key) in lanes.iter().enumerate() {
                let of = |rank| {
                    naive.waiting.iter().filter(|entry| (entry.1, entry.2) == (lane, rank)).count()
                };
                prop_assert_eq!(queue.depth(key), [of(0), of(1), of(2), of(3)]);
                prop_assert_eq!(queue.running(key), naive.running[lane]);
            }
        }
    }
}
