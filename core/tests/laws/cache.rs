//! Laws of the cache's rules: nothing that is sent makes them panic, and no order or spelling of
//! what is said opens what a single word closes.

use std::time::Duration;

use proptest::prelude::*;
use spillgate_core::cache::date::Wall;
use spillgate_core::cache::directives::{Directives, Wishes};
use spillgate_core::cache::fields::Fields;
use spillgate_core::cache::freshness::{Exchange, Said};
use spillgate_core::cache::ranges::{Part, wanted};
use spillgate_core::cache::rules::{Mode, Rules, SetCookie};
use spillgate_core::cache::status::{CacheStatus, From, Life, Why};
use spillgate_core::cache::storing::{Answered, Entry, Unstorable, judge};
use spillgate_core::cache::using::{Use, decide, instead_of_error};
use spillgate_core::cache::{targeted, updating, vary};

use crate::{ARITHMETIC, HISTORIES, cases, fuzzed};

/// A header of bytes that may not be text.
#[derive(Debug, Clone, Default)]
struct Table(Vec<(String, Vec<u8>)>);

impl Fields for Table {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }
}

impl Table {
    fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.0.push((name.to_owned(), value.to_vec()));
        self
    }
}

const NOW: Wall = Wall::from_secs(1_795_348_800);

fn later(seconds: u64) -> Wall {
    Wall::from_secs(NOW.0.as_secs() + seconds)
}

/// Bytes near to what the parsers read: words of the trade between arbitrary ones.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => "[0-9]{1,22}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(word, 0..10).prop_map(|words| words.concat())
}

const WORDS: &[&str] = &[
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "stale-if-error",
    "stale-while-revalidate",
    "immutable",
    "max-stale",
    "min-fresh",
    "=",
    "\"",
    "\\",
    ",",
    ", ",
    ";",
    "(",
    ")",
    ":",
    "?1",
    "?0",
    "-",
    ".",
    " ",
    "\t",
    "\n",
    "*",
    "W/",
    "bytes=",
    "Sun",
    "Nov",
    "GMT",
    "06",
    "1994",
    "08:49:37",
    "a",
    "b",
    "60",
];

fn directive() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&["public", "must-revalidate", "immutable", "proxy-revalidate"][..])
            .prop_map(str::to_owned),
        (prop::sample::select(NUMBERED), 0_u64..200).prop_map(|(name, n)| format!("{name}={n}")),
        prop::sample::select(&["no-cache=\"x\"", "private=\"y\"", "other", "z=\"a, b\""][..])
            .prop_map(str::to_owned),
    ]
}

const NUMBERED: &[&str] = &["max-age", "s-maxage", "stale-if-error", "stale-while-revalidate"];

fn fields() -> impl Strategy<Value = Table> {
    let name = prop::sample::select(
        &[
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
            "if-range",
            "if-none-match",
            "accept",
            "if-modified-since",
            "pragma",
            "authorization",
            "connection",
        ][..],
    );
    prop::collection::vec((name.prop_map(str::to_owned), line()), 0..8).prop_map(Table)
}

fn rules(private: bool) -> Rules {
    let mode = if private { Mode::Private } else { Mode::Shared };
    Rules { mode, targeted: vec!["cdn-cache-control".into()], ..Rules::default() }
}

fn stored(rules: &Rules, request: &Table, response: &Table) -> Result<Entry, Unstorable> {
    let exchange = Exchange { requested: NOW, received: NOW };
    judge(
        rules,
        &Answered { method: "GET", request, status: 200, response, of_target: false, exchange },
    )
}

