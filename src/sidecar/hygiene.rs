//! What passes from one hop to the next, and what does not (RFC 9110 section 7.6).

use http::Version;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, VIA,
};
use http::request::Parts;
use spillgate_actors::core::cache::updating::is_hop_by_hop;

/// Removes what concerns one hop alone, and what `Connection` names as such.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    // The trailers are passed on, so what announces them is, too.
    let hop: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) && **name != TRAILER)
        .cloned()
        .collect();
    for name in hop {
        headers.remove(name);
    }
}

/// Makes the head of a request ready for the next hop.
pub(super) fn prepare(headers: &mut HeaderMap) {
    let trailers = headers.get_all(TE).iter().any(|line| has(line, "trailers"));
    strip(headers);
    // An expectation is met when the upstream takes the body, which lets the engine say so.
    for name in [HOST, EXPECT] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a list names something.
fn has(line: &HeaderValue, wanted: &str) -> bool {
    let mut parts = line.to_str().unwrap_or_default().split(',');
    parts.any(|part| part.trim().eq_ignore_ascii_case(wanted))
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It does not say in one way where it ends.
    Framing,
    /// It names no host, or two.
    Host,
    /// What came behind it can be neither a request nor wait for a tunnel.
    Early,
    /// It asks for a tunnel where there are none.
    Tunnel,
    /// It does not say which host it is for.
    Origin,
    /// What it is for is no address that can be asked.
    Target,
    /// It is for a host that may not be reached from here.
    Denied,
    /// It came this way before.
    Loop,
}

/// What is wrong with a request's head, of what the engine lets pass.
pub(super) fn flaw(parts: &Parts, name: &Pseudonym) -> Option<Flaw> {
    let headers = &parts.headers;
    let count = |name| headers.get_all(name).iter().count();
    // Over HTTP/1 it was refused before.
    if count(CONTENT_LENGTH) > 1 {
        return Some(Flaw::Framing);
    }
    let hosts = count(HOST);
    if hosts > 1 || hosts == 0 && parts.version == Version::HTTP_11 {
        return Some(Flaw::Host);
    }
    name.is_in(headers).then_some(Flaw::Loop)
}

/// What this proxy calls itself, so that it knows its own requests again.
pub(super) struct Pseudonym {
    name: String,
    /// What `Via` says of a message of each version: HTTP/1.0, HTTP/1.1 and HTTP/2.
    via: [Option<HeaderValue>; 3],
}

impl Pseudonym {
    /// A name of its own for each process.
    pub(super) fn fresh() -> Self {
        // Without chance the name is the kind's, and a chain of two counts as a loop.
        let chance = getrandom::u32().unwrap_or_default();
        let name = format!("spillgate-{chance:08x}");
        let via = ["1.0", "1.1", "2"]
            .map(|protocol| HeaderValue::try_from(format!("{protocol} {name}")).ok());
        Self { name, via }
    }

    /// Says that a message came this way.
    pub(super) fn append_via(&self, headers: &mut HeaderMap, version: Version) {
        let [via_10, via_11, via_2] = &self.via;
        let via = match version {
            Version::HTTP_10 => via_10,
            Version::HTTP_2 => via_2,
            _ => via_11,
        };
        if let Some(via) = via {
            headers.append(VIA, via.clone());
        }
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(VIA).into_iter().filter_map(|line| line.to_str().ok());
        lines
            .flat_map(|line| line.split(','))
            .any(|hop| hop.split_ascii_whitespace().nth(1).is_some_and(|name| name == self.name))
    }
}
