//! Names of hosts, and patterns over them.
//!
//! The only wildcard is `*`. That is enough for names, keeps the brackets of IPv6 literals plain,
//! and makes "do these two patterns overlap" a question with a short exact answer.

use std::cmp::Reverse;
use std::fmt;

use url::{Host, Url};

/// An upstream: scheme, name and port, spelled in the one way that compares equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName {
    scheme: String,
    name: String,
    port: u16,
}

/// A pattern over hosts: a name with `*` for any characters, and one port or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: String,
    port: Option<u16>,
}

/// How narrow a host pattern is; the greater wins.
///
/// A plain name beats a wildcard, more letters beat fewer, fewer wildcards beat more, and a port
/// decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostRank {
    plain: bool,
    letters: usize,
    wildcards: Reverse<usize>,
    port: bool,
}

impl HostName {
    /// Spells a host in lower case, without trailing dot.
    pub fn new(scheme: &str, name: &str, port: u16) -> Self {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Self { scheme: scheme.to_ascii_lowercase(), name, port }
    }

    /// The host of a URL; `None` if it has none, or no port that is known.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self::new(url.scheme(), url.host_str()?, url.port_or_known_default()?))
    }

    /// The scheme, such as `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The name, in brackets if it is an IPv6 address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, also where the scheme implies it.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl HostPattern {
    /// Reads `name` or `name:port`; the text says what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "a host name such as `api.example.com`, `*.example.com` or \
                                `localhost:8080`";
        if text.contains("://") || text.contains('/') {
            return Err(format!("a host pattern is no URL, expected {EXPECTED}"));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') && !name.ends_with(':') => {
                let known = port.parse::<u16>().ok().filter(|port| *port > 0);
                (name, Some(known.ok_or(format!("bad port in host pattern, expected {EXPECTED}"))?))
            }
            Some(_) | None => (text, None),
        };
        match normal(name) {
            Some(name) => Ok(Self { name, port }),
            None => Err(format!("bad host pattern, expected {EXPECTED}")),
        }
    }

    /// Whether the pattern matches `host`.
    pub fn matches(&self, host: &HostName) -> bool {
        self.port.is_none_or(|port| port == host.port) && glob_matches(&self.name, &host.name)
    }

    /// A host that the pattern matches.
    pub(super) fn example(&self) -> HostName {
        HostName::new("https", &self.name.replace('*', "any"), self.port.unwrap_or(443))
    }

    /// Whether some host is matched by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ports = match (self.port, other.port) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => true,
        };
        ports && globs_overlap(&self.name, &other.name)
    }

    pub(super) fn rank(&self) -> HostRank {
        let wildcards = self.name.matches('*').count();
        HostRank {
            plain: wildcards == 0,
            letters: self.name.len() - wildcards,
            wildcards: Reverse(wildcards),
            port: self.port.is_some(),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.name, self.port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The name as hosts are spelled: lower case, ASCII, no trailing dot, `**` as `*`.
fn normal(name: &str) -> Option<String> {
    let mut name = name.strip_suffix('.').unwrap_or(name).to_owned();
    while name.contains("**") {
        name = name.replace("**", "*");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '-' | '.' | '_');
    if name.contains('*') && name.chars().all(plain) {
        return Some(name.to_ascii_lowercase()).filter(|name| !name.contains(".."));
    }
    let host = Host::parse(&name).ok()?.to_string();
    (!host.is_empty() && !host.contains("..") && !host.contains('%')).then_some(host)
}

fn glob_matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    let Some(mut inner) = inner else { return false };
    for part in middle.split('*') {
        let Some((_, after)) = inner.split_once(part) else { return false };
        inner = after;
    }
    true
}

/// Two wildcards overlap exactly if their fixed ends agree: what is between can always be placed.
fn globs_overlap(one: &str, two: &str) -> bool {
    let (Some((head, _)), Some((_, tail))) = (one.split_once('*'), one.rsplit_once('*')) else {
        return glob_matches(two, one);
    };
    let (Some((other_head, _)), Some((_, other_tail))) =
        (two.split_once('*'), two.rsplit_once('*'))
    else {
        return glob_matches(one, two);
    };
    (head.starts_with(other_head) || other_head.starts_with(head))
        && (tail.ends_with(other_tail) || other_tail.ends_with(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_any_port_and_ports_narrow() {
        let host = HostName::new("HTTPS", "API.Example.com.", 8443);
        assert_eq!(host.to_string(), "https://api.example.com:8443");
        let cases = [
            ("api.example.com", true),
            ("API.EXAMPLE.COM.", true),
            ("api.example.com:8443", true),
            ("api.example.com:443", false),
            ("*.example.com", true),
            ("*.com:8443", true),
            ("*", true),
            ("a*e*m", true),
            ("a*z*m", false),
            ("*.api.example.com", false),
            ("example.com", false),
        ];
        for (pattern, matches) in cases {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(&host), matches, "{pattern}");
        }
    }

    #[test]
    fn literals_and_foreign_names_are_spelled_as_urls_spell_them() {
        for (pattern, url) in [
            ("bücher.example", "https://bücher.example/"),
            ("*.bücher.example", "https://a.bücher.example/"),
            ("[::1]:8080", "http://[0:0::1]:8080/"),
            ("[::1]", "http://[::1]/"),
            ("127.1", "http://127.0.0.1/"),
            ("10.0.*", "http://10.0.3.4/"),
        ] {
            let host = HostName::of(&Url::parse(url).unwrap()).unwrap();
            assert!(HostPattern::parse(pattern).unwrap().matches(&host), "{pattern} {host}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "https://a", "a/b", "a:0", "a:x", "a:99999", "a b", "a[b", "a..b", "u:p@a"]
        {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_beats_wildcard_letters_beat_ports() {
        let rank = |text| HostPattern::parse(text).unwrap().rank();
        assert!(rank("api.example.com") > rank("*.example.com:8443"));
        assert!(rank("*.example.com") > rank("*.com:8443"));
        assert!(rank("*.example.com:1") > rank("*.example.com"));
        assert!(rank("a*b") > rank("a*b*"));
        assert_eq!(rank("a*"), rank("*a"));
    }

    #[test]
    fn overlap_is_exact() {
        let overlap = |one: &str, two: &str| {
            let (one, two) = (HostPattern::parse(one).unwrap(), HostPattern::parse(two).unwrap());
            assert_eq!(one.overlaps(&two), two.overlaps(&one));
            one.overlaps(&two)
        };
        assert!(overlap("a*", "*a"));
        assert!(overlap("*.com", "api.com:1"));
        assert!(overlap("a*c", "ab*"));
        assert!(!overlap("*.a.com", "*.b.com"));
        assert!(!overlap("a:1", "a:2"));
        assert!(!overlap("a*", "b"));
    }
}
