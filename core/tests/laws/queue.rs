//! The queue beside a list that is searched from end to end.

pub(crate) mod naive;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::{CallerKey, FlightId, HostKey, Priority};
use spillgate_core::queue::{Queue, Standing as Place};

use crate::queue::naive::{Entry, NaiveQueue, Standing};
use crate::{HISTORIES, cases};

/// One thing that happens to a queue.
#[derive(Debug, Clone)]
enum Step {
    Push(usize, Standing),
    Pass(usize, Standing),
    Pop,
    Give(usize),
    PutBack(Standing),
    Remove(prop::sample::Index),
    Stand(prop::sample::Index, Standing),
    Slots(usize, u32),
    Hold(usize, u64),
    Unhold(usize),
    Drop(usize),
    Max(usize),
    Tick(u64),
}

/// Two ranks in three are the same, and two callers in three, so that they meet.
fn standing() -> impl Strategy<Value = Standing> {
    let rank = prop_oneof![Just(2_usize), 0_usize..4];
    (rank, prop_oneof![Just(1_u64), 0_u64..4])
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        16 => (0_usize..3, standing()).prop_map(|(lane, standing)| Step::Push(lane, standing)),
        1 => (0_usize..3, standing()).prop_map(|(lane, standing)| Step::Pass(lane, standing)),
        12 => Just(Step::Pop),
        8 => (0_usize..3).prop_map(Step::Give),
        2 => standing().prop_map(Step::PutBack),
        3 => index().prop_map(Step::Remove),
        3 => (index(), standing()).prop_map(|(which, standing)| Step::Stand(which, standing)),
        3 => (0_usize..3, 0_u32..4).prop_map(|(lane, slots)| Step::Slots(lane, slots)),
        2 => (0_usize..3, 0_u64..800).prop_map(|(lane, ms)| Step::Hold(lane, ms)),
        1 => (0_usize..3).prop_map(Step::Unhold),
        2 => (0_usize..3).prop_map(Step::Drop),
        1 => (1_usize..20).prop_map(Step::Max),
        5 => (0_u64..700).prop_map(Step::Tick),
    ]
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// The queue does what a list would do that is searched from end to end.
    #[test]
    fn queue_is_a_sorted_list(
        steps in prop::collection::vec(step(), 1..160),
        queue_max in 1_usize..20,
    ) {
        let mut pair = Pair::new(queue_max);
        for (n, step) in (0_u64..).zip(steps) {
            pair.step(FlightId(n), &step);
            pair.compare();
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
                    queue.push(flight, &lane, place((2, caller)));
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

    /// PITFALLS A20: with urgent work waiting for ever, each of the less urgent starts within ten
    /// turns of its lane for itself and for each that came before it, whatever the other lanes do.
    #[test]
    fn less_urgent_starts_within_ten_turns_of_its_lane(
        lazy in prop::collection::vec((1_usize..4, 0..CALLERS), 1..8),
        lanes in prop::collection::vec(0_usize..3, 200),
    ) {
        let keys: [HostKey; 3] = ["a".into(), "b".into(), "c".into()];
        let mut queue = Queue::new(10_000);
        keys.iter().for_each(|key| queue.set_lane(key, 1));
        for (n, standing) in (0_u64..).zip(&lazy) {
            queue.push(FlightId(n), &keys[0], place(*standing));
        }
        let (mut turns, mut urgent, mut lane_of) = (0, 1_000, BTreeMap::new());
        for (n, lane) in (0_u64..).zip(lanes) {
            // What is urgent waits in the lane at every turn, and in another now and then.
            for lane in [0, lane] {
                urgent += 1;
                lane_of.insert(FlightId(urgent), lane);
                queue.push(FlightId(urgent), &keys[lane], place((0, n % 3)));
            }
            let popped = queue.pop().expect("somebody waits");
            let lane = lane_of.get(&popped).copied().unwrap_or(0);
            turns += usize::from(lane == 0);
            queue.give(&keys[lane]);
            let waiting = (0..lazy.len() as u64).filter(|n| queue.contains(FlightId(*n))).count();
            prop_assert!(lazy.len() - waiting >= (turns / 10).min(lazy.len()), "{turns} turns");
        }
    }
}

proptest! {
    #![proptest_config(cases(HISTORIES / 4))]

    /// The same for one busy lane whose calls wait long: shares and pressure count their turns.
    #[test]
    fn busy_lane_is_a_sorted_list(
        steps in prop::collection::vec((0_usize..4, 0_usize..3, 0_u64..400), 100..250),
    ) {
        let mut pair = Pair::new(30);
        for (n, (what, rank, ms)) in (0_u64..).zip(steps) {
            // What begins as a turn ends at once, so that the lane always has a slot.
            let steps = match what {
                0 | 1 => vec![Step::Push(0, (rank + 1, n % 3)), Step::Tick(ms)],
                _ => vec![Step::Pop, Step::Give(0)],
            };
            steps.iter().for_each(|step| pair.step(FlightId(n), step));
            pair.compare();
        }
    }
}

struct Pair {
    keys: [HostKey; 3],
    queue: Queue,
    naive: NaiveQueue,
    now: Instant,
    /// Those that have a slot.
    running: Vec<Entry>,
}

impl Pair {
    fn new(queue_max: usize) -> Self {
        let mut pair = Self {
            keys: ["a".into(), "b".into(), "c".into()],
            queue: Queue::new(queue_max),
            naive: NaiveQueue::new(queue_max),
            now: Instant::now(),
            running: Vec::new(),
        };
        for lane in 0..2 {
            pair.queue.set_lane(&pair.keys[lane], 2);
            pair.naive.set_lane(lane, 2);
        }
        pair
    }

    fn step(&mut self, flight: FlightId, step: &Step) {
        let (queue, naive, keys) = (&mut self.queue, &mut self.naive, &self.keys);
        match *step {
            Step::Push(lane, standing) => {
                let pushed = queue.push(flight, &keys[lane], place(standing));
                assert_eq!(pushed, naive.push(flight, lane, standing));
            }
            Step::Pass(lane, standing) => {
                queue.pass(flight, &keys[lane], place(standing));
                naive.pass(flight, lane, standing);
            }
            Step::Pop => {
                let popped = naive.pop();
                assert_eq!(queue.pop(), popped.map(|entry| entry.flight));
                self.running.extend(popped);
            }
            Step::Give(lane) => {
                if let Some(at) = self.running.iter().position(|entry| entry.lane == lane) {
                    self.running.swap_remove(at);
                    queue.give(&keys[lane]);
                    naive.lanes.get_mut(&lane).expect("it runs").running -= 1;
                }
            }
            Step::PutBack(standing) => {
                if let Some(Entry { flight, lane, arrival, .. }) = self.running.pop() {
                    queue.give(&keys[lane]);
                    naive.lanes.get_mut(&lane).expect("it runs").running -= 1;
                    queue.put_back(flight, &keys[lane], place(standing), arrival);
                    naive.put_back(flight, lane, standing, arrival);
                }
            }
            Step::Remove(which) if !naive.waiting.is_empty() => {
                let flight = naive.waiting[which.index(naive.waiting.len())].flight;
                naive.remove(flight);
                queue.remove(flight);
                queue.remove(flight);
            }
            Step::Stand(which, standing) if !naive.waiting.is_empty() => {
                let flight = naive.waiting[which.index(naive.waiting.len())].flight;
                naive.stand(flight, standing);
                queue.stand(flight, place(standing));
            }
            Step::Remove(_) | Step::Stand(..) => {}
            Step::Slots(..)
            | Step::Hold(..)
            | Step::Unhold(_)
            | Step::Drop(_)
            | Step::Max(_)
            | Step::Tick(_) => self.arrange(step),
        }
    }

    /// What changes the lanes and not who waits.
    fn arrange(&mut self, step: &Step) {
        let (queue, naive, keys) = (&mut self.queue, &mut self.naive, &self.keys);
        match *step {
            Step::Slots(lane, slots) => {
                queue.set_lane(&keys[lane], slots);
                naive.set_lane(lane, slots);
            }
            Step::Hold(lane, ms) => {
                let until = self.now + Duration::from_millis(ms);
                queue.hold(&keys[lane], until);
                naive.hold(lane, until);
            }
            Step::Unhold(lane) => {
                queue.unhold(&keys[lane]);
                naive.lanes.get_mut(&lane).into_iter().for_each(|lane| lane.held = None);
            }
            Step::Drop(lane) => {
                queue.drop_lane(&keys[lane]);
                naive.drop_lane(lane);
            }
            Step::Max(queue_max) => {
                queue.set_max(queue_max);
                naive.queue_max = queue_max;
            }
            Step::Tick(ms) => {
                self.now += Duration::from_millis(ms);
                queue.tick(self.now);
                naive.tick(self.now);
            }
            Step::Push(..)
            | Step::Pass(..)
            | Step::Pop
            | Step::Give(_)
            | Step::PutBack(_)
            | Step::Remove(_)
            | Step::Stand(..) => {}
        }
    }

    fn compare(&self) {
        let (queue, naive) = (&self.queue, &self.naive);
        assert_eq!(
            (queue.len(), queue.is_empty()),
            (naive.waiting.len(), naive.waiting.is_empty())
        );
        assert_eq!(queue.lanes(), naive.lanes.len());
        let release = naive.lanes.values().filter_map(|lane| lane.held).min();
        assert_eq!(queue.next_release(), release);
        for entry in &naive.waiting {
            assert_eq!(queue.arrival(entry.flight), Some(entry.arrival));
            assert!(queue.contains(entry.flight));
        }
        assert!(self.running.iter().all(|entry| !queue.contains(entry.flight)));
        for (lane, key) in self.keys.iter().enumerate() {
            let known = naive.lanes.get(&lane);
            let mut mine: Vec<Entry> =
                naive.waiting.iter().filter(|entry| entry.lane == lane).copied().collect();
            let of = |rank| mine.iter().filter(|entry| entry.rank == rank).count();
            assert_eq!(queue.depth(key), [of(0), of(1), of(2), of(3)]);
            mine.sort_by_key(|entry| entry.rank);
            assert!(queue.waiting(key).eq(mine.iter().map(|entry| entry.flight)));
            assert_eq!(queue.running(key), known.map_or(0, |lane| lane.running));
            assert_eq!(queue.slots_max(key), known.map_or(0, |lane| lane.slots));
            assert_eq!(queue.held_until(key), known.and_then(|lane| lane.held));
            assert_eq!(queue.has_lane(key), known.is_some());
            assert_eq!(queue.is_clear(key), naive.is_clear(lane));
            for standing in (0..4).flat_map(|rank| [(rank, 1), (rank, 3)]) {
                assert_eq!(queue.ahead(key, place(standing)), naive.ahead(lane, standing));
            }
        }
    }
}

fn place((rank, caller): Standing) -> Place {
    Place { rank: Priority::ALL[rank], caller: CallerKey(caller) }
}

const CALLERS: u64 = 6;
