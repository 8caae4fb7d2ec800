//! Single exchanges at the cache: what is stored, replaced and kept apart.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use spillgate_actors::core::cache::rules::SetCookie;
use url::Url;

use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::fate::{Fate, Replacement};
use crate::cache::key::Identity;
use crate::cache::memory::MemoryStore;
use crate::cache::purge::Purge;
use crate::cache::{Cache, CacheOptions};

const URL: &str = "http://a.example/x";
pub(super) type Fields<'a> = &'a [(&'static str, &'static str)];

fn cache() -> Cache {
    let options = CacheOptions { identity: Identity::Shared, ..CacheOptions::default() };
    Cache::new(options, Arc::new(MemoryStore::new(8 << 20)), [7; 32])
}

pub(super) fn table(fields: Fields<'_>) -> HeaderMap {
    let mut table = HeaderMap::new();
    for (name, value) in fields {
        table.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    table
}

pub(super) fn ask(url: &str, fields: Fields<'_>) -> Ask {
    let (method, url) = (Method::GET, Url::parse(url).unwrap());
    Ask { method, url, headers: table(fields), mode: CacheMode::Default, max_stale: None }
}

pub(super) fn sent(cache: &Cache, ask: Ask) -> Pending {
    match cache.look(ask) {
        Look::Send(pending) => *pending,
        other @ (Look::Serve(_) | Look::ServeAndRenew(..) | Look::Nothing) => panic!("{other:?}"),
    }
}

/// The body that a request is answered with from the store.
pub(super) fn served(cache: &Cache, ask: Ask) -> Option<(HeaderMap, Bytes)> {
    match cache.look(ask) {
        Look::Serve(served) | Look::ServeAndRenew(served, _) => Some((served.headers, served.body)),
        Look::Send(_) | Look::Nothing => None,
    }
}

fn came(cache: &Cache, pending: &Pending, status: u16, fields: Fields<'_>, body: &'static str) {
    let status = StatusCode::from_u16(status).unwrap();
    if let Fate::Keep(kept) = cache.arrived(pending, status, &table(fields)) {
        cache.keep(*kept, Bytes::from_static(body.as_bytes()));
    }
}

fn put(cache: &Cache, request: Fields<'_>, fields: Fields<'_>, body: &'static str) {
    came(cache, &sent(cache, ask(URL, request)), 200, fields, body);
}

fn replaced(cache: &Cache, pending: &Pending, fields: Fields<'_>) -> Replacement {
    match cache.arrived(pending, StatusCode::NOT_MODIFIED, &table(fields)) {
        Fate::Replace(replacement) => replacement,
        other @ (Fate::Keep(_) | Fate::Pass(_) | Fate::AskAgain) => panic!("{other:?}"),
    }
}

const STALE: (&str, &str) = ("cache-control", "max-age=0");
pub(super) const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"1\"");

#[test]
fn cookie_of_a_304_is_for_the_asker_alone() {
    let cache = cache();
    put(&cache, &[], &[STALE, TAG], "body");
    let pending = sent(&cache, ask(URL, &[]));
    let replacement = replaced(&cache, &pending, &[FRESH, TAG, ("set-cookie", "a=b")]);
    assert_eq!(replacement.own().get("set-cookie").unwrap(), "a=b");
    let for_others = replacement.serve(&Method::GET, &HeaderMap::new());
    assert!(for_others.headers.get("set-cookie").is_none());
    let (headers, body) = served(&cache, ask(URL, &[])).unwrap();
    assert!(headers.get("set-cookie").is_none());
    assert_eq!(body, "body");
}

#[test]
fn cookie_of_a_head_is_not_stored() {
    let cache = cache();
    put(&cache, &[], &[STALE, TAG], "body");
    let pending = sent(&cache, Ask { method: Method::HEAD, ..ask(URL, &[]) });
    came(&cache, &pending, 200, &[FRESH, TAG, ("set-cookie", "a=b"), ("x-new", "1")], "");
    let (headers, body) = served(&cache, ask(URL, &[])).unwrap();
    assert!(headers.get("set-cookie").is_none() && headers.get("x-new").is_some());
    assert_eq!(body, "body");
}

