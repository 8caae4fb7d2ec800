//! Our decisions beside those of `http-cache-semantics`, on random heads.
//!
//! Compared is whether a shared cache serves an answer without asking, for how long, and how old it
//! says it is; `SPILLGATE_ORACLE_CASES` says of how many heads. Where the two differ, one of these must
//! hold:
//!
//! | what was said | ours | the other's | rule |
//! |---|---|---|---|
//! | `proxy-revalidate` | fresh until it expires | never fresh | RFC 9111 section 5.2.2.8: only once stale |
//! | `private="…"`, `no-cache="…"` | those fields are left out | all of it | sections 5.2.2.4 and 5.2.2.7 |
//! | `no-store, must-understand` | stored if the status is understood | not stored | section 5.2.2.3 |
//! | `immutable` without a lifetime | no lifetime | a day | RFC 8246 section 2 |
//! | `Set-Cookie` with `immutable` | not stored | fresh | a cookie is for one user unless `public` |
//! | `Age` that is no plain number, or two | first member, or none | whatever parses | section 5.1 |
//! | `MAX-AGE="60"` | read | not read | section 5.2: any case, token or quoted |
//! | a status of no known meaning | stored if a lifetime is said | not stored | section 3 |
//!
//! Left out of the heads: directives that come twice (the other merges them), `Pragma` in answers
//! (section 5.4 gives it no meaning), a `Date` other than the time of arrival (the other knows no
//! apparent age), and `max-age` without a number (the other looks further).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::directives::Wishes;
use spillgate_actors::core::cache::freshness::Exchange;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::storing::{Answered, judge};
use spillgate_actors::core::cache::using::{Use, decide};
use spillgate_actors::core::rng::Rng;

use crate::cache::page::Lines;

const RECEIVED: Wall = Wall::from_secs(1_795_348_800);
const CASES: u64 = 20_000;
const STATUSES: [u16; 12] = [200, 200, 200, 203, 204, 301, 302, 307, 404, 410, 501, 599];
const FLAGS: [&str; 12] = [
    "public",
    "private",
    "no-store",
    "no-cache",
    "must-revalidate",
    "proxy-revalidate",
    "immutable",
    "private=\"x-a\"",
    "no-cache=\"x-a\"",
    "must-understand",
    "other=\"no-store\"",
    "Max-Stale=1",
];
const WISHES: [&str; 4] = ["no-cache", "max-age=30", "min-fresh=30", "no-store"];
const AGES: [&str; 6] = ["0", "20", "100", "7, 9", "x", "-5"];

struct Head {
    status: u16,
    request: Request<()>,
    response: Response<()>,
    said: String,
}

fn head(rng: &mut Rng) -> Head {
    let mut chance = |of: u64| rng.below(of) == 0;
    let mut said: Vec<String> =
        FLAGS.iter().filter(|_| chance(8)).map(|flag| (*flag).to_owned()).collect();
    let lifetimes = ["s-maxage=50", "max-age=40", "MAX-AGE=\"60\"", "max-age=0", "max-age=x"];
    let lifetime = lifetimes.iter().filter(|_| chance(4)).take(1);
    said.extend(lifetime.map(|lifetime| (*lifetime).to_owned()));
    let said = said.join(", ");
    let at = |offset: i64| {
        Wall::from_secs(RECEIVED.0.as_secs().saturating_add_signed(offset)).to_string()
    };
    let mut response = Response::builder().header("date", at(0));
    let fields = [
        ("cache-control", said.clone()),
        ("expires", at(100)),
        ("expires", at(-100)),
        ("expires", "0".to_owned()),
        ("last-modified", at(-10_000)),
        ("set-cookie", "a=b".to_owned()),
        ("vary", "accept".to_owned()),
        ("vary", "*".to_owned()),
    ];
    let (mut expires, mut vary) = (false, false);
    for (name, value) in fields {
        let once = match name {
            "expires" => std::mem::replace(&mut expires, true),
            "vary" => std::mem::replace(&mut vary, true),
            _ => false,
        };
        let wanted = name == "cache-control" || chance(6);
        match name {
            "expires" => expires = once || wanted,
            "vary" => vary = once || wanted,
            _ => {}
        }
        if wanted && !once {
            response = response.header(name, value);
        }
    }
    let age = AGES.iter().find(|_| chance(12));
    if let Some(age) = age {
        response = response.header("age", *age);
    }
    let mut request = Request::builder().uri("http://a.example/x");
    if chance(6) {
        request = request.header("authorization", "a");
    }
    if let Some(wish) = WISHES.iter().find(|_| chance(12)) {
        request = request.header("cache-control", *wish);
    }
    let status = STATUSES[usize::try_from(rng.below(STATUSES.len() as u64)).unwrap()];
    let response = response.status(status).body(()).unwrap();
    Head { status, request: request.body(()).unwrap(), response, said }
}

