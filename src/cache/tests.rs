//! Two users and a passer-by at one cache, their requests interleaved at random.
//!
//! Each answer's body names the one it was made for, so that what reaches another shows. Runs are
//! seeded; `SPILLGATE_INTERLEAVINGS` says how many, `SPILLGATE_INTERLEAVINGS_FROM` the first seed, and
//! a failure names its own.

mod exchanges;
mod oracle;
mod stores;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use spillgate_actors::core::rng::Rng;
use url::Url;

use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::fate::{Fate, Kept};
use crate::cache::key::Identity;
use crate::cache::memory::MemoryStore;
use crate::cache::purge::Purge;
use crate::cache::regime::PartitionRules;
use crate::cache::served::Served;
use crate::cache::{Cache, CacheOptions};

/// Who asks, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asker {
    name: &'static str,
    field: Option<(&'static str, &'static str)>,
}

const ASKERS: [Asker; 5] = [
    Asker { name: "alice-token", field: Some(("authorization", "Bearer a")) },
    Asker { name: "bob-token", field: Some(("authorization", "Bearer b")) },
    Asker { name: "alice-cookie", field: Some(("cookie", "id=a")) },
    Asker { name: "bob-cookie", field: Some(("cookie", "id=b")) },
    Asker { name: "nobody", field: None },
];
const PATHS: [&str; 2] = ["http://a.example/me", "http://a.example/all"];
/// What an origin may say; of `public` and its like RFC 9111 lets all have the answer.
const SAID: [(&str, bool); 11] = [
    ("max-age=60", false),
    ("max-age=0", false),
    ("private, max-age=60", false),
    ("no-store", false),
    ("no-cache", false),
    ("max-age=60, stale-while-revalidate=60", false),
    ("max-age=0, stale-while-revalidate=60", false),
    ("public, max-age=60", true),
    ("public, max-age=0", true),
    ("s-maxage=60", true),
    ("max-age=0, must-revalidate", true),
];
const VARY: [Option<&str>; 4] =
    [None, Some("cookie"), Some("authorization, cookie"), Some("accept")];

struct World {
    cache: Cache,
    rng: Rng,
    realm: Realm,
    asked: Vec<(Asker, Pending)>,
    arriving: Vec<(Asker, Kept, Bytes)>,
    hits: u64,
    shared: u64,
    private: u64,
}

/// How users are kept apart, and what is stored for each.
type Realm = (Identity, PartitionRules);

