//! Whose turn it is, who is shed, and which lanes are held.

mod callers;

use std::time::Duration;

use super::*;
use Priority::{Background, Critical, Foreground, Normal};

#[test]
fn most_urgent_first_then_oldest() {
    let mut queue = queue(100, &[("a", 10)]);
    push(&mut queue, &[(1, "a", Normal), (2, "a", Background), (3, "a", Critical)]);
    push(&mut queue, &[(4, "a", Foreground), (5, "a", Normal)]);
    assert_eq!(drain(&mut queue), [3, 4, 1, 5, 2]);
}

#[test]
fn full_host_never_blocks_another() {
    let mut queue = queue(100, &[("a", 1), ("b", 2)]);
    push(&mut queue, &[(1, "a", Critical), (2, "a", Critical), (3, "b", Background)]);
    assert_eq!(drain(&mut queue), [1, 3]);
    queue.give(&"a".into());
    assert_eq!(drain(&mut queue), [2]);
}

#[test]
fn foreground_behind_500_background_is_next() {
    let mut queue = queue(1000, &[("a", 1)]);
    (0..500).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
    push(&mut queue, &[(999, "a", Foreground)]);
    assert_eq!(queue.pop(), Some(FlightId(999)));
}

/// PITFALLS A20.
#[test]
fn one_turn_in_ten_goes_to_the_less_urgent() {
    let mut queue = queue(1000, &[("a", 1000)]);
    (0..100).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
    (100..110).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
    let order = drain(&mut queue);
    let before = order.iter().take(100).filter(|id| **id >= 100).count();
    assert_eq!(before, 10);
}

#[test]
fn share_is_one_turn_in_ten_under_lasting_pressure_and_no_more() {
    let mut queue = queue(10_000, &[("a", 10_000)]);
    (0..5_000).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
    (5_000..7_000).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
    let turns: Vec<u64> = drain(&mut queue).into_iter().take(2_000).collect();
    let given = turns.iter().filter(|id| **id >= 5_000).count();
    assert_eq!(given, 200);
}

/// PITFALLS A20: however the turns of the lanes fall together.
#[test]
fn lane_whose_turns_are_never_a_tenth_starves_nobody() {
    let mut queue = queue(1000, &[("a", 1), ("b", 9)]);
    let mut id = 1000;
    push(&mut queue, &[(1, "a", Background)]);
    for _ in 0..100 {
        for lane in ["a", "b", "b", "b", "b", "b", "b", "b", "b", "b"] {
            push(&mut queue, &[(id, lane, Critical)]);
            id += 1;
        }
        for popped in drain(&mut queue) {
            let lane = if popped == 1 || popped % 10 == 0 { "a" } else { "b" };
            queue.give(&lane.into());
        }
    }
    assert!(!queue.contains(FlightId(1)), "it waited for a hundred turns of its lane");
}

/// Seed 1230 of the simulator: a lane whose device is offline asks in vain.
#[test]
fn turn_that_is_taken_back_leaves_the_share_due() {
    let mut queue = queue(1000, &[("a", 1)]);
    push(&mut queue, &[(1, "a", Background)]);
    (1000..1100).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
    let mut turns = 0;
    while queue.contains(FlightId(1)) {
        let vain = queue.pop().expect("somebody waits");
        let rank = if vain.0 == 1 { Background } else { Critical };
        queue.take_back(&"a".into());
        queue.put_back(vain, &"a".into(), rank, vain.0);
        queue.pop().expect("somebody waits");
        queue.give(&"a".into());
        turns += 1;
    }
    assert_eq!(turns, 10);
}

/// Seed 7392 of the simulator.
#[test]
fn turn_given_to_the_less_urgent_is_not_given_on_to_the_least() {
    let mut queue = queue(1000, &[("a", 1)]);
    push(&mut queue, &[(1, "a", Normal)]);
    (1000..1100).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
    (2000..2100).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
    for _ in 0..20 {
        queue.pop();
        queue.give(&"a".into());
    }
    assert!(!queue.contains(FlightId(1)), "it is the oldest of the less urgent");
}

#[test]
fn full_queue_sheds_the_newest_background_first() {
    let mut queue = queue(3, &[("a", 0)]);
    push(&mut queue, &[(1, "a", Normal), (2, "a", Background), (3, "a", Background)]);
    assert_eq!(queue.push(FlightId(4), &"a".into(), Background), Pushed::Full);
    assert_eq!(queue.push(FlightId(5), &"a".into(), Foreground), Pushed::Shed(FlightId(3)));
    assert_eq!(queue.push(FlightId(6), &"a".into(), Normal), Pushed::Shed(FlightId(2)));
    assert_eq!(queue.push(FlightId(7), &"a".into(), Normal), Pushed::Full);
    assert_eq!(queue.push(FlightId(8), &"a".into(), Critical), Pushed::Shed(FlightId(6)));
    assert_eq!(queue.len(), 3);
}

#[test]
fn rank_changes_keep_the_age() {
    let mut queue = queue(10, &[("a", 9)]);
    push(&mut queue, &[(1, "a", Background), (2, "a", Foreground), (3, "a", Normal)]);
    queue.stand(FlightId(1), Foreground);
    assert_eq!(drain(&mut queue), [1, 2, 3]);
}

