//! The house rules, run over the source as a test.
//!
//! What clippy cannot see is seen here: what a crate may know of, who may use whom, how long a file
//! may grow, and whether the documents say what the code does. An exception is a line at the end of
//! this file, with its reason; the lists only ever get shorter.

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/numbers.rs"]
mod numbers;
#[path = "tidy/pitfalls.rs"]
mod pitfalls;
#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use modules::Uses;
use source::{Source, has_word};

#[test]
fn files_are_short() {
    let lines = |source: &Source| (source.path.clone(), source.text.lines().count());
    ratchet("lines", FILE_LINES_MAX, LONG_FILES, source::sources().iter().map(lines));
}

#[test]
fn functions_are_short() {
    let all = source::sources();
    let lines = all.iter().flat_map(|source| {
        let named = |(name, lines)| (format!("{} {name}", source.path), lines);
        functions(source).into_iter().map(named)
    });
    ratchet("lines", FUNCTION_LINES_MAX, LONG_FUNCTIONS, lines);
}

#[test]
fn files_begin_with_their_reason() {
    let starts = |source: &Source| ["//!", "#![doc"].iter().any(|s| source.text.starts_with(s));
    check(
        source::sources()
            .iter()
            .filter(|source| !starts(source))
            .map(|source| format!("{}: the first line is no `//!`", source.path)),
    );
}

#[test]
fn names_of_files_say_what_is_inside() {
    let vague = ["util", "utils", "common", "helper", "helpers", "misc", "prelude", "types"];
    let all = source::sources();
    check(all.iter().filter_map(|source| {
        let mut parts = source.path.trim_end_matches(".rs").split('/');
        let found = parts.find(|part| vague.contains(part))?;
        Some(format!("{}: `{found}` names nothing", source.path))
    }));
}

#[test]
fn words_that_mean_later_are_absent() {
    let all = source::sources();
    check(words(all, &["TODO", "FIXME", "XXX"], |source| source.comments.lines().collect()));
    check(words(
        all,
        &["dbg!", "todo!", "unimplemented!", "#[ignore", "#[allow", "#![allow"],
        |s| s.code.lines().collect(),
    ));
}

#[test]
fn shipped_code_does_not_panic_on_purpose() {
    check(shipped(source::sources(), "", &[".unwrap()", ".expect(", ".unwrap_err("]));
}

#[test]
fn tests_wait_for_something_and_never_for_a_while() {
    let all = source::sources();
    let naps = all.iter().map(|source| {
        let naps = source.tested().filter(|(_, line)| has_word(line, "sleep("));
        (source.path.clone(), naps.count())
    });
    ratchet("sleeps", 0, SLEEPS, naps);
}

#[test]
fn core_knows_no_clock_no_lock_no_chance_and_no_world() {
    let banned = [
        "Instant::now",
        "elapsed(",
        "SystemTime",
        "Mutex",
        "RwLock",
        "RefCell",
        "Condvar",
        "thread",
        "rand",
        "HashMap",
        "HashSet",
        "std::env",
        "std::fs",
        "std::net",
        "std::io",
        "std::process",
        "tokio",
        "tracing",
        "async",
        "await",
        "println!",
        "eprintln!",
    ];
    check(shipped(source::sources(), "core/src/", &banned));
    let core = manifest("core");
    let own = core.get("dependencies").and_then(toml::Value::as_table);
    assert!(own.is_none_or(toml::Table::is_empty), "core has dependencies: {own:?}");
}

#[test]
fn actors_share_no_lock() {
    check(shipped(source::sources(), "actors/src/", &["Mutex", "RwLock", "RefCell", "Condvar"]));
}

#[test]
fn wire_formats_and_protocols_stay_at_the_rim() {
    let outside = ["serde", "serde_json", "toml", "reqwest", "hyper", "rustls", "clap", "axum"];
    let outside = [&outside[..], &["opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp"]];
    let outside = outside.concat();
    for member in ["core", "actors"] {
        check(shipped(source::sources(), &format!("{member}/src/"), &outside));
        let manifest = manifest(member);
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        let named =
            |name: &&str| used.is_some_and(|used| used.contains_key(&name.replace('_', "-")));
        check(
            outside.iter().filter(|name| named(name)).map(|name| format!("{member} uses {name}")),
        );
    }
}

