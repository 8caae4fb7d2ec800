//! The table of pitfalls: each names tests that are there.

use crate::documents::{cell, rows};
use crate::source::{self, Source};

/// Items of the table; they are numbered and never renumbered.
const ITEMS: usize = 28;

/// What security asks for beside them, as far as it is told here.
const OF_SECURITY: [&str; 2] = ["S7", "S8"];

/// Every item has tests, every test is one, and one of each item's says which pitfall it is about.
pub(crate) fn problems(sources: &[Source]) -> Vec<String> {
    let document = source::read("tests/PITFALLS.md");
    let sections: Vec<&str> = document.split("\n## ").skip(1).collect();
    let mut problems = Vec::new();
    let items = (1..=ITEMS).map(|number| format!("A{number}"));
    let items: Vec<String> = items.chain(OF_SECURITY.map(str::to_owned)).collect();
    if sections.len() != items.len() {
        let (found, wanted) = (sections.len(), items.len());
        problems.push(format!("tests/PITFALLS.md has {found} items, not {wanted}"));
    }
    for (section, item) in sections.iter().zip(&items) {
        if section.lines().next() != Some(item) {
            problems.push(format!("tests/PITFALLS.md: {item} is not in its place"));
        }
        problems.extend(of_item(item, section, sources));
    }
    problems
}

fn of_item(item: &str, section: &str, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut is_told = false;
    for row in rows(section).iter().filter(|row| cell(row, 0) != "floor") {
        let (floor, name, path) = (cell(row, 0), cell(row, 1), cell(row, 2));
        let test = sources.iter().find(|source| source.path == path).and_then(|s| test(s, name));
        match test {
            None => problems.push(format!("tests/PITFALLS.md: {item}: no test {name} in {path}")),
            Some(told) => is_told |= names(told, item),
        }
        if floor != floor_of(path) {
            problems.push(format!("tests/PITFALLS.md: {item}: {name} is of {}", floor_of(path)));
        }
    }
    if !is_told {
        problems.push(format!("tests/PITFALLS.md: no test of {item} says `PITFALLS {item}`"));
    }
    problems
}

/// What stands before a test, its documentation included; `None` if there is no such test.
fn test<'s>(source: &'s Source, name: &str) -> Option<&'s str> {
    let at = source.code.find(&format!("fn {name}("))?;
    let before = source.code.get(..at)?;
    // What ends before: an item, a module's head, or the configuration of a group of laws.
    let begin = before.rfind(['{', '}', ';']).map_or(0, |end| end + 1);
    let attributes = before.get(begin..)?;
    let is_test = attributes.contains("#[test]") || attributes.contains("::test");
    is_test.then(|| source.text.get(begin..at)).flatten()
}

/// Whether a text names exactly this item.
fn names(text: &str, item: &str) -> bool {
    let named = format!("PITFALLS {item}");
    text.match_indices(&named).any(|(at, _)| {
        let next = text.get(at + named.len()..).and_then(|rest| rest.chars().next());
        !next.is_some_and(|next| next.is_ascii_digit())
    })
}

fn floor_of(path: &str) -> &'static str {
    let floors =
        [("tests/it/", "sockets"), ("core/tests/laws/", "laws"), ("core/tests/sim/", "simulator")];
    floors.iter().find(|(root, _)| path.starts_with(root)).map_or("unit", |(_, floor)| floor)
}

#[test]
fn tests_are_found_with_what_is_told_of_them() {
    let text =
        "fn a() {}\n/// x#1 (PITFALLS A12).\n#[test]\nfn b() {\n}\n// PITFALLS A3\nfn c() {}\n";
    let source = Source::new("tests/it/x.rs".to_owned(), text.to_owned());
    let told = test(&source, "b").unwrap_or_default();
    assert!(names(told, "A12") && !names(told, "A1") && !names(told, "A2"));
    assert!(test(&source, "a").is_none() && test(&source, "c").is_none(), "they are no tests");
    let document = |name: &str| format!("A12\n\n| sockets | `{name}` | tests/it/x.rs |\n");
    let sources = [source];
    assert_eq!(of_item("A12", &document("b"), &sources), [""; 0]);
    assert_eq!(of_item("A12", &document("gone"), &sources).len(), 2);
    assert_eq!(of_item("A13", &document("b"), &sources).len(), 1);
    assert_eq!(of_item("A12", "A12\n", &sources).len(), 1);
}