proptest! {
    #![proptest_config(cases(ARITHMETIC))]

    /// What is written is read again, in any case of its letters.
    #[test]
    fn dates_survive_writing_and_reading(seconds in 0_u64..=253_402_300_799, upper: bool) {
        let text = Wall::from_secs(seconds).to_string();
        let text = if upper { text.to_uppercase() } else { text.to_lowercase() };
        prop_assert_eq!(Wall::parse(text.as_bytes(), NOW), Some(Wall::from_secs(seconds)));
    }

    /// What is read as a date is one that can be written.
    #[test]
    fn what_reads_as_a_date_can_be_written(text in line(), now in any::<u64>()) {
        if let Some(date) = Wall::parse(&text, Wall::from_secs(now % 253_402_300_799)) {
            prop_assert!(Wall::parse(date.to_string().as_bytes(), NOW).is_some());
        }
    }

    /// Names count in any case.
    #[test]
    fn directives_are_read_in_any_case(line in line()) {
        let read = |line: &[u8]| Directives::read([line].into_iter());
        prop_assert_eq!(read(&line), read(&line.to_ascii_uppercase()));
        prop_assert_eq!(read(&line), read(&line.to_ascii_lowercase()));
    }

    /// Of a number that is said twice the first counts, in one line or in two; all else may stand in
    /// any order.
    #[test]
    fn first_number_counts_and_flags_stand_anywhere(
        said in prop::collection::vec(directive(), 0..8),
        at in any::<prop::sample::Index>(),
    ) {
        let joined = Directives::read([said.join(", ").as_bytes()].into_iter());
        let apart = Directives::read(said.iter().map(String::as_bytes));
        prop_assert_eq!(&joined, &apart);
        let first = said.iter().find_map(|said| said.strip_prefix("max-age="));
        let first = first.map(|first| Duration::from_secs(first.parse().expect("it is a number")));
        prop_assert_eq!(joined.max_age, first);
        let mut more = said.clone();
        more.insert(at.index(said.len() + 1), "NO-store".to_owned());
        let more = Directives::read(more.iter().map(String::as_bytes));
        prop_assert_eq!(more, Directives { no_store: true, ..joined });
    }

    /// One word against it keeps an answer out of a shared store, whatever else is said, where and
    /// how often.
    #[test]
    fn one_word_forbids_storing(
        said in prop::collection::vec(directive(), 0..6),
        at in any::<prop::sample::Index>(),
        forbidding in prop::sample::select(&[
            "no-store", "No-Store", "no-store=x", "private", "PRIVATE", "private=", "private=\"\"",
        ][..]),
        own_line: bool,
        other in fields(),
        authorized: bool,
    ) {
        let other = Table(other.0.into_iter()
            .filter(|(name, _)| name != "cdn-cache-control" && name != "cache-control").collect());
        let mut lines = said.clone();
        lines.insert(at.index(said.len() + 1), forbidding.to_owned());
        let joined = vec![lines.join(",")];
        let lines = if own_line { lines } else { joined };
        let response = lines.iter().fold(other, |table, line| table.with("cache-control", line.as_bytes()));
        let request = if authorized { Table::default().with("authorization", b"a") } else { Table::default() };
        prop_assert!(stored(&rules(false), &request, &response).is_err());
    }

    /// A targeted field forbids as well, and a credential or a cookie needs a word that allows it.
    #[test]
    fn sharing_what_is_personal_takes_a_word(said in prop::collection::vec(directive(), 0..6)) {
        let line = said.join(", ");
        let response = Table::default().with("cache-control", line.as_bytes()).with("etag", b"\"a\"");
        let request = Table::default().with("authorization", b"a");
        let directives = Said::read(&rules(false), &response).directives;
        if stored(&rules(false), &request, &response).is_ok() {
            let allowed = directives.public || directives.must_revalidate
                || directives.s_maxage.is_some();
            prop_assert!(allowed, "{}", line);
        }
        let cookie = response.with("set-cookie", b"a=b");
        if stored(&rules(false), &Table::default(), &cookie).is_ok() {
            prop_assert!(directives.public, "{}", line);
            let kept = updating::is_kept(&rules(false), "set-cookie", &cookie, &directives);
            prop_assert!(!kept);
        }
        prop_assert_eq!(rules(false).set_cookie, SetCookie::Decline);
    }

    /// An answer ages by the second and never becomes fresh again.
    #[test]
    fn freshness_only_ends(response in fields(), one in 0_u64..10_000, more in 0_u64..10_000) {
        let response = response.with("cache-control", b"max-age=500").with("etag", b"\"a\"");
        let Ok(entry) = stored(&rules(true), &Table::default(), &response) else { return Ok(()) };
        let (early, late) = (later(one), later(one + more));
        let freshness = entry.freshness;
        prop_assert!(freshness.age(early) <= freshness.age(late));
        prop_assert!(freshness.left(early) >= freshness.left(late));
        prop_assert!(freshness.staleness(early) <= freshness.staleness(late));
        if freshness.left(late).is_some() {
            prop_assert!(freshness.staleness(late).is_zero());
        }
        let wishes = Wishes::default();
        if decide(&rules(true), &entry, &wishes, late) == Use::Fresh {
            prop_assert_eq!(decide(&rules(true), &entry, &wishes, early), Use::Fresh);
        }
    }

    /// What must be validated once it is stale is not used without, whatever the request says.
    #[test]
    fn what_must_be_validated_is(
        said in prop::collection::vec(directive(), 0..6),
        strict in prop::sample::select(&["must-revalidate", "proxy-revalidate", "s-maxage=7", "no-cache"][..]),
        wishes in prop::collection::vec(prop_oneof![
            Just("max-stale".to_owned()),
            (0_u64..10_000).prop_map(|n| format!("max-stale={n}")),
            (0_u64..10_000).prop_map(|n| format!("stale-if-error={n}")),
            (0_u64..10_000).prop_map(|n| format!("max-age={n}")),
        ], 0..4),
        seconds in 0_u64..10_000,
    ) {
        let line = [&said[..], &[strict.to_owned()]].concat().join(", ");
        let response = Table::default().with("cache-control", line.as_bytes()).with("etag", b"\"a\"");
        let Ok(entry) = stored(&rules(false), &Table::default(), &response) else { return Ok(()) };
        let request = Table::default().with("cache-control", wishes.join(", ").as_bytes());
        let (wishes, now) = (Wishes::read(&request), later(seconds));
        let used = decide(&rules(false), &entry, &wishes, now);
        if entry.freshness.left(now).is_none() || strict == "no-cache" {
            prop_assert!(matches!(used, Use::Validate(_)), "{} {:?}", line, used);
            let instead = instead_of_error(&rules(false), &entry, &wishes, now);
            prop_assert!(instead.is_none_or(|stale| stale.is_zero() && strict != "no-cache"));
        }
    }

    /// Two requests have one key only if they say the same: nothing inside a value counts as an end.
    #[test]
    fn keys_of_variants_collide_for_nothing(
        one in prop::collection::vec(prop::collection::vec("[a,\"\\\\ ;=:\u{0}]{0,5}", 0..3), 2),
        two in prop::collection::vec(prop::collection::vec("[a,\"\\\\ ;=:\u{0}]{0,5}", 0..3), 2),
        exact: bool,
    ) {
        let names = if exact { ["authorization", "cookie"] } else { ["x-a", "x-b"] };
        let key = |said: &[Vec<String>]| {
            let lines = names.iter().zip(said).flat_map(|(name, lines)| {
                lines.iter().map(|line| ((*name).to_owned(), line.clone().into_bytes()))
            });
            vary::selection(&names.map(str::to_owned), &Table(lines.collect()))
        };
        // What a field says, with nothing but blanks around commas taken away.
        let meant = |said: &[Vec<String>]| -> Vec<Option<Vec<Vec<u8>>>> {
            said.iter().map(|lines| {
                let split = |line: &String| pieces(line.as_bytes(), exact);
                (!lines.is_empty()).then(|| lines.iter().flat_map(split).collect())
            }).collect()
        };
        prop_assert_eq!(key(&one) == key(&two), meant(&one) == meant(&two), "{:?} {:?}", one, two);
    }

    /// A part lies within what there is.
    #[test]
    fn parts_lie_within(range in "(bytes=)?[0-9]{0,21}-?[0-9]{0,21}", length in any::<u64>(), short: bool) {
        let length = if short { length % 20 } else { length };
        let request = Table::default().with("range", range.as_bytes());
        if let Part::Bytes { first, last } = wanted(&request, &Table::default(), length) {
            prop_assert!(first <= last && last < length, "{} of {}", range, length);
        }
    }

    /// Each status reads as one item of a list with parameters, which a strict reader takes.
    #[test]
    fn cache_status_is_a_structured_field(
        secs in any::<u64>(), stale: bool, hit: bool, stored: bool, collapsed: bool,
        origin_status in prop::option::of(100_u16..1_000),
    ) {
        let life = Duration::from_secs(secs);
        let life = Some(if stale { Life::Stale(life) } else { Life::Left(life) });
        let from = if hit { From::Store } else { From::Origin(Why::Stale) };
        let detail = Some("stale-if-error");
        let status = CacheStatus { from, life, origin_status, stored, collapsed, detail };
        let text = status.to_string();
        // A key with parameters is a member of a dictionary as well.
        prop_assert!(targeted::read([text.as_bytes()].into_iter()).is_some(), "{}", text);
    }
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// What is fuzzed holds for bytes near to what the parsers read.
    #[test]
    fn fuzz_targets_hold(bytes in line(), any in prop::collection::vec(any::<u8>(), 0..40)) {
        for bytes in [&bytes, &any] {
            fuzzed::date(bytes);
            fuzzed::directives(bytes);
            fuzzed::targeted(bytes);
            fuzzed::vary(bytes);
            fuzzed::ranges(bytes);
            fuzzed::cache_status(bytes);
            fuzzed::rules(bytes);
        }
    }

    /// Nothing in any header makes any rule panic, and what is decided holds together.
    #[test]
    fn nothing_makes_the_rules_panic(
        request in fields(),
        response in fields(),
        newer in fields(),
        private: bool,
        seconds in 0_u64..10_000,
        length in any::<u64>(),
        status in 0_u16..1_000,
    ) {
        let rules = rules(private);
        let exchange = Exchange { requested: NOW, received: later(1) };
        let (request, response) = (&request, &response);
        let answered = Answered { method: "GET", request, status, response, of_target: false, exchange };
        if let Ok(entry) = judge(&rules, &answered) {
            let wishes = Wishes::read(request);
            decide(&rules, &entry, &wishes, later(seconds));
            instead_of_error(&rules, &entry, &wishes, later(seconds));
            updating::displaces(&rules, (&entry, response), status, later(seconds));
            vary::selection(&entry.selecting, request);
        }
        updating::is_about(response, &newer);
        updating::headed(response, length, status, &newer);
        let _ = spillgate_core::cache::conditions::evaluate(request, response, NOW);
        wanted(request, response, length);
    }
}

fn pieces(line: &[u8], exact: bool) -> Vec<Vec<u8>> {
    if exact {
        return vec![line.to_vec()];
    }
    let (mut quoted, mut escaped, mut pieces) = (false, false, vec![Vec::new()]);
    for byte in line {
        let was_escaped = std::mem::take(&mut escaped);
        escaped = *byte == b'\\' && quoted && !was_escaped;
        quoted ^= *byte == b'"' && !was_escaped;
        if *byte == b',' && !quoted {
            pieces.push(Vec::new());
        } else if let Some(piece) = pieces.last_mut() {
            piece.push(*byte);
        }
    }
    pieces.iter().map(|piece| piece.trim_ascii().to_vec()).collect()
}