#[test]
fn engines_are_in_the_tree_once() {
    let engines = ["reqwest", "hyper", "rustls", "opentelemetry", "opentelemetry_sdk", "tokio"];
    let lock = source::read("Cargo.lock");
    check(engines.iter().filter_map(|name| {
        let versions = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        (versions != 1).then(|| format!("Cargo.lock holds {versions} of {name}"))
    }));
}

#[test]
fn crates_depend_one_way() {
    let all = source::sources();
    check(shipped(all, "core/src/", &["spillgate_actors", "spillgate"]));
    check(shipped(all, "actors/src/", &["spillgate"]));
    let actors = manifest("actors");
    let upward = |table: &toml::Value| table.get("spillgate").is_some();
    assert!(!actors.get("dependencies").is_some_and(upward), "actors depend on the facade");
}

#[test]
fn modules_form_no_circles() {
    let all = source::sources();
    let mut found = BTreeSet::new();
    for root in ["core/src/", "actors/src/", "src/"] {
        let circles = Uses::of(all, root).circles();
        found.extend(circles.into_iter().map(|circle| format!("{root}: {}", circle.join(" "))));
    }
    let known = CIRCLES.iter().map(|(circle, _)| (*circle).to_owned()).collect();
    let new = found.difference(&known).map(|circle| format!("a circle: {circle}"));
    let gone = known.difference(&found).map(|circle| format!("no circle any more: {circle}"));
    check(new.chain(gone));
}

#[test]
fn leaf_policies_and_machines_know_nothing_of_each_other() {
    let uses = Uses::of(source::sources(), "core/src/");
    let mut pairs = vec![("host", "coordinator"), ("coordinator", "host")];
    for from in LEAVES {
        pairs.extend(["host", "coordinator"].map(|machine| (from, machine)));
        pairs.extend(LEAVES.iter().filter(|to| **to != from).map(|to| (from, *to)));
    }
    let found = pairs.iter().filter(|(from, to)| uses.has(from, to));
    check(found.map(|(from, to)| format!("core/src/{from}.rs uses {to}")));
}

#[test]
fn names_are_passed_on_at_a_crates_root_alone() {
    let all = source::sources();
    check(all.iter().filter(|source| !source.path.ends_with("lib.rs")).flat_map(|source| {
        let passed = source.shipped().filter(|(_, line)| {
            let line = line.trim_start();
            ["pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|s| line.starts_with(s))
        });
        passed.map(|(number, _)| format!("{}:{number}: passes a name on", source.path))
    }));
    check(all.iter().flat_map(|source| {
        let globs = source
            .shipped()
            .filter(|(_, line)| line.trim_start().starts_with("use ") && line.contains("::*"));
        globs.map(|(number, _)| format!("{}:{number}: takes all names", source.path))
    }));
}

#[test]
fn messages_are_told_of() {
    check(documents::messages());
}

#[test]
fn errors_are_told_of() {
    check(documents::errors());
}

#[test]
fn defaults_are_told_of_as_they_are() {
    check(documents::defaults(source::sources()));
}

#[test]
fn pitfalls_are_held_by_tests_under_their_names() {
    check(pitfalls::problems(source::sources()));
}

#[test]
fn links_lead_somewhere() {
    check(documents::links());
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let places = ["/work/", "/root/", "/home/", "/Users/"];
    let all = source::texts();
    check(all.iter().filter(|file| file.path != "tests/tidy.rs").flat_map(|file| {
        let lines = file.text.lines().enumerate();
        let named = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place)));
        named.map(|(index, line)| format!("{}:{}: {line}", file.path, index + 1))
    }));
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let text = "let a = \"// no\"; // yes \"\nlet c = '\"'; let r = r#\"un\"wrap\"#; 'l: loop {}\n";
    let source = Source::new("a.rs".to_owned(), text.to_owned());
    assert_eq!(source.comments.trim(), "// yes \"");
    assert!(!source.code.contains("no") && !source.code.contains("wrap"));
    assert!(source.code.contains("'l: loop"), "{}", source.code);
    assert_eq!(source.code.len(), text.len());
}

