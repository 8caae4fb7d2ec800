//! The same facts over both stores: what is forgotten, what is newer, and what is on its way.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use super::exchanges::{FRESH, Fields, ask, sent, served, table};
use crate::cache::fate::Fate;
use crate::cache::memory::MemoryStore;
use crate::cache::purge::Purge;
use crate::cache::store::CacheStore;
use crate::cache::{Cache, CacheOptions};

/// A cache over each store; the directory is that of the one on disk.
fn caches() -> (tempfile::TempDir, Vec<Cache>) {
    let directory = tempfile::tempdir().unwrap();
    let mut stores: Vec<Arc<dyn CacheStore>> = vec![Arc::new(MemoryStore::new(8 << 20))];
    #[cfg(feature = "cache-disk")]
    {
        use crate::cache::disk::{DiskOptions, DiskStore};
        let options = DiskOptions { bytes_max: 8 << 20, hot_bytes_max: 1 << 20 };
        stores.push(Arc::new(DiskStore::open(&directory.path().join("a"), options).unwrap()));
    }
    let over = |store| Cache::new(CacheOptions::default(), store, [7; 32]);
    (directory, stores.into_iter().map(over).collect())
}

fn put(cache: &Cache, url: &str, fields: Fields<'_>) {
    let pending = sent(cache, ask(url, &[]));
    let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &table(fields)) else {
        panic!("it may be stored")
    };
    cache.keep(*kept, Bytes::from_static(b"body"));
}

const ADDRESSES: [&str; 4] =
    ["http://a.example/x/1", "http://a.example/x/2", "http://a.example/y", "http://b.example/x/1"];

#[test]
fn purge_forgets_what_it_names_and_nothing_else() {
    let (_directory, caches) = caches();
    for cache in caches {
        for (purge, left) in [
            (Purge::Url(ADDRESSES[0].into()), &[1, 2, 3][..]),
            (Purge::Prefix("http://a.example/x/".into()), &[2, 3]),
            (Purge::Host("http://a.example".into()), &[3]),
            (Purge::Host("A.example".into()), &[3]),
            (Purge::Url("HTTP://user@A.example:80/x/1#part".into()), &[1, 2, 3]),
            (Purge::Prefix("http://A.example:80/x/".into()), &[2, 3]),
            (Purge::Prefix("http://a.example".into()), &[3]),
            (Purge::Tag("odd".into()), &[0, 2]),
            (Purge::Everything, &[]),
        ] {
            for (number, url) in ADDRESSES.iter().enumerate() {
                if cache.stored(&Url::parse(url).unwrap()).is_empty() {
                    let tag = if number % 2 == 0 { "even" } else { "odd" };
                    put(&cache, url, &[FRESH, ("surrogate-key", tag)]);
                }
            }
            assert_eq!(cache.purge(purge.clone()), ADDRESSES.len() - left.len(), "{purge:?}");
            for (number, url) in ADDRESSES.iter().enumerate() {
                let there = served(&cache, ask(url, &[])).is_some();
                assert_eq!(there, left.contains(&number), "{purge:?} {url}");
            }
        }
    }
}

#[test]
fn answer_that_is_too_large_drives_no_other_out() {
    let (_directory, caches) = caches();
    for cache in caches {
        let come = |user: &'static str, body: Vec<u8>| {
            let pending = sent(&cache, ask(ADDRESSES[0], &[("x-api-key", user)]));
            let fields = table(&[("cache-control", "public, max-age=60"), ("vary", "x-api-key")]);
            let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &fields) else {
                panic!("it may be stored")
            };
            cache.keep(*kept, body.into());
        };
        come("a", vec![1]);
        come("b", vec![2; 4 << 20]);
        let body = |user| Some(served(&cache, ask(ADDRESSES[0], &[("x-api-key", user)]))?.1);
        assert_eq!((body("a"), body("b")), (Some(vec![1].into()), None));
    }
}

#[test]
fn answer_on_its_way_is_concerned_by_every_kind_of_purge() {
    let (_directory, caches) = caches();
    for cache in caches {
        for purge in [
            Purge::Url(ADDRESSES[0].into()),
            Purge::Prefix("http://a.example/x/".into()),
            Purge::Host("http://a.example".into()),
            Purge::Tag("one".into()),
            Purge::Everything,
        ] {
            let pending = sent(&cache, ask(ADDRESSES[0], &[]));
            let fields = table(&[FRESH, ("surrogate-key", "one")]);
            let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &fields) else {
                panic!("it may be stored")
            };
            cache.purge(purge.clone());
            cache.keep(*kept, Bytes::from_static(b"old"));
            assert_eq!(cache.size().0, 0, "{purge:?}");
        }
    }
}

#[test]
fn older_answer_never_covers_a_newer_one() {
    let (_directory, caches) = caches();
    for cache in caches {
        let older = sent(&cache, ask(ADDRESSES[0], &[]));
        put(&cache, ADDRESSES[0], &[FRESH]);
        let Fate::Keep(kept) = cache.arrived(&older, StatusCode::OK, &table(&[FRESH])) else {
            panic!("it may be stored")
        };
        cache.keep(*kept, Bytes::from_static(b"older"));
        assert_eq!(served(&cache, ask(ADDRESSES[0], &[])).unwrap().1, "body");
    }
}

#[test]
fn unsafe_request_forgets_what_is_stored_under_any_regime() {
    use crate::cache::regime::{PartitionRules, RuleBook};
    use http::Method;
    use spillgate_actors::core::cache::rules::{Mode, Rules};
    let (_directory, caches) = caches();
    for cache in caches {
        let url = ADDRESSES[0];
        let alice = [("authorization", "alice")];
        let book =
            |mode| RuleBook::new(Rules { mode, ..Rules::default() }, PartitionRules::Private);
        for (mode, request) in
            [(Mode::Shared, &[][..]), (Mode::Private, &[][..]), (Mode::Shared, &alice[..])]
        {
            let crate::cache::ask::Look::Send(pending) =
                cache.look_by(&book(mode), ask(url, request))
            else {
                panic!("nothing is stored for {mode:?} {request:?}")
            };
            let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &table(&[FRESH])) else {
                panic!("it may be stored")
            };
            cache.keep(*kept, Bytes::from_static(b"body"));
        }
        assert_eq!(cache.size().0, 3);
        let post = crate::cache::ask::Ask { method: Method::POST, ..ask(url, &[]) };
        let pending = sent(&cache, post);
        let _ = cache.arrived(&pending, StatusCode::NO_CONTENT, &table(&[]));
        assert_eq!(cache.size().0, 0);
    }
}
