//! What the fuzz targets run, so that each law of theirs holds without a fuzzer as well: the bodies
//! stand here once, and `fuzz/fuzz_targets` includes this file.

use std::time::Duration;

use spillgate_core::cache::date::Wall;
use spillgate_core::cache::directives::{Directives, Extent, Wishes};
use spillgate_core::cache::fields::Fields;
use spillgate_core::cache::freshness::Exchange;
use spillgate_core::cache::ranges::{Part, wanted};
use spillgate_core::cache::rules::{Mode, Rules};
use spillgate_core::cache::status::{CacheStatus, From, Life, Why};
use spillgate_core::cache::storing::{Answered, judge};
use spillgate_core::cache::using::{Use, decide, forbids_stale, instead_of_error};
use spillgate_core::cache::{conditions, targeted, updating, vary};
use spillgate_core::wire::{Fault, Framing, Stage};

/// One field of any name, whose lines are what stands between line feeds.
struct Lines<'a>(&'a [u8]);

impl Fields for Lines<'_> {
    fn lines<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b'\n')
    }
}

/// A date that is read can be written and read again.
pub(crate) fn date(bytes: &[u8]) {
    let now = Wall::from_secs(1_795_348_800);
    if let Some(date) = Wall::parse(bytes, now) {
        assert_eq!(Wall::parse(date.to_string().as_bytes(), now), Some(date));
    }
}

/// Directives are the same in any case.
pub(crate) fn directives(bytes: &[u8]) {
    let said = Directives::read(Lines(bytes).lines(""));
    let upper = bytes.to_ascii_uppercase();
    assert_eq!(said, Directives::read(Lines(&upper).lines("")));
    assert_eq!(Wishes::read(&Lines(bytes)), Wishes::read(&Lines(&upper)));
}

/// A targeted field that reads well is not undone by an unknown member before it.
pub(crate) fn targeted(bytes: &[u8]) {
    let Some(said) = targeted::read([bytes].into_iter()) else { return };
    assert_eq!(targeted::read([&b"unknown-1"[..], bytes].into_iter()), Some(said));
}

/// A request is the same as itself, and not the same as one that says nothing.
pub(crate) fn vary(bytes: &[u8]) {
    struct Nothing;
    impl Fields for Nothing {
        fn lines<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
            std::iter::empty()
        }
    }
    let Some(names) = vary::selecting(&Lines(bytes)) else { return };
    let key = vary::selection(&names, &Lines(bytes));
    assert_eq!(key, vary::selection(&names, &Lines(bytes)));
    assert!(names.is_empty() || key != vary::selection(&names, &Nothing));
}

/// A part lies within what there is.
pub(crate) fn ranges(bytes: &[u8]) {
    let length = bytes.first().map_or(0, |byte| u64::from(*byte));
    if let Part::Bytes { first, last } = wanted(&Lines(bytes), &Lines(b""), length) {
        assert!(first <= last && last < length);
    }
}

/// A status reads as a structured field, whatever the numbers.
pub(crate) fn cache_status(bytes: &[u8]) {
    let mut eight = [0; 8];
    eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let seconds = Duration::from_secs(u64::from_le_bytes(eight));
    for from in [From::Store, From::Origin(Why::UriMiss)] {
        for life in [Life::Left(seconds), Life::Stale(seconds)] {
            let status = CacheStatus { from, ..CacheStatus::hit(life) };
            assert!(targeted::read([status.to_string().as_bytes()].into_iter()).is_some());
        }
    }
}

/// What a connection says is the same however its bytes come, and over once there is a flaw.
pub(crate) fn framing(bytes: &[u8]) {
    let whole = framed([bytes]);
    assert_eq!(whole, framed(bytes.chunks(1)));
    for size in [2, 3, 7] {
        assert_eq!(whole, framed(bytes.chunks(size)));
    }
    let middle = bytes.split_at(bytes.len() / 2);
    assert_eq!(whole, framed([middle.0, middle.1]));
}