#[test]
fn test_modules_are_told_from_shipped_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let source = Source::new("a.rs".to_owned(), text.to_owned());
    assert_eq!(source.in_test, [false, true, true, true, true, false]);
    assert!(has_word("a.unwrap()", ".unwrap()") && !has_word("operand", "rand"));
    assert_eq!(functions(&source), [("a", 1), ("b", 1), ("c", 1)].map(|(n, l)| (n.into(), l)));
}

/// Fails with all that is wrong, not with the first of it.
fn check(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Lets nothing above `max` pass but what is listed with exactly its size.
fn ratchet(
    unit: &str,
    max: usize,
    known: &[(&str, usize, &str)],
    sizes: impl IntoIterator<Item = (String, usize)>,
) {
    let mut known: BTreeMap<&str, usize> =
        known.iter().map(|(name, size, _)| (*name, *size)).collect();
    let mut problems = Vec::new();
    for (name, size) in sizes {
        let allowed = known.remove(name.as_str());
        if allowed != Some(size) && (size > max || allowed.is_some()) {
            let allowed = allowed.unwrap_or(max);
            problems.push(format!("{name}: {size} {unit}, expected {allowed}"));
        }
    }
    problems.extend(known.keys().map(|name| format!("{name} is listed and gone")));
    check(problems);
}

/// The words that stand in the shipped code under a folder.
fn shipped(sources: &[Source], folder: &str, words: &[&str]) -> Vec<String> {
    let inside = sources.iter().filter(|source| source.path.starts_with(folder));
    inside.flat_map(|source| found(source, words, source.shipped())).collect()
}

/// The words that stand in some lines of any file.
fn words<'s>(
    sources: &'s [Source],
    words: &[&str],
    lines: impl Fn(&'s Source) -> Vec<&'s str>,
) -> Vec<String> {
    let numbered = |source| lines(source).into_iter().enumerate().map(|(i, line)| (i + 1, line));
    sources.iter().flat_map(|source| found(source, words, numbered(source))).collect()
}

fn found<'s>(
    source: &Source,
    words: &[&str],
    lines: impl Iterator<Item = (usize, &'s str)>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in lines {
        let named = words.iter().filter(|word| has_word(line, word));
        found.extend(named.map(|word| format!("{}:{number}: `{word}`", source.path)));
    }
    found
}

/// The functions of a file, each with the lines of its body.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        let (before, after) = source.code.split_at(at);
        if before.ends_with(|c: char| c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let name =
            after.trim_start_matches("fn ").split(|c: char| c != '_' && !c.is_alphanumeric());
        let Some((begin, end)) = source::block(after) else { continue };
        let lines = after.get(begin..end).unwrap_or_default().lines().count();
        found.extend(name.take(1).map(|name| (name.to_owned(), lines)));
    }
    found
}

fn manifest(member: &str) -> toml::Table {
    let text = source::read(&format!("{member}/Cargo.toml"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{member}/Cargo.toml: {error}"))
}

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;

const LEAVES: [&str; 14] = [
    "breaker",
    "budget",
    "backoff",
    "slots",
    "limit",
    "queue",
    "flights",
    "pace",
    "allowance",
    "rate",
    "device",
    "turnover",
    "latencies",
    "hedge",
];

const LONG_FILES: &[(&str, usize, &str)] = &[];

const LONG_FUNCTIONS: &[(&str, usize, &str)] = &[];

/// Waits for a while, where there is nothing to wait for.
const SLEEPS: &[(&str, usize, &str)] =
    &[("tests/it/bench.rs", 1, "asks again and again until a condition holds, with an end")];

/// Modules that use each other in a circle.
const CIRCLES: &[(&str, &str)] = &[];
