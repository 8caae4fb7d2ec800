//! The lines of the table, in the order of their bounds.

use std::time::Duration;

use spillgate_benches::origin::Origin;

use crate::crowd::{Had, Way, Wish};
use crate::leaks;
use crate::table::{Bound, Table};
use crate::{CALLERS, ORIGIN};

/// One way to the origin, with what to expect of it.
pub(crate) struct Bench<'a> {
    pub(crate) way: Way,
    pub(crate) origin: &'a Origin,
    /// Tells its paths from those of others.
    pub(crate) name: &'static str,
    /// How many requests may be at the origin at once.
    pub(crate) slots: usize,
    /// Whether requests that are the same share an answer that is not stored.
    pub(crate) shares_all: bool,
}

impl Bench<'_> {
    pub(crate) async fn measure(&self, table: &mut Table) {
        self.cold(table).await;
        self.uncacheable(table).await;
        leaks::measure(self, table).await;
        self.renewed(table).await;
        self.failing(table).await;
        self.down(table).await;
        self.leader_leaves(table).await;
        self.variants(table).await;
        self.expired(table).await;
    }

    /// A path for a case of this way, answered after as long as the origin takes.
    pub(crate) fn path(&self, case: &str) -> String {
        format!("/{case}/{}/{}", ORIGIN.as_millis(), self.name)
    }

    pub(crate) fn requests(&self, path: &str) -> usize {
        self.origin.seen(path).at.len()
    }

    /// A bound for what needs a slot for each caller.
    pub(crate) fn if_parallel(&self, bound: Bound) -> Bound {
        if self.slots < CALLERS { Bound::Noted } else { bound }
    }

    async fn cold(&self, table: &mut Table) {
        let path = self.path("cacheable");
        let had = self.way.same(CALLERS, Wish::of(&path)).await;
        table.count("cold cacheable: origin requests", self.requests(&path), ONE);
        table.count("cold cacheable: the same 200", right(&had, "body 0."), all(CALLERS));
        table.median("cold cacheable", &had, at_most(ORIGIN + SLACK));
    }

    async fn uncacheable(&self, table: &mut Table) {
        if self.shares_all {
            let path = self.path("uncacheable");
            let had = self.way.same(CALLERS, Wish::of(&path)).await;
            table.count("uncacheable, identical: origin requests", self.requests(&path), ONE);
            table.median("uncacheable, identical", &had, at_most(ORIGIN + SLACK));
        }
        let path = self.path("uncacheable") + "/apart";
        let wish = Wish { alone: true, ..Wish::of(&path) };
        let bound = ORIGIN * 2 + Duration::from_millis(30);
        for (what, bound) in
            [("uncacheable, first burst", bound), ("uncacheable, repeat", ORIGIN + SLACK)]
        {
            let before = self.requests(&path);
            let had = self.way.same(CALLERS, wish.clone()).await;
            let requests = self.requests(&path) - before;
            table.count(&format!("{what}: origin requests"), requests, all(CALLERS));
            table.count(&format!("{what}: different bodies"), different(&had), all(CALLERS));
            table.median(what, &had, self.if_parallel(at_most(bound)));
        }
        let together = self.origin.seen(&path).together_max;
        let bound = self.if_parallel(all(CALLERS));
        table.count("uncacheable, repeat: at the origin at once", together, bound);
    }

    async fn renewed(&self, table: &mut Table) {
        let path = self.path("renewed");
        self.way.one(&path).await;
        let had = self.way.same(CALLERS, Wish::of(&path)).await;
        self.origin.settled(&path, 2).await;
        table.count("expired with SWR: origin requests", self.requests(&path) - 1, ONE);
        table.count("expired with SWR: stale 200", right(&had, "body 0."), all(CALLERS));
        table.median("expired with SWR", &had, Bound::AtMost(8.0));
    }

    /// Bursts that follow each other for as long as a failure is remembered.
    async fn failing(&self, table: &mut Table) {
        for case in ["failing", "reset"] {
            for millis in [ORIGIN.as_millis(), 0] {
                let path = format!("/{case}/{millis}/{}", self.name);
                let what = format!("stale-if-error, {case} after {millis} ms");
                self.way.one(&path).await;
                let mut had = Vec::new();
                for _ in 0..BURSTS {
                    had.extend(self.way.same(CALLERS, Wish::of(&path)).await);
                }
                let kept = right(&had, "body 0.");
                table.count(&format!("{what}: stale 200"), kept, all(CALLERS * BURSTS));
                table.count(&format!("{what}: origin requests"), self.requests(&path) - 1, ONE);
            }
        }
    }

    async fn down(&self, table: &mut Table) {
        let path = self.path("down");
        let had = self.way.same(CALLERS, Wish::of(&path)).await;
        let told = had.iter().filter(|had| had.status == 503).count();
        table.count("cold 503: origin requests", self.requests(&path), ONE);
        table.count("cold 503: told to all", told, all(CALLERS));
        table.median("cold 503", &had, at_most(ORIGIN + SLACK));
    }

    async fn leader_leaves(&self, table: &mut Table) {
        let path = self.path("cacheable") + "/left";
        let leader = self.way.begin(&path).await;
        self.origin.reached(&path, 1).await;
        let leave = async {
            tokio::time::sleep_until(tokio::time::Instant::now() + ORIGIN / 3).await;
            leader.abort();
        };
        let (had, ()) = tokio::join!(self.way.same(CALLERS - 1, Wish::of(&path)), leave);
        table.count("leader leaves: origin requests", self.requests(&path), ONE);
        table.count("leader leaves: 200", right(&had, "body 0."), all(CALLERS - 1));
        table.longest("leader leaves", &had, at_most(ORIGIN + SLACK));
        self.way.one(&path).await;
        table.count("leader leaves: origin requests after it", self.requests(&path), ONE);
    }

    /// Two thousand values of a field that the answer varies by, a crowd at a time, three times.
    async fn variants(&self, table: &mut Table) {
        let path = format!("/variants/0/{}", self.name);
        let mut wrong = 0;
        for round in 0..3 {
            for first in (0..VARIANTS).step_by(CALLERS) {
                let lanes: Vec<usize> = (first..first + CALLERS)
                    .map(|lane| (lane * STRIDE + round) % VARIANTS)
                    .collect();
                let wish = |lane: &usize| Wish::of(&path).field("x-lane", lane.to_string());
                let had = self.way.burst(lanes.iter().map(wish).collect()).await;
                let is_right = |(lane, had): &(&usize, &Had)| had.body == format!("lane {lane}.");
                wrong += CALLERS - lanes.iter().zip(&had).filter(is_right).count();
            }
        }
        table.count("2,000 Vary values: wrong answers of 6,000", wrong, Bound::Is(0.0));
        let requests = self.requests(&path);
        table.count("2,000 Vary values: origin requests", requests, Bound::Noted);
        if let Way::Library(client, _) = &self.way {
            let answers = client.cache().export().filter(|stored| stored.url.contains(&path));
            table.count("2,000 Vary values: stored", answers.count(), Bound::AtMost(32.0));
        }
    }

    async fn expired(&self, table: &mut Table) {
        let path = self.path("expired");
        self.way.one(&path).await;
        let had = self.way.same(CALLERS, Wish::of(&path)).await;
        table.count("expired: validations", self.requests(&path) - 1, ONE);
        table.count("expired: 200 from the store", right(&had, "body 0."), all(CALLERS));
        table.median("expired", &had, at_most(ORIGIN + SLACK));
    }
}

fn right(had: &[Had], body: &str) -> usize {
    had.iter().filter(|had| had.status == 200 && had.body == body).count()
}

fn different(had: &[Had]) -> usize {
    let mut bodies: Vec<&str> =
        had.iter().filter(|had| had.status == 200).map(|had| had.body.as_str()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    bodies.len()
}

pub(crate) fn at_most(time: Duration) -> Bound {
    Bound::AtMost(time.as_secs_f64() * 1e3)
}

pub(crate) fn all(count: usize) -> Bound {
    u32::try_from(count).map_or(Bound::Noted, |count| Bound::Is(f64::from(count)))
}

const ONE: Bound = Bound::Is(1.0);
/// What an answer may take beside the origin's own time.
pub(crate) const SLACK: Duration = Duration::from_millis(20);
/// Bursts within one back-off.
const BURSTS: usize = 2;
const VARIANTS: usize = 2_000;
/// Steps through all of them in no order.
const STRIDE: usize = 7;