#[test]
fn renewal_that_forbids_sharing_ends_the_stored_answer() {
    for forbidding in ["private, max-age=60", "no-store"] {
        let cache = cache();
        put(&cache, &[], &[STALE, TAG], "body");
        let pending = sent(&cache, ask(URL, &[]));
        let replacement = replaced(&cache, &pending, &[("cache-control", forbidding), TAG]);
        assert!(!replacement.is_shared(), "{forbidding}");
        assert_eq!(cache.size().0, 0, "{forbidding}");
    }
}

#[test]
fn renewal_for_credentials_changes_nothing_for_others() {
    let cache = cache();
    put(&cache, &[], &[STALE, TAG, ("x-name", "all")], "body");
    let pending = sent(&cache, ask(URL, &[("authorization", "a")]));
    let replacement = replaced(&cache, &pending, &[FRESH, TAG, ("x-name", "a")]);
    assert!(!replacement.is_shared());
    let stored = cache.stored(&Url::parse(URL).unwrap());
    assert_eq!(stored.first().unwrap().headers.get("x-name").unwrap(), "all");
}

#[test]
fn renewal_for_a_cookie_changes_nothing_for_others_unless_it_says_so() {
    for (said, name) in [("max-age=60", "all"), ("public, max-age=60", "a")] {
        let identity = Identity::UnlessShared;
        let options = CacheOptions { identity, ..CacheOptions::default() };
        let cache = Cache::new(options, Arc::new(MemoryStore::new(8 << 20)), [7; 32]);
        put(&cache, &[], &[STALE, TAG, ("x-name", "all")], "body");
        let pending = sent(&cache, ask(URL, &[("cookie", "a")]));
        let fields = [("cache-control", said), TAG, ("x-name", "a")];
        let replacement = replaced(&cache, &pending, &fields);
        assert_eq!(replacement.is_shared(), name == "a", "{said}");
        let stored = cache.stored(&Url::parse(URL).unwrap());
        assert_eq!(stored.first().unwrap().headers.get("x-name").unwrap(), name, "{said}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let cache = cache();
    let url = "http://a.example/x?token=canary";
    let request = &[("x-name", "canary")][..];
    let pending = sent(&cache, ask(url, request));
    let fields = [STALE, TAG, ("x-seen", "canary"), ("vary", "x-name")];
    let fate = cache.arrived(&pending, StatusCode::OK, &table(&fields));
    let mut shown = vec![format!("{pending:?} {fate:?}")];
    let Fate::Keep(kept) = fate else { panic!("it may be stored") };
    cache.keep(*kept, Bytes::from_static(b"canary"));
    cache.visit(&mut |page| shown.push(format!("{page:?}")));
    let pending = sent(&cache, ask(url, request));
    let replacement = replaced(&cache, &pending, &[FRESH, TAG, ("set-cookie", "canary")]);
    let served = replacement.serve_asker(&Method::GET, &HeaderMap::new());
    shown.push(format!("{pending:?} {replacement:?} {served:?} {:?}", Purge::Url(url.into())));
    shown.push(format!("{:?}", cache.look(ask(url, request))));
    assert!(!shown.concat().contains("canary"), "{shown:?}");
}

#[test]
fn anything_stands_in_but_what_must_not_be_used_when_stale() {
    for (said, stands_in) in [
        ("max-age=0, stale-if-error=0", true),
        ("max-age=0, must-revalidate", false),
        ("max-age=0, proxy-revalidate", false),
        ("s-maxage=0, max-age=60", false),
        ("no-cache", false),
    ] {
        let cache = cache();
        put(&cache, &[], &[("cache-control", said), TAG], "body");
        let pending = sent(&cache, ask(URL, &[]));
        assert_eq!(cache.anything(&pending).is_some(), stands_in, "{said}");
    }
}

#[test]
fn error_with_a_lifetime_never_covers_a_good_answer() {
    for vary in [("vary", "accept"), ("x-none", "")] {
        let cache = cache();
        put(&cache, &[], &[FRESH, vary], "good");
        let reload = Ask { mode: CacheMode::Reload, ..ask(URL, &[]) };
        came(&cache, &sent(&cache, reload), 503, &[FRESH], "bad");
        assert_eq!(served(&cache, ask(URL, &[])).unwrap().1, "good", "{vary:?}");
    }
    let cache = cache();
    came(&cache, &sent(&cache, ask(URL, &[])), 503, &[FRESH], "bad");
    assert_eq!(served(&cache, ask(URL, &[])).unwrap().1, "bad");
}

#[test]
fn answer_that_was_asked_for_earlier_never_covers_a_later_one() {
    for (early, late) in [("x-none", "x-none"), ("vary", "x-none"), ("x-none", "vary")] {
        let cache = cache();
        let first = sent(&cache, ask(URL, &[]));
        let second = sent(&cache, ask(URL, &[]));
        came(&cache, &second, 200, &[FRESH, (late, "accept")], "late");
        came(&cache, &first, 200, &[FRESH, (early, "accept")], "early");
        assert_eq!(served(&cache, ask(URL, &[])).unwrap().1, "late", "{early} {late}");
    }
}

#[test]
fn answer_on_its_way_is_invalidated_as_well() {
    let cache = cache();
    let first = sent(&cache, ask(URL, &[]));
    let post = Ask { method: Method::POST, ..ask(URL, &[]) };
    came(&cache, &sent(&cache, post), 204, &[], "");
    came(&cache, &first, 200, &[FRESH], "old");
    assert_eq!(cache.size().0, 0);
    let second = sent(&cache, ask(URL, &[]));
    cache.purge(Purge::Host("http://a.example".into()));
    came(&cache, &second, 200, &[FRESH], "old");
    assert_eq!(cache.size().0, 0);
    put(&cache, &[], &[FRESH], "new");
    assert_eq!(served(&cache, ask(URL, &[])).unwrap().1, "new");
}

#[test]
fn credentials_in_the_address_pass_by() {
    let cache = cache();
    let mine = "http://alice:secret@a.example/x";
    came(&cache, &sent(&cache, ask(mine, &[])), 200, &[FRESH], "alice");
    assert_eq!(cache.size().0, 0);
    put(&cache, &[], &[FRESH], "all");
    assert!(served(&cache, ask(mine, &[])).is_none());
}

#[test]
fn only_if_cached_asks_for_nothing_else() {
    let cache = cache();
    for said in ["only-if-cached", "only-if-cached, no-store"] {
        let look = cache.look(ask(URL, &[("cache-control", said)]));
        assert!(matches!(look, Look::Nothing), "{said}");
    }
}

#[test]
fn renewal_behind_a_stale_answer_asks_for_all_of_it() {
    let cache = cache();
    let said = ("cache-control", "max-age=0, stale-while-revalidate=60");
    put(&cache, &[], &[said], "body");
    let request = [("range", "bytes=0-1"), ("if-none-match", "\"other\"")];
    let Look::ServeAndRenew(served, pending) = cache.look(ask(URL, &request)) else {
        panic!("it is stale")
    };
    assert_eq!((served.status.as_u16(), &served.body[..]), (206, &b"bo"[..]));
    let mut headers = table(&request);
    pending.prepare(&mut headers);
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn news_that_is_not_stored_ends_what_it_replaces() {
    let cache = cache();
    put(&cache, &[], &[STALE, TAG], "old");
    let pending = sent(&cache, ask(URL, &[]));
    came(&cache, &pending, 200, &[("cache-control", "no-store")], "new");
    assert_eq!(cache.size().0, 0);
}

#[test]
fn public_answer_is_stored_without_its_cookie() {
    let cache = cache();
    let pending = sent(&cache, ask(URL, &[]));
    let fields = [("cache-control", "public, max-age=60"), ("set-cookie", "a=b"), ("link", "<a>")];
    let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &table(&fields)) else {
        panic!("it is public")
    };
    assert!(kept.sets_cookie());
    cache.keep(*kept, Bytes::from_static(b"body"));
    let (headers, _) = served(&cache, ask(URL, &[])).unwrap();
    assert!(headers.get("set-cookie").is_none() && headers.get("date").is_some());
}

#[test]
fn what_all_had_is_nobodys_in_particular_once_it_says_no_more_that_all_may_have_it() {
    let identity = Identity::UnlessShared;
    let options = CacheOptions { identity, ..CacheOptions::default() };
    let cache = Cache::new(options, Arc::new(MemoryStore::new(8 << 20)), [7; 32]);
    put(&cache, &[], &[("cache-control", "public, max-age=0"), TAG], "body");
    let alice = sent(&cache, ask(URL, &[("authorization", "alice")]));
    assert!(cache.instead(&alice).is_some());
    let nobody = sent(&cache, ask(URL, &[]));
    assert!(replaced(&cache, &nobody, &[STALE, TAG]).is_shared());
    assert!(cache.instead(&alice).is_none(), "it is for those without credentials");
    assert!(cache.instead(&nobody).is_some());
}

#[test]
fn stored_cookie_is_left_out_of_a_304() {
    let mut options = CacheOptions { identity: Identity::Shared, ..CacheOptions::default() };
    options.rules.set_cookie = SetCookie::Store;
    let cache = Cache::new(options, Arc::new(MemoryStore::new(8 << 20)), [7; 32]);
    put(&cache, &[], &[FRESH, TAG, ("set-cookie", "a=b")], "body");
    for (request, cookie) in [(&[][..], true), (&[("if-none-match", "\"1\"")], false)] {
        let (headers, _) = served(&cache, ask(URL, request)).unwrap();
        assert_eq!(headers.contains_key("set-cookie"), cookie, "{request:?}");
    }
}

#[test]
fn variants_are_bounded_for_each_owner_and_one_page_never_outgrows_the_store() {
    let options = CacheOptions { variants_max: 4, ..CacheOptions::default() };
    let cache = Cache::new(options, Arc::new(MemoryStore::new(1 << 20)), [7; 32]);
    let put = |cookie: &str, accept: usize, body: usize| {
        let mut ask = ask(URL, &[]);
        ask.headers.insert("cookie", HeaderValue::try_from(cookie).unwrap());
        ask.headers.insert("accept", HeaderValue::from(accept));
        let Look::Send(pending) = cache.look(ask) else { return };
        let fields = table(&[FRESH, ("vary", "accept")]);
        if let Fate::Keep(kept) = cache.arrived(&pending, StatusCode::OK, &fields) {
            cache.keep(*kept, vec![0; body].into());
        }
    };
    for accept in 0..10 {
        put("a", accept, 10);
        put("b", accept, 10);
    }
    let url = Url::parse(URL).unwrap();
    assert_eq!(cache.stored(&url).len(), 8);
    for accept in 10..14 {
        put("a", accept, 60_000);
    }
    // Two of the large ones fill what one page may take, and the store keeps its page.
    let stored = cache.stored(&url);
    assert!(!stored.is_empty() && stored.len() < 4, "{}", stored.len());
}

#[test]
fn what_has_to_go_is_counted_by_both_stores() {
    use crate::cache::store::CacheStore;
    let directory = tempfile::tempdir().unwrap();
    let mut stores: Vec<Arc<dyn CacheStore>> = vec![Arc::new(MemoryStore::new(1 << 20))];
    #[cfg(feature = "cache-disk")]
    {
        use crate::cache::disk::{DiskOptions, DiskStore};
        let options = DiskOptions { bytes_max: 1 << 20, hot_bytes_max: 1 << 16 };
        stores.push(Arc::new(DiskStore::open(&directory.path().join("a"), options).unwrap()));
    }
    for store in stores {
        let cache = Cache::new(CacheOptions::default(), store, [7; 32]);
        let body = vec![0; 10_000];
        for round in 0..2 {
            for number in 0..200 {
                let url = format!("http://a.example/{number:03}");
                let Look::Send(pending) = cache.look(ask(&url, &[])) else { continue };
                let fate = cache.arrived(&pending, StatusCode::OK, &table(&[FRESH]));
                let Fate::Keep(kept) = fate else { panic!("{round} {number}") };
                cache.keep(*kept, body.clone().into());
            }
        }
        let tally = cache.tally();
        // What was stored is there, or had to go; nothing was forgotten otherwise.
        assert!(tally.evicted > 100, "{tally:?}");
        assert_eq!(tally.stored, tally.pages + tally.evicted, "{tally:?}");
        assert_eq!(tally.bytes / tally.pages, tally.evicted_bytes / tally.evicted, "{tally:?}");
    }
}
