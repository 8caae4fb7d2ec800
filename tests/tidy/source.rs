//! The repository as the rules see it: files, and Rust code apart from its comments and literals.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// A text file of the repository.
pub(crate) struct Text {
    /// Its path from the root, with slashes.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

/// A Rust file, taken apart line by line.
pub(crate) struct Source {
    /// Its path from the root, with slashes.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
    /// Its code, with blanks for comments and for what literals hold.
    pub(crate) code: String,
    /// Its comments, with blanks for all else.
    pub(crate) comments: String,
    /// For each line, whether it is compiled for tests alone.
    pub(crate) in_test: Vec<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// All text files of the repository, sorted by path; build output and hidden folders are left out.
pub(crate) fn texts() -> &'static [Text] {
    static TEXTS: OnceLock<Vec<Text>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let mut found = Vec::new();
        walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    })
}

/// All Rust files of the repository.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let rust = texts().iter().filter(|file| file.has_ending("rs"));
        rust.map(|file| Source::new(file.path.clone(), file.text.clone())).collect()
    })
}

/// The text of one file.
pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<Text>) {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if (name.starts_with('.') && name != ".ci") || name == "target" {
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(Text { path, text });
        }
    }
}

impl Text {
    /// Whether its name ends in a dot and this.
    pub(crate) fn has_ending(&self, ending: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == ending)
    }
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: String, text: String) -> Self {
        let code = keep(&text, Kind::Code);
        let comments = keep(&text, Kind::Comment);
        let in_test = test_lines(&path, &code);
        Self { path, text, code, comments, in_test }
    }

    /// The lines of code that ship, numbered from 1.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, _, in_test)| !in_test).map(|(number, line, _)| (number, line))
    }

    /// The lines of code that are compiled for tests alone, numbered from 1.
    pub(crate) fn tested(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, _, in_test)| *in_test).map(|(number, line, _)| (number, line))
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let numbered = self.code.lines().enumerate();
        numbered.zip(&self.in_test).map(|((index, line), in_test)| (index + 1, line, *in_test))
    }
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c == '_' || c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line.get(..at), line.get(at + word.len()..));
        let starts = !word.starts_with(joins) || !before.is_some_and(|text| text.ends_with(joins));
        let ends = !word.ends_with(joins) || !after.is_some_and(|text| text.starts_with(joins));
        starts && ends
    })
}

/// Where the first block of `code` begins and ends, its braces included; `None` if a `;` comes
/// first.
pub(crate) fn block(code: &str) -> Option<(usize, usize)> {
    let mut depth = (0_i32, 0_i32);
    let mut begin = None;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => depth.0 += 1,
            ')' | ']' => depth.0 -= 1,
            ';' if depth == (0, 0) => return None,
            '{' => {
                begin = begin.or(Some(at));
                depth.1 += 1;
            }
            '}' => {
                depth.1 -= 1;
                if depth.1 == 0 {
                    return begin.map(|begin| (begin, at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let all = code.lines().count();
    let outside = ["tests/", "benches/"].iter().any(|folder| path.starts_with(folder));
    if outside || path.contains("/tests/") || path.ends_with("/tests.rs") {
        return vec![true; all];
    }
    let mut marked = vec![false; all];
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let after = code.get(at..).unwrap_or_default();
        let first = code.get(..at).unwrap_or_default().matches('\n').count();
        let length = block(after).map_or_else(|| after.find(';').unwrap_or(0), |(_, end)| end);
        let lines = after.get(..length).unwrap_or_default().matches('\n').count();
        marked.iter_mut().skip(first).take(lines + 1).for_each(|mark| *mark = true);
    }
    marked
}

fn keep(text: &str, wanted: Kind) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = token(rest);
        let (token, after) = rest.split_at(length);
        if kind == wanted {
            kept.push_str(token);
        } else {
            kept.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    kept
}

/// What `rest` begins with, and how many bytes of it.
fn token(rest: &str) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if let Some(length) = raw_literal(rest).or_else(|| text_literal(rest)) {
        return (Kind::Literal, length);
    }
    if let Some(length) = char_literal(rest) {
        return (Kind::Literal, length);
    }
    let name = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    let one = rest.chars().next().map_or(1, char::len_utf8);
    (Kind::Code, name.max(one))
}

fn raw_literal(rest: &str) -> Option<usize> {
    let opened = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let body = opened.trim_start_matches('#');
    let hashes = opened.len() - body.len();
    let end = format!("\"{}", "#".repeat(hashes));
    let at = body.strip_prefix('"')?.find(&end)?;
    Some(rest.len() - body.len() + 1 + at + end.len())
}

fn text_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('"')?;
    let opened = rest.len() - body.len();
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '"' if !escaped => return Some(opened + at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    Some(rest.len())
}

/// A character in quotes; a lifetime is none.
fn char_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if body.starts_with('\\') {
        let end = body.char_indices().skip(2).find(|(_, c)| *c == '\'')?;
        return Some(end.0 + 2);
    }
    let one = body.chars().next()?;
    body.get(one.len_utf8()..)?.starts_with('\'').then(|| one.len_utf8() + 2)
}
