//! What the files of a directory are called: after the URL's path, and nowhere else.
//!
//! A name comes from an upstream or a list of URLs and is not trusted: no separator, no leading
//! dot, no control character, a bounded length.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use url::Url;

/// How files are named, such as `{index}-{stem}.{ext}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Index,
    Host,
    Stem,
    Extension,
}

/// The names of a directory that are taken.
pub(crate) struct Names {
    directory: PathBuf,
    template: NameTemplate,
    /// In lower case: some file systems see no difference.
    taken: HashSet<String>,
}

impl NameTemplate {
    /// Reads a template; the text says what is wrong and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected text with {index}, {host}, {stem} or {ext}";
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("`{{` without `}}`; {EXPECTED}"));
            };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "index" => Piece::Index,
                "host" => Piece::Host,
                "stem" => Piece::Stem,
                "ext" => Piece::Extension,
                other => return Err(format!("unknown name `{{{other}}}`; {EXPECTED}")),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if text.contains(['/', '\\']) {
            return Err(format!("a name is no path; {EXPECTED}"));
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            return Err(format!("all files would have one name; {EXPECTED}"));
        }
        Ok(Self(pieces))
    }

    fn fill(&self, index: u64, url: &Url) -> String {
        let last = last_segment(url);
        let (stem, extension) = split(&last);
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Index => name.push_str(&index.to_string()),
                Piece::Host => {
                    name.push_str(url.host_str().unwrap_or_default());
                    name.extend(url.port().map(|port| format!("_{port}")));
                }
                Piece::Stem => name.push_str(stem),
                Piece::Extension => name.push_str(extension),
            }
        }
        safe(&name)
    }
}

impl Default for NameTemplate {
    /// `{stem}.{ext}`; a name without extension has no dot.
    fn default() -> Self {
        Self(vec![Piece::Stem, Piece::Text(".".to_owned()), Piece::Extension])
    }
}

impl Names {
    /// The names of a directory, in which nothing was written yet.
    pub(crate) fn new(directory: PathBuf, template: NameTemplate) -> Self {
        Self { directory, template, taken: HashSet::new() }
    }

    /// Keeps a name of an earlier run for the URL it belongs to.
    pub(crate) fn reserve(&mut self, path: &Path) {
        if let Some(name) = path.file_name() {
            self.take(&name.to_string_lossy());
        }
    }

    /// The file that an earlier run gave a URL, if it is one of this directory.
    pub(crate) fn keep(&self, path: &Path) -> Option<PathBuf> {
        path.file_name().map(|name| self.directory.join(name))
    }

    /// A name that neither another URL nor a file of somebody else's has.
    pub(crate) fn choose(&mut self, index: u64, url: &Url) -> PathBuf {
        let wanted = self.template.fill(index, url);
        let (stem, extension) = split(&wanted);
        let dot = if extension.is_empty() { "" } else { "." };
        let mut name = wanted.clone();
        for number in 2_u64.. {
            if !self.is_taken(&name) {
                break;
            }
            name = format!("{stem}-{number}{dot}{extension}");
        }
        self.take(&name);
        self.directory.join(name)
    }

    fn is_taken(&self, name: &str) -> bool {
        let (lower, part) = (name.to_lowercase(), part_name(name).to_lowercase());
        self.taken.contains(&lower)
            || self.taken.contains(&part)
            || self.directory.join(name).symlink_metadata().is_ok()
    }

    fn take(&mut self, name: &str) {
        self.taken.insert(name.to_lowercase());
        self.taken.insert(part_name(name).to_lowercase());
    }
}

/// The name that a file has until it is whole.
fn part_name(name: &str) -> String {
    format!("{name}{PART}")
}

fn last_segment(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back());
    let bytes = segment.unwrap_or_default().as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| hex_pair(after)).flatten();
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    safe(&String::from_utf8_lossy(&decoded))
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let pair = std::str::from_utf8(bytes.get(..2)?).ok()?;
    pair.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u8::from_str_radix(pair, 16).ok()
}

/// Stem and extension; an extension is short and plain.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && (1..=EXTENSION_MAX).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            (stem, extension)
        }
        Some(_) | None => (name, ""),
    }
}

