//! The text of a configuration file, and where in it things stand.
//!
//! Settings are kept as plain values without positions; a position is looked up in the text again
//! when there is something to say about it, which is once, at a failed start.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{Problem, Spot};

/// The text of a configuration file.
pub(super) struct Source {
    name: String,
    text: String,
}

/// One step from the root of a document to a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// Into a table, by key.
    Key(&'a str),
    /// Into a list, by position.
    Item(usize),
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A problem with what stands at `span`.
    pub(super) fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        let spot = Some(spot(&self.text, span));
        Problem { spot, ..Problem::of(&self.name, message) }
    }

    /// A problem with the key at `path`, or with the file if there is no such key.
    pub(super) fn problem_at(&self, path: &[Step<'_>], message: impl Into<String>) -> Problem {
        match self.find(path) {
            Some(span) => self.problem(span, message),
            None => Problem::of(&self.name, message),
        }
    }

    /// Where the last key of `path` stands.
    pub(super) fn find(&self, path: &[Step<'_>]) -> Option<Range<usize>> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = Some(root.get_ref());
        let mut value: Option<&DeValue<'_>> = None;
        let mut found = None;
        for step in path {
            match step {
                Step::Key(name) => {
                    let (key, inner) = table?.iter().find(|(key, _)| key.get_ref() == name)?;
                    found = Some(key.span());
                    value = Some(inner.get_ref());
                }
                Step::Item(index) => {
                    let item = value?.as_array()?.get(*index)?;
                    found = Some(item.span());
                    value = Some(item.get_ref());
                }
            }
            table = value?.as_table();
        }
        found
    }

    /// The line on which the last key of `path` stands, counted from 1.
    pub(super) fn line_of(&self, path: &[Step<'_>]) -> Option<usize> {
        self.find(path).map(|span| spot(&self.text, span).line)
    }
}

impl fmt::Debug for Source {
    /// Leaves the text out: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

/// The place of `span` in `text`; a span beyond the end is the end.
pub(super) fn spot(text: &str, span: Range<usize>) -> Spot {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    let shown = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let meant = text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
    let width = meant.trim_end().chars().count().max(1);
    Spot { line, column, text: covered(shown), width }
}

/// The line with userinfo and query values covered, character for character.
pub(super) fn covered(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((userinfo, after)) = rest.split_once('@') {
        let start = userinfo.rfind(['"', '\'', '/', ' ', '\t']).map_or(0, |at| at + 1);
        let (open, secret) = userinfo.split_at_checked(start).unwrap_or((userinfo, ""));
        shown.push_str(open);
        shown.extend(secret.chars().map(|_| '*'));
        shown.push('@');
        rest = after;
    }
    shown.push_str(rest);
    let Some((_, address)) = shown.split_once("://") else { return shown };
    let Some((_, query)) = address.split_once('?') else { return shown };
    let secret = query.split(['"', '\'']).next().unwrap_or_default();
    let head = shown.len() - query.len();
    let stars: String = secret.chars().map(|_| '*').collect();
    let open = shown.get(..head).unwrap_or_default();
    let tail = shown.get(head + secret.len()..).unwrap_or_default();
    format!("{open}{stars}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_shown_line_are_covered_at_the_same_width() {
        assert_eq!(
            covered(r#"otlp = "http://u:pw@c:1/?k=v" # x"#),
            r#"otlp = "http://****@c:1/?***" # x"#
        );
        assert_eq!(covered(r#"match = "u:pw@host""#), r#"match = "****@host""#);
        assert_eq!(covered(r#"deadline = "30s" # why?"#), r#"deadline = "30s" # why?"#);
    }

    #[test]
    fn spots_count_characters_and_survive_the_end() {
        let found = spot("a = 1\r\nä = 2\r\n", 7..9);
        assert_eq!(
            (found.line, found.column, found.text.as_str(), found.width),
            (2, 1, "ä = 2", 1)
        );
        let end = spot("a = ", 4..4);
        assert_eq!((end.line, end.column, end.width), (1, 5, 1));
        assert_eq!(spot("a", 99..120).line, 1);
    }

    #[test]
    fn keys_are_found_in_every_way_to_write_them() {
        let text = "[defaults]\ntimeouts.attempt = \"1s\"\n[[host]]\nmatch = \"a\"\n[[host]]\n\
                    retry = { cap = \"1s\" }\n[[host.route]]\nmatch = \"/\"\n";
        let source = Source::new("f", text);
        let line = |path: &[Step<'_>]| source.line_of(path);
        let (host, second) = (Step::Key("host"), Step::Item(1));
        assert_eq!(
            line(&[Step::Key("defaults"), Step::Key("timeouts"), Step::Key("attempt")]),
            Some(2)
        );
        assert_eq!(line(&[host, second, Step::Key("retry"), Step::Key("cap")]), Some(6));
        assert_eq!(
            line(&[host, second, Step::Key("route"), Step::Item(0), Step::Key("match")]),
            Some(8)
        );
        assert_eq!(line(&[host, Step::Item(2), Step::Key("match")]), None);
    }
}