/// How long it is served without asking, and its age; `None` if the origin is asked.
type Decision = Option<(u64, u64)>;

fn ours(head: &Head, later: u64) -> Decision {
    let (request, response) = (&Lines(head.request.headers()), &Lines(head.response.headers()));
    let exchange = Exchange { requested: RECEIVED, received: RECEIVED };
    let rules = Rules::default();
    let answered = Answered {
        method: "GET",
        request,
        status: head.status,
        response,
        of_target: false,
        exchange,
    };
    let entry = judge(&rules, &answered).ok()?;
    let now = Wall(RECEIVED.0 + Duration::from_secs(later));
    let used = decide(&rules, &entry, &Wishes::read(request), now);
    let left = entry.freshness.left(now)?;
    (used == Use::Fresh).then(|| (left.as_secs(), entry.freshness.age(now).as_secs()))
}

fn theirs(head: &Head, later: u64) -> Decision {
    let received = SystemTime::UNIX_EPOCH + RECEIVED.0;
    let options = CacheOptions::default();
    let policy = CachePolicy::new_options(&head.request, &head.response, received, options);
    let now = received + Duration::from_secs(later);
    let fresh = policy.is_storable()
        && policy.before_request(&head.request, now).satisfies_without_revalidation();
    let left = policy.time_to_live(now);
    (fresh && !left.is_zero()).then(|| (left.as_secs(), policy.age(now).as_secs()))
}

/// Which rows of the table a head is about.
fn rows(head: &Head) -> Vec<&'static str> {
    let said = |word: &str| head.said.contains(word);
    let headers = head.response.headers();
    let age = headers.get("age").is_some_and(|age| age.to_str().unwrap().parse::<u64>().is_err());
    let lifetime = said("max-age=") || said("MAX-AGE=") || said("s-maxage=");
    [
        (said("proxy-revalidate"), "proxy-revalidate"),
        (said("=\"x-a\""), "qualified"),
        (said("must-understand") && said("no-store"), "must-understand"),
        (said("immutable") && !lifetime, "immutable"),
        (said("immutable") && headers.contains_key("set-cookie"), "cookie"),
        (age, "age"),
        (head.status == 599, "status"),
        (said("MAX-AGE"), "case"),
    ]
    .into_iter()
    .filter_map(|(holds, row)| holds.then_some(row))
    .collect()
}

#[test]
fn every_difference_has_a_rule() {
    let (mut served, mut seen, mut unexplained) = (0, BTreeSet::new(), Vec::new());
    let cases = std::env::var("SPILLGATE_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(CASES);
    for seed in 0..cases {
        let rng = &mut Rng::new(seed);
        let (head, later) = (head(rng), rng.below(80));
        let (ours, theirs) = (ours(&head, later), theirs(&head, later));
        served += u64::from(ours.is_some());
        if ours == theirs {
            continue;
        }
        let rows = rows(&head);
        let (asked, answer) = (head.request.headers(), head.response.headers());
        let (status, said) = (head.status, &head.said);
        if rows.is_empty() {
            unexplained.push(format!(
                "seed {seed}: {status} {said} {answer:?} to {asked:?} after {later}: {ours:?}, not {theirs:?}"
            ));
        }
        if let [row] = rows[..] {
            seen.insert(row);
        }
    }
    assert!(unexplained.is_empty(), "{:#?}", unexplained.iter().take(12).collect::<Vec<_>>());
    assert!(served > cases / 50, "{served}");
    assert_eq!(seen.len(), 8, "{seen:?} alone made a difference");
}