/// The name without what could lead elsewhere or be misread.
fn safe(name: &str) -> String {
    let plain = |c: char| {
        let is_bad = c.is_control() || "/\\:*?\"<>|".contains(c) || is_invisible(c);
        if is_bad { '_' } else { c }
    };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(['.', ' ', '-']).trim_end_matches(['.', ' ']);
    let (stem, extension) = split(name);
    let room = if extension.is_empty() { NAME_MAX } else { NAME_MAX - extension.len() - 1 };
    let end = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at));
    let stem = stem.get(..end.unwrap_or(0)).unwrap_or_default();
    let stem = if stem.is_empty() { "index" } else { stem };
    let reserved = RESERVED.iter().any(|word| stem.eq_ignore_ascii_case(word));
    let underscore = if reserved { "_" } else { "" };
    let dot = if extension.is_empty() { "" } else { "." };
    format!("{underscore}{stem}{dot}{extension}")
}

/// Characters that turn or hide the rest of a name.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// What follows the name of a file until it is whole.
pub(crate) const PART: &str = ".part";
/// Bytes of a name; with number and `.part` it fits every file system's 255.
const NAME_MAX: usize = 200;
/// Bytes of an extension.
const EXTENSION_MAX: usize = 16;
/// Names that are devices on some systems.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com1", "lpt1"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, url: &str, expected: &str) {
        let template = NameTemplate::parse(template).unwrap();
        assert_eq!(template.fill(7, &Url::parse(url).unwrap()), expected, "{url}");
    }

    #[test]
    fn names_come_from_the_path() {
        for (url, expected) in [
            ("http://h/a/b.tar.gz?x=1", "b.tar.gz"),
            ("http://h/", "index"),
            ("http://h/a/", "index"),
            ("http://h/read%20me.md", "read me.md"),
            ("http://h/b%C3%BCcher", "b\u{fc}cher"),
            ("http://h/100%", "100%"),
            ("http://h/con.txt", "_con.txt"),
        ] {
            check("{stem}.{ext}", url, expected);
        }
        check("{index}-{host}-{stem}.{ext}", "http://h:81/a.b", "7-h_81-a.b");
    }

    #[test]
    fn names_lead_nowhere_else() {
        for url in [
            "http://h/..%2f..%2fetc%2fpasswd",
            "http://h/%2Fetc%2Fpasswd",
            "http://h/a%5C..%5Cb",
            "http://h/%2e%2e",
            "http://h/%00%0a%1b[31m",
            "http://h/.bashrc",
            "http://h/-rf",
            "http://h/.spillgate-resume.ndjson",
            "http://h/a%E2%80%AEgpj.exe",
        ] {
            let name = NameTemplate::default().fill(0, &Url::parse(url).unwrap());
            let path = Path::new(&name);
            assert_eq!(path.components().count(), 1, "{name}");
            assert!(!name.starts_with(['.', '-', '/']) && !name.is_empty(), "{name}");
            assert!(name.chars().all(|c| !c.is_control() && !is_invisible(c)), "{name:?}");
        }
        let long = format!("http://h/{}.html", "\u{fc}".repeat(300));
        let name = NameTemplate::default().fill(0, &Url::parse(&long).unwrap());
        assert!(name.len() <= NAME_MAX && name.rsplit('.').next() == Some("html"), "{name}");
    }

    #[test]
    fn collisions_are_numbered_and_parts_collide_too() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("theirs.txt"), "x").unwrap();
        let mut names = Names::new(directory.path().to_owned(), NameTemplate::default());
        let mut choose = |url: &str| {
            let path = names.choose(0, &Url::parse(url).unwrap());
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(choose("http://h/a.txt"), "a.txt");
        assert_eq!(choose("http://h/A.txt"), "A-2.txt");
        assert_eq!(choose("http://h/a.txt"), "a-3.txt");
        assert_eq!(choose("http://h/a.txt.part"), "a.txt-2.part");
        assert_eq!(choose("http://h/theirs.txt"), "theirs-2.txt");
        assert_eq!(choose("http://h/"), "index");
        assert_eq!(choose("http://h/"), "index-2");
    }

    #[test]
    fn bad_templates_are_refused() {
        for bad in ["{index", "{what}", "{stem}/{ext}", "same", ""] {
            assert!(NameTemplate::parse(bad).is_err(), "{bad}");
        }
    }
}
