//! How callers take turns, and who of them makes room.

use super::*;

#[test]
fn caller_with_one_is_served_within_two_turns_of_one_with_a_thousand() {
    let mut queue = queue(2_000, &[("a", 2_000)]);
    (0..1_000).for_each(|id| call(&mut queue, id, Normal, 1));
    call(&mut queue, 5_000, Normal, 2);
    let order = drain(&mut queue);
    assert_eq!(order[..4], [0, 5_000, 1, 2]);
    assert_eq!(order.len(), 1_001);
}

#[test]
fn callers_go_round_and_who_comes_anew_is_last() {
    let mut queue = queue(100, &[("a", 100)]);
    [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)]
        .into_iter()
        .for_each(|(id, caller)| call(&mut queue, id, Normal, caller));
    assert_eq!([queue.pop(), queue.pop()], [Some(FlightId(1)), Some(FlightId(4))]);
    call(&mut queue, 7, Normal, 4);
    assert_eq!(drain(&mut queue), [6, 2, 5, 7, 3]);
}

#[test]
fn calls_without_a_caller_are_one_callers() {
    let mut queue = queue(100, &[("a", 100)]);
    push(&mut queue, &[(1, "a", Normal), (2, "a", Normal)]);
    call(&mut queue, 3, Normal, 9);
    assert_eq!(drain(&mut queue), [1, 3, 2]);
}

#[test]
fn urgency_comes_before_fairness() {
    let mut queue = queue(100, &[("a", 100)]);
    (0..5).for_each(|id| call(&mut queue, id, Foreground, 1));
    call(&mut queue, 9, Normal, 2);
    assert_eq!(drain(&mut queue), [0, 1, 2, 3, 4, 9]);
}

#[test]
fn turns_given_to_the_less_urgent_go_round_their_callers() {
    let mut queue = queue(1_000, &[("a", 1_000)]);
    (0..100).for_each(|id| call(&mut queue, id, Critical, 1));
    (100..150).for_each(|id| call(&mut queue, id, Background, 2));
    call(&mut queue, 999, Background, 3);
    let order = drain(&mut queue);
    let place = order.iter().position(|id| *id == 999).expect("it is served");
    assert!(place < 20, "the second turn that is given away is its own: {place}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn only_the_caller_with_long_waits_is_served_newest_first() {
    let t0 = Instant::now();
    let mut queue = queue(1_000, &[("a", 1_000)]);
    queue.tick(t0);
    (0..3).for_each(|id| call(&mut queue, id, Normal, 1));
    queue.tick(t0 + turns::NEWEST_FIRST_AFTER);
    (10..13).for_each(|id| call(&mut queue, id, Normal, 2));
    assert_eq!(drain(&mut queue), [2, 10, 1, 11, 0, 12]);
}

#[test]
fn caller_whose_turn_came_to_nothing_keeps_it() {
    let mut queue = queue(100, &[("a", 100)]);
    [(1, 1), (2, 1), (3, 2)].into_iter().for_each(|(id, who)| call(&mut queue, id, Normal, who));
    let arrival = queue.arrival(FlightId(1)).expect("it waits");
    assert_eq!(queue.pop(), Some(FlightId(1)));
    queue.put_back(FlightId(1), &"a".into(), of(Normal, 1), arrival);
    assert_eq!(drain(&mut queue), [1, 3, 2]);
}

#[test]
fn full_queue_sheds_the_newest_of_the_caller_with_most_waiting() {
    let mut queue = queue(5, &[("a", 0)]);
    (0..3).for_each(|id| call(&mut queue, id, Background, 1));
    (3..5).for_each(|id| call(&mut queue, id, Background, 2));
    let pushed = queue.push(FlightId(9), &"a".into(), of(Normal, 3));
    assert_eq!(pushed, Pushed::Shed(FlightId(2)), "the other's are newer, and fewer");
}

#[test]
fn caller_with_less_waiting_takes_the_place_of_one_with_more_and_no_other() {
    let mut queue = queue(4, &[("a", 0)]);
    (0..4).for_each(|id| call(&mut queue, id, Normal, 1));
    let mut next = |id, caller| queue.push(FlightId(id), &"a".into(), of(Normal, caller));
    assert_eq!(next(4, 1), Pushed::Full, "its own are older");
    assert_eq!(next(5, 2), Pushed::Shed(FlightId(3)));
    assert_eq!(next(6, 2), Pushed::Shed(FlightId(2)));
    assert_eq!(next(7, 2), Pushed::Full, "both have two");
}

#[test]
fn caller_sees_ahead_of_it_only_whose_turns_come_first() {
    let mut queue = queue(2_000, &[("a", 1)]);
    call(&mut queue, 0, Normal, 1);
    queue.pop();
    (1..=100).for_each(|id| call(&mut queue, id, Normal, 1));
    (101..=102).for_each(|id| call(&mut queue, id, Normal, 2));
    let ahead = [1, 2, 3].map(|caller| queue.ahead(&"a".into(), of(Normal, caller)));
    assert_eq!(ahead, [Some(102), Some(5), Some(2)]);
}

fn call(queue: &mut Queue, id: u64, rank: Priority, caller: u64) {
    assert_eq!(queue.push(FlightId(id), &"a".into(), of(rank, caller)), Pushed::Queued);
}

fn of(rank: Priority, caller: u64) -> Standing {
    Standing { rank, caller: CallerKey(caller) }
}