#[test]
fn lanes_leave_when_idle_and_only_then() {
    let mut queue = queue(10, &[("a", 1)]);
    push(&mut queue, &[(1, "a", Normal)]);
    queue.drop_lane(&"a".into());
    assert_eq!(drain(&mut queue), [1]);
    queue.drop_lane(&"a".into());
    assert_eq!(queue.lanes(), 1, "it runs one");
    queue.give(&"a".into());
    queue.drop_lane(&"a".into());
    assert_eq!((queue.lanes(), queue.len()), (0, 0));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn held_lane_has_no_turn_until_its_time_and_keeps_its_order() {
    let now = Instant::now();
    let (early, late) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
    let mut queue = queue(10, &[("a", 9), ("b", 9)]);
    push(&mut queue, &[(1, "a", Normal), (2, "a", Normal), (3, "b", Background)]);
    queue.hold(&"a".into(), early);
    queue.hold(&"a".into(), late);
    assert_eq!((drain(&mut queue), queue.next_release()), (vec![3], Some(late)));
    queue.tick(early);
    assert!(drain(&mut queue).is_empty());
    queue.tick(late);
    queue.hold(&"a".into(), early);
    assert_eq!((drain(&mut queue), queue.next_release()), (vec![1, 2], None));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn newest_goes_first_once_waits_have_grown_and_every_tenth_turn_is_the_oldests() {
    let t0 = Instant::now();
    let mut queue = queue(1000, &[("a", 1000)]);
    queue.tick(t0);
    (0..30).for_each(|id| push(&mut queue, &[(id, "a", Normal)]));
    push(&mut queue, &[(99, "a", Foreground)]);
    assert_eq!([queue.pop(), queue.pop()], [Some(FlightId(99)), Some(FlightId(0))]);
    queue.tick(t0 + turns::NEWEST_FIRST_AFTER);
    let order: Vec<u64> = (0..11).filter_map(|_| queue.pop()).map(|flight| flight.0).collect();
    assert_eq!(order, [29, 28, 27, 26, 25, 24, 23, 22, 21, 1, 20]);
}

/// Whoever comes faster than turns do: what is served has not waited for long, and when less comes
/// nothing is left behind.
#[test]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn under_lasting_pressure_whoever_is_served_has_not_waited_for_long() {
    let mut now = Instant::now();
    let mut queue = queue(10_000, &[("a", 10_000)]);
    let mut came = Vec::new();
    let mut oldest_turns = 0;
    for id in 0..3_000 {
        now += Duration::from_millis(10);
        queue.tick(now);
        push(&mut queue, &[(id, "a", Background)]);
        came.push(now);
        if id % 3 == 2 {
            let served = queue.pop().expect("somebody waits");
            let waited = now - came[usize::try_from(served.0).unwrap()];
            assert!(waited < turns::HOPELESS_AFTER, "{waited:?}");
            oldest_turns += u32::from(waited > Duration::from_secs(4));
        }
    }
    assert!(oldest_turns > 50, "age still counts: {oldest_turns}");
    assert_eq!((queue.len(), drain(&mut queue).len()), (2_000, 2_000));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn long_wait_at_another_rank_presses_nobody() {
    let t0 = Instant::now();
    let mut queue = queue(1000, &[("a", 1000)]);
    queue.tick(t0);
    push(&mut queue, &[(1, "a", Background), (2, "a", Background)]);
    queue.tick(t0 + turns::NEWEST_FIRST_AFTER);
    queue.stand(FlightId(1), Foreground);
    push(&mut queue, &[(3, "a", Foreground)]);
    assert_eq!(drain(&mut queue), [1, 3, 2]);
}

#[test]
fn nobody_is_ahead_where_a_slot_is_free_and_the_more_urgent_are_elsewhere() {
    let mut queue = queue(1000, &[("a", 1)]);
    assert_eq!(queue.ahead(&"a".into(), Normal), None);
    push(&mut queue, &[(1, "a", Normal)]);
    queue.pop();
    push(&mut queue, &[(2, "a", Normal), (3, "a", Background), (4, "a", Foreground)]);
    let ahead = Priority::ALL.map(|rank| queue.ahead(&"a".into(), rank));
    assert_eq!(ahead, [Some(0), Some(1), Some(2), Some(3)]);
}

#[test]
fn what_is_put_back_has_its_old_place() {
    let mut queue = queue(2, &[("a", 1)]);
    push(&mut queue, &[(1, "a", Normal)]);
    let arrival = queue.arrival(FlightId(1)).expect("it waits");
    assert_eq!(drain(&mut queue), [1]);
    push(&mut queue, &[(2, "a", Normal), (3, "a", Normal)]);
    queue.put_back(FlightId(1), &"a".into(), Normal, arrival);
    queue.give(&"a".into());
    assert_eq!((drain(&mut queue), queue.len()), (vec![1], 2));
}

fn queue(queue_max: usize, lanes: &[(&str, u32)]) -> Queue {
    let mut queue = Queue::new(queue_max);
    lanes.iter().for_each(|(lane, slots)| queue.set_lane(&(*lane).into(), *slots));
    queue
}

fn push(queue: &mut Queue, flights: &[(u64, &str, Priority)]) {
    for (id, lane, rank) in flights {
        assert_eq!(queue.push(FlightId(*id), &(*lane).into(), *rank), Pushed::Queued);
    }
}

fn drain(queue: &mut Queue) -> Vec<u64> {
    std::iter::from_fn(|| queue.pop()).map(|flight| flight.0).collect()
}
