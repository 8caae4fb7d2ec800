//! What `Cache-Control` says, in answers and in requests.
//!
//! Names count in any case; values may be tokens or quoted strings (RFC 9111 section 5.2). Of a
//! directive that comes twice the first counts; one whose number is no number is taken as zero,
//! which calls for the network (section 4.2.1).

use std::time::Duration;

use crate::cache::fields::{Fields, delta_seconds, unquote};

/// What an answer says about its use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directive that is said or not")]
pub struct Directives {
    /// How long it is fresh.
    pub max_age: Option<Duration>,
    /// How long it is fresh for a shared cache.
    pub s_maxage: Option<Duration>,
    /// How long past that it may be used while it is renewed.
    pub stale_while_revalidate: Option<Duration>,
    /// How long past that it may be used instead of an error.
    pub stale_if_error: Option<Duration>,
    /// Whether, or which of its fields, must be validated before each use.
    pub no_cache: Extent,
    /// Whether, or which of its fields, is for a single user.
    pub private: Extent,
    /// It must not be stored.
    pub no_store: bool,
    /// It must not be stored unless its status is understood; overrides `no_store` if it is.
    pub must_understand: bool,
    /// Anybody may store it.
    pub public: bool,
    /// It must not be used when stale.
    pub must_revalidate: bool,
    /// It must not be used when stale by a shared cache.
    pub proxy_revalidate: bool,
    /// It never changes while it is fresh.
    pub immutable: bool,
}

/// How much of an answer a directive is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Extent {
    /// None of it.
    #[default]
    Nothing,
    /// These fields, in lower case.
    Fields(Vec<String>),
    /// All of it.
    Whole,
}

/// What a request says about the answer it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// No older than this.
    pub max_age: Option<Duration>,
    /// Fresh for at least so long.
    pub min_fresh: Option<Duration>,
    /// Stale, for no longer than this.
    pub max_stale: Option<Duration>,
    /// Stale for no longer than this, instead of an error.
    pub stale_if_error: Option<Duration>,
    /// Not without validation.
    pub no_cache: bool,
    /// Neither from a store nor into one.
    pub no_store: bool,
    /// From a store or not at all.
    pub only_if_cached: bool,
}

impl Directives {
    /// Reads the lines of one field.
    pub fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut said = Self::default();
        for line in lines {
            for (name, value) in directives(line) {
                said.note(&name, value);
            }
        }
        said
    }

    pub(crate) fn note(&mut self, name: &str, value: Option<&[u8]>) {
        match name {
            "max-age" => first(&mut self.max_age, value),
            "s-maxage" => first(&mut self.s_maxage, value),
            "stale-while-revalidate" => first(&mut self.stale_while_revalidate, value),
            "stale-if-error" => first(&mut self.stale_if_error, value),
            "no-cache" => self.no_cache.widen(value),
            "private" => self.private.widen(value),
            "no-store" => self.no_store = true,
            "must-understand" => self.must_understand = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "immutable" => self.immutable = true,
            _ => {}
        }
    }
}

impl Wishes {
    /// Reads a request: `Cache-Control`, or `Pragma: no-cache` if there is none.
    pub fn read(request: &(impl Fields + ?Sized)) -> Self {
        let mut wishes = Self::default();
        if !request.has("cache-control") {
            wishes.no_cache = request.members("pragma").any(|member| is(member, "no-cache"));
            return wishes;
        }
        for line in request.lines("cache-control") {
            for (name, value) in directives(line) {
                wishes.note(&name, value);
            }
        }
        wishes
    }

    fn note(&mut self, name: &str, value: Option<&[u8]>) {
        match (name, value) {
            ("max-age", _) => first(&mut self.max_age, value),
            ("min-fresh", _) => first(&mut self.min_fresh, value),
            ("max-stale", None) => self.max_stale = self.max_stale.or(Some(Duration::MAX)),
            ("max-stale", _) => first(&mut self.max_stale, value),
            ("stale-if-error", _) => first(&mut self.stale_if_error, value),
            ("no-cache", _) => self.no_cache = true,
            ("no-store", _) => self.no_store = true,
            ("only-if-cached", _) => self.only_if_cached = true,
            _ => {}
        }
    }
}

impl Extent {
    fn widen(&mut self, value: Option<&[u8]>) {
        let listed = value.and_then(unquote).and_then(|value| String::from_utf8(value).ok());
        let Some(listed) = listed else {
            *self = Self::Whole;
            return;
        };
        let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
        // What names no field restricts all of it: the narrow form must be meant.
        if names.is_empty() || !names.iter().all(|name| is_token(name)) {
            *self = Self::Whole;
            return;
        }
        match self {
            Self::Whole => {}
            Self::Nothing => *self = Self::Fields(names),
            Self::Fields(known) => known.extend(names),
        }
    }