impl World {
    fn new(seed: u64, realm: Realm) -> Self {
        let (identity, partitions) = realm;
        let options = CacheOptions { identity, partitions, ..CacheOptions::default() };
        let cache = Cache::new(options, Arc::new(MemoryStore::new(1 << 20)), [7; 32]);
        let (asked, arriving) = (Vec::new(), Vec::new());
        let (rng, hits, shared, private) = (Rng::new(seed), 0, 0, 0);
        Self { cache, rng, realm, asked, arriving, hits, shared, private }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.rng.below(from.len() as u64)).unwrap()]
    }

    fn run(&mut self) {
        for _ in 0..80 {
            match self.rng.below(10) {
                0..=4 => self.look(),
                5 | 6 => self.answer(),
                7 | 8 => self.keep(),
                _ => self.disturb(),
            }
        }
    }

    fn look(&mut self) {
        let asker = self.pick(&ASKERS);
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = asker.field {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mode = self.pick(&[
            CacheMode::Default,
            CacheMode::Default,
            CacheMode::NoCache,
            CacheMode::Reload,
            CacheMode::ForceCache,
        ]);
        let method = self.pick(&[0, 0, 0, 0, 1]);
        let method = if method == 0 { Method::GET } else { Method::HEAD };
        let url = Url::parse(self.pick(&PATHS)).unwrap();
        match self.cache.look(Ask { method, url, headers, mode, max_stale: None }) {
            Look::Serve(served) => self.check(asker, &served, true),
            Look::ServeAndRenew(served, pending) => {
                self.check(asker, &served, true);
                self.asked.push((asker, *pending));
            }
            Look::Send(pending) => self.asked.push((asker, *pending)),
            Look::Nothing => {}
        }
    }

    /// The origin answers one of those who wait.
    fn answer(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let at = usize::try_from(self.rng.below(self.asked.len() as u64)).unwrap();
        let (asker, pending) = self.asked.swap_remove(at);
        let ((said, for_all), vary) = (self.pick(&SAID), self.pick(&VARY));
        let mut sent = pending.ask().headers.clone();
        pending.prepare(&mut sent);
        let fails = self.rng.below(8) == 0;
        let not_modified = sent.contains_key("if-none-match") && self.rng.below(2) == 0;
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static(said));
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        let private = said.contains("private");
        let mark = format!("{}|{for_all}|{}|{private}", asker.name, vary.unwrap_or_default());
        headers.insert("x-made-for", HeaderValue::try_from(&mark).unwrap());
        if let Some(vary) = vary {
            headers.insert("vary", HeaderValue::from_static(vary));
        }
        if self.rng.below(3) == 0 {
            headers.insert("set-cookie", HeaderValue::from_static(asker.name));
        }
        let status = match (fails, not_modified) {
            (true, _) => StatusCode::SERVICE_UNAVAILABLE,
            (_, true) => StatusCode::NOT_MODIFIED,
            (..) => StatusCode::OK,
        };
        match self.cache.arrived(&pending, status, &headers) {
            Fate::Keep(kept) => self.arriving.push((asker, *kept, Bytes::from(mark))),
            Fate::Replace(replacement) => {
                let ask = pending.ask();
                let served = replacement.serve(&ask.method, &ask.headers);
                self.check(asker, &served, false);
            }
            Fate::Pass(_) | Fate::AskAgain => {}
        }
    }

    /// A body is whole.
    fn keep(&mut self) {
        if self.arriving.is_empty() {
            return;
        }
        let at = usize::try_from(self.rng.below(self.arriving.len() as u64)).unwrap();
        let (_, kept, body) = self.arriving.swap_remove(at);
        self.cache.keep(kept, body);
    }

    fn disturb(&mut self) {
        if self.rng.below(2) == 0 {
            let url = self.pick(&PATHS).to_owned();
            self.cache.purge(Purge::Url(url));
        } else {
            self.look();
        }
    }

    /// What comes of the store is the asker's own, or such as the rules let all have.
    fn check(&mut self, asker: Asker, served: &Served, hit: bool) {
        let Served { headers, body, .. } = served;
        self.hits += 1;
        assert!(headers.get("set-cookie").is_none(), "{} got a cookie", asker.name);
        let field = HeaderName::from_static("x-made-for");
        let marks = [headers.get(field).map(HeaderValue::as_bytes), Some(body)];
        for mark in marks.into_iter().flatten().filter(|mark| !mark.is_empty()) {
            let mark = std::str::from_utf8(mark).unwrap();
            let parts = mark.split('|').collect::<Vec<_>>();
            let [name, for_all, vary, private] = parts.try_into().unwrap();
            if hit && private == "true" {
                self.private += 1;
                assert_eq!(name, asker.name, "what is {name}'s alone");
                assert!(asker.field.is_some(), "nobody has a partition");
            }
            if name == asker.name {
                continue;
            }
            self.shared += 1;
            // A body of nobody's may be for all by a later word about it.
            let of_nobody = name == "nobody";
            match self.realm.0 {
                Identity::ByCredentials => panic!("{} got what is {name}'s", asker.name),
                Identity::UnlessShared => assert!(for_all == "true" || of_nobody, "of {name}"),
                Identity::Shared => {}
            }
            let credentials = name.ends_with("-token");
            assert!(!credentials || for_all == "true", "{} got what is {name}'s", asker.name);
            let told_apart = |other: &str| other.ends_with("-cookie") && vary.contains("cookie");
            let apart = told_apart(name) || told_apart(asker.name);
            assert!(!apart, "{} got what {name}'s cookie chose", asker.name);
        }
    }
}

/// How often something was found, was another's, and was its owner's alone, in a hundred runs.
fn run(realm: Realm) -> (u64, u64, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|runs| runs.parse::<u64>().ok());
    let runs = number("SPILLGATE_INTERLEAVINGS").unwrap_or(1_000);
    let from = number("SPILLGATE_INTERLEAVINGS_FROM").unwrap_or_default();
    let (mut hits, mut shared, mut private) = (0, 0, 0);
    for seed in from..from + runs {
        let mut world = World::new(seed, realm);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        assert!(caught.is_ok(), "seed {seed} of {realm:?}");
        hits += world.hits;
        shared += world.shared;
        private += world.private;
    }
    let of_hundred = |count: u64| (count * 100).div_ceil(runs.max(1));
    (of_hundred(hits), of_hundred(shared), of_hundred(private))
}

#[test]
fn nothing_of_one_user_reaches_another() {
    let (hits, shared, private) = run((Identity::ByCredentials, PartitionRules::Shared));
    assert!(hits > 100, "{hits} hits prove little");
    assert_eq!((shared, private), (0, 0));
}

#[test]
fn what_is_for_one_user_is_stored_for_that_one_under_private_rules() {
    let (hits, shared, private) = run((Identity::ByCredentials, PartitionRules::Private));
    assert!(hits > 100 && private > 20, "{hits} hits, {private} private, prove little");
    assert_eq!(shared, 0);
}

#[test]
fn users_share_only_what_says_that_all_may_have_it() {
    let (hits, shared, private) = run((Identity::UnlessShared, PartitionRules::Shared));
    assert!(hits > 100 && shared > 50, "{hits} hits, {shared} shared, prove little");
    assert_eq!(private, 0);
}

#[test]
fn private_rules_give_nobody_what_is_anothers_where_some_is_shared() {
    let (hits, _, private) = run((Identity::UnlessShared, PartitionRules::Private));
    assert!(hits > 100 && private > 20, "{hits} hits, {private} private, prove little");
}

#[test]
fn one_table_for_all_shares_only_what_may_be_shared() {
    for partitions in [PartitionRules::Shared, PartitionRules::Private] {
        let (hits, shared, private) = run((Identity::Shared, partitions));
        assert!(hits > 100 && shared > 50, "{hits} hits, {shared} shared, prove little");
        assert_eq!(private, 0);
    }
}
