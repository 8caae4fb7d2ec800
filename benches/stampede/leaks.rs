//! Answers that are for one user: whether anybody else ever sees one.

use std::time::Duration;

use spillgate_benches::figures::median;

use crate::crowd::{Had, Wish};
use crate::lines::{Bench, SLACK, all, at_most};
use crate::table::{Bound, Table};
use crate::{CALLERS, ORIGIN};

/// Ten seeded crowds a case, and one for the time that users wait.
pub(crate) async fn measure(bench: &Bench<'_>, table: &mut Table) {
    for case in ["private", "cookie", "authorization"] {
        let (mut bodies, mut cookies) = (0, 0);
        for seed in 1..=SEEDS {
            let mut chance = Chance(seed);
            let millis = 50 + chance.below(100);
            let path = format!("/{case}/{millis}/{}/{seed}", bench.name);
            let wishes: Vec<Wish> = (0..CALLERS).map(|_| wish(case, &path, &mut chance)).collect();
            let had = bench.way.burst(wishes.clone()).await;
            for (wish, had) in wishes.iter().zip(&had) {
                let user = user_of(wish);
                bodies += usize::from(had.body != format!("for {user}."));
                let foreign = |cookie: &String| *cookie != format!("id={user}");
                cookies += usize::from(had.cookie.as_ref().is_some_and(foreign));
            }
        }
        table.count(&format!("{case}, 10 seeds: others' bodies"), bodies, Bound::Is(0.0));
        table.count(&format!("{case}, 10 seeds: others' cookies"), cookies, Bound::Is(0.0));
    }
    anonymous(bench, table).await;
    let path = bench.path("authorization");
    let wish = |user| Wish::of(&path).field("Authorization", format!("user{user}"));
    let had = bench.way.burst((0..CALLERS).map(wish).collect()).await;
    table.count("authorization: origin requests", bench.requests(&path), all(CALLERS));
    table.median("authorization", &had, bench.if_parallel(at_most(ORIGIN + SLACK)));
    let together = bench.origin.seen(&path).together_max;
    table.count("authorization: at the origin at once", together, bench.if_parallel(all(CALLERS)));
}

/// Requests that are the same in every byte: a cookie that one is given reaches no other.
async fn anonymous(bench: &Bench<'_>, table: &mut Table) {
    let (mut cookies, mut requests) = (0, Vec::new());
    for seed in 1..=SEEDS {
        let path = format!("/anonymous-cookie/100/{}/{seed}", bench.name);
        let had = bench.way.same(CALLERS, Wish::of(&path)).await;
        cookies += had.iter().filter(|had| has_anothers(had)).count();
        let mut given: Vec<_> = had.iter().filter_map(|had| had.cookie.as_ref()).collect();
        let all = given.len();
        given.sort_unstable();
        given.dedup();
        cookies += all - given.len();
        requests.push(u32::try_from(bench.requests(&path)).map_or(f64::NAN, f64::from));
    }
    table.count("cookie, identical requests: cookies given twice", cookies, Bound::Is(0.0));
    let requests = median(requests);
    let bound = if bench.shares_all { Bound::Is(1.0) } else { all(CALLERS) };
    table.figure("cookie, identical requests: origin requests", requests, bound);
}

/// Whether its cookie belongs to another body than its own.
fn has_anothers(had: &Had) -> bool {
    let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    had.cookie.as_ref().is_some_and(|cookie| number(cookie) != number(&had.body))
}

fn wish(case: &str, path: &str, chance: &mut Chance) -> Wish {
    let user = format!("user{}", chance.below(u64::MAX));
    let late = Duration::from_millis(chance.below(10));
    let named = if case == "authorization" { "Authorization" } else { "X-User" };
    Wish { late, ..Wish::of(path).field(named, user) }
}

fn user_of(wish: &Wish) -> &str {
    wish.fields.first().map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// The generator `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const SEEDS: u64 = 10;