    /// Whether a field, named in lower case, is meant on its own.
    pub fn lists(&self, name: &str) -> bool {
        match self {
            Self::Fields(names) => names.iter().any(|listed| listed == name),
            Self::Nothing | Self::Whole => false,
        }
    }
}

/// The directives of a line: names in lower case, and values as written.
fn directives(line: &[u8]) -> impl Iterator<Item = (String, Option<&[u8]>)> {
    crate::cache::fields::members(line).filter_map(|member| {
        let at = member.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((member, None), |at| {
            let (name, value) = member.split_at(at);
            (name, value.split_first().map(|(_, value)| value))
        });
        let name = std::str::from_utf8(name).ok()?;
        Some((name.to_ascii_lowercase(), value))
    })
}

fn first(known: &mut Option<Duration>, value: Option<&[u8]>) {
    let value = value.and_then(unquote).and_then(|value| delta_seconds(&value));
    known.get_or_insert(Duration::from_secs(value.unwrap_or_default()));
}

fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is(value: &[u8], word: &str) -> bool {
    value.eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Directives {
        Directives::read(lines.iter().map(|line| line.as_bytes()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the tables compare options")]
    fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn names_count_in_any_case_and_over_lines() {
        let said = read(&["Public, S-MaxAge=5", "NO-STORE, unknown=1"]);
        assert!(said.public && said.no_store);
        assert_eq!(said.s_maxage, secs(5));
    }

    #[test]
    fn numbers_are_read_strictly_and_the_first_counts() {
        for (line, expected) in [
            ("max-age=3600", secs(3600)),
            ("max-age=\"3600\"", secs(3600)),
            ("max-age=003600", secs(3600)),
            ("max-age=1800, max-age=1", secs(1800)),
            ("max-age=1, max-age=1800", secs(1)),
            ("max-age=99999999999", secs(99_999_999_999)),
            ("max-age=99999999999999999999999", secs(u64::MAX)),
            ("max-age='3600'", secs(0)),
            ("max-age=3600.0", secs(0)),
            ("max-age=-1", secs(0)),
            ("max-age=a3600", secs(0)),
            ("max-age= 3600", secs(0)),
            ("max-age=", secs(0)),
            ("max-age", secs(0)),
            ("max-age =3600", None),
            ("extension=\"max-age=3600\", max-age=1", secs(1)),
            ("max-age=1, extension=\"max-age=3600\"", secs(1)),
            ("extension=\"max-age=3600, max-age=1", None),
        ] {
            assert_eq!(read(&[line]).max_age, expected, "{line}");
        }
    }

    #[test]
    fn listed_fields_are_not_the_whole_answer() {
        let said = read(&["no-cache=\"A, b\", private=c", "no-cache=\"d\""]);
        assert_eq!(said.no_cache, Extent::Fields(vec!["a".into(), "b".into(), "d".into()]));
        assert!(said.private.lists("c"));
        assert_eq!(read(&["no-cache=\"a\", no-cache"]).no_cache, Extent::Whole);
        assert_eq!(read(&["no-cache, no-cache=\"a\""]).no_cache, Extent::Whole);
        for nameless in
            ["private=", "private=\"\"", "private=\", \"", "private=\"a b\"", "private=\"a"]
        {
            assert_eq!(read(&[nameless]).private, Extent::Whole, "{nameless}");
        }
    }

    #[test]
    fn wishes_are_read_and_pragma_counts_only_alone() {
        let wishes = |fields: &[(&str, &str)]| Wishes::read(fields);
        let said = wishes(&[("Cache-Control", "max-age=1, max-stale, min-fresh=2, no-cache")]);
        assert_eq!((said.max_age, said.min_fresh), (secs(1), secs(2)));
        assert_eq!(said.max_stale, Some(Duration::MAX));
        assert!(said.no_cache && !said.no_store);
        assert_eq!(wishes(&[("Cache-Control", "max-stale=9")]).max_stale, secs(9));
        assert!(wishes(&[("Cache-Control", "Only-If-Cached")]).only_if_cached);
        assert!(wishes(&[("Pragma", "No-Cache")]).no_cache);
        assert!(wishes(&[("Pragma", "other, no-cache")]).no_cache);
        assert!(!wishes(&[("Pragma", "other")]).no_cache);
        assert!(!wishes(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=9")]).no_cache);
    }
}