/// Where a connection stops being read, and why; what comes next; how many heads there were.
pub(crate) fn framed<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Option<(usize, Fault)>, Stage, u64) {
    let (mut framing, mut before, mut first) = (Framing::new(), 0, None);
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        match framing.read(part) {
            Ok(()) => assert!(first.is_none(), "it goes on after a flaw"),
            Err(flaw) => {
                assert!(flaw.at < part.len(), "the flaw is none of these bytes");
                first.get_or_insert((before + flaw.at, flaw.fault));
            }
        }
        before += part.len();
    }
    (first, framing.stage(), framing.heads())
}

/// Nothing that heads say makes a rule panic, nothing forbidden is stored by a shared cache, and nothing
/// is used against its word.
pub(crate) fn rules(bytes: &[u8]) {
    let (numbers, heads) = bytes.split_at(bytes.len().min(4));
    let byte = |at: usize| numbers.get(at).copied().unwrap_or_default();
    let number = |at: usize| u64::from(byte(at));
    let mut heads = heads.split(|byte| *byte == 0).chain(std::iter::repeat(&b""[..])).map(Head);
    let mut head = || heads.next().unwrap_or(Head(b""));
    let (request, response, newer) = (&head(), &head(), &head());
    let mode = if number(0) % 2 == 0 { Mode::Shared } else { Mode::Private };
    let rules = Rules { mode, targeted: vec!["cdn-cache-control".into()], ..Rules::default() };
    let at = |seconds: u64| Wall::from_secs(1_795_348_800 + seconds);
    let (status, now) =
        ([200, 203, 304, 404, 503, 599][usize::from(byte(1)) % 6], at(number(2) * 7));
    let exchange = Exchange { requested: at(0), received: at(number(3)) };
    let (method, of_target) = ("GET", false);
    let answered = Answered { method, request, status, response, of_target, exchange };
    updating::is_about(response, newer);
    updating::headed(response, number(2), status, newer);
    conditions::evaluate(request, response, now);
    let wishes = Wishes::read(request);
    let Ok(entry) = judge(&rules, &answered) else { return };
    let said = &entry.said.directives;
    assert!(!wishes.no_store && (!said.no_store || said.must_understand));
    assert!(mode == Mode::Private || said.private != Extent::Whole);
    let (doubtful, dated) = (said.no_cache == Extent::Whole, forbids_stale(&rules, &entry));
    let fresh = entry.freshness.left(now).is_some();
    match decide(&rules, &entry, &wishes, now) {
        Use::Fresh => assert!(fresh && !doubtful && !wishes.no_cache),
        Use::Stale | Use::WhileRenewed => assert!(!fresh && !doubtful && !dated),
        Use::Validate(_) => {}
    }
    if let Some(stale) = instead_of_error(&rules, &entry, &wishes, now) {
        assert!(!doubtful && entry.status < 500 && (stale.is_zero() || !dated));
    }
    assert!(
        !updating::displaces(&rules, (&entry, response), 503, now)
            || !fresh
            || doubtful
            || status >= 500
    );
}

/// A head whose lines begin with a byte that says which field each is.
struct Head<'a>(&'a [u8]);

impl Fields for Head<'_> {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.0.split(|byte| *byte == b'\n').filter_map(<[u8]>::split_first);
        let named = move |first: u8| FIELDS[usize::from(first) % FIELDS.len()] == name;
        lines.filter(move |(first, _)| named(**first)).map(|(_, value)| value)
    }
}

const FIELDS: [&str; 16] = [
    "cache-control",
    "cdn-cache-control",
    "age",
    "date",
    "expires",
    "last-modified",
    "etag",
    "vary",
    "set-cookie",
    "content-length",
    "range",
    "if-none-match",
    "if-modified-since",
    "pragma",
    "authorization",
    "accept",
];
