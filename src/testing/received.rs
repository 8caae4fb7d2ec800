//! One request as the drill received it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// A received request, kept in the [`Ledger`](super::ledger::Ledger)'s bounded log.
///
/// Bodies are kept as length and BLAKE3 hash. `Debug` shows neither header values nor the query,
/// since both may carry secrets.
#[derive(Clone)]
pub struct Received {
    number: u64,
    at: Instant,
    connection: u64,
    host: usize,
    peer: SocketAddr,
    version: Version,
    method: Method,
    path: Arc<str>,
    query: Option<Box<str>>,
    key: Option<Arc<str>>,
    headers: Box<[u8]>,
    body_len: u64,
    body_blake3: [u8; 32],
    outcome: Outcome,
}

/// How far the answer to a request got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The answer has not ended.
    InFlight,
    /// The last bytes of the answer, or the fault that ends it, were handed to the socket.
    Served,
    /// The client went away before that.
    Aborted,
}

/// Where and when a request came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) number: u64,
    pub(super) at: Instant,
    pub(super) connection: u64,
    pub(super) host: usize,
    pub(super) peer: SocketAddr,
}

impl Received {
    pub(super) fn new(
        arrival: Arrival,
        parts: &Parts,
        path: Arc<str>,
        key: Option<Arc<str>>,
    ) -> Self {
        Self {
            number: arrival.number,
            at: arrival.at,
            connection: arrival.connection,
            host: arrival.host,
            peer: arrival.peer,
            version: parts.version,
            method: parts.method.clone(),
            path,
            query: parts.uri.query().map(Box::from),
            key,
            headers: flatten(&parts.headers),
            body_len: 0,
            body_blake3: EMPTY_BLAKE3,
            outcome: Outcome::InFlight,
        }
    }

    pub(super) fn note_body(&mut self, len: u64, blake3: [u8; 32]) {
        self.body_len = len;
        self.body_blake3 = blake3;
    }

    pub(super) fn note_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let query = self.query.as_ref().map_or(0, |query| query.len());
        size_of::<Self>() + self.path.len() + query + self.headers.len()
    }

    /// Position in the order of arrival, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When its head had been parsed.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Number of the connection it came over, in order of acceptance, from 0.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Index of the listener it came to.
    pub fn host(&self) -> usize {
        self.host
    }

    /// The client's address and port.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The protocol's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as sent, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, as sent, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query, as sent.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }

    /// The key its hit was counted for.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// All header fields in the order received, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((std::str::from_utf8(name).ok()?, value.get(1..)?))
        })
    }

    /// The first value of a header, if it is text; `name` is case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Length of the body.
    pub fn body_len(&self) -> u64 {
        self.body_len
    }

    /// BLAKE3 hash of the body.
    pub fn body_blake3(&self) -> [u8; 32] {
        self.body_blake3
    }

    /// How far its answer got.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("number", &self.number)
            .field("connection", &self.connection)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers().map(|(name, _)| name).collect::<Vec<_>>())
            .field("body_len", &self.body_len)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// One allocation a request; the header map's values would keep whole read buffers alive.
fn flatten(headers: &HeaderMap) -> Box<[u8]> {
    let len = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum();
    let mut flat = Vec::with_capacity(len);
    for (name, value) in headers {
        flat.extend_from_slice(name.as_str().as_bytes());
        flat.push(b':');
        flat.extend_from_slice(value.as_bytes());
        flat.push(b'\n');
    }
    flat.into_boxed_slice()
}

/// BLAKE3 of no bytes, the most frequent body.
const EMPTY_BLAKE3: [u8; 32] = [
    0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49,
    0x9b, 0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_hash_is_blake3_of_nothing() {
        assert_eq!(EMPTY_BLAKE3, *blake3::hash(b"").as_bytes());
    }

    #[test]
    fn headers_survive_flattening_and_debug_hides_their_values() {
        let (parts, ()) = http::Request::get("http://h/ok?token=secret")
            .header("authorization", "Bearer a:b")
            .header("x-empty", "")
            .body(())
            .unwrap()
            .into_parts();
        let arrival = Arrival {
            number: 0,
            at: Instant::now(),
            connection: 0,
            host: 0,
            peer: ([127, 0, 0, 1], 9).into(),
        };
        let received = Received::new(arrival, &parts, "/ok".into(), None);
        assert_eq!(received.header("Authorization"), Some("Bearer a:b"));
        assert_eq!(received.header("x-empty"), Some(""));
        assert_eq!(received.header("x-absent"), None);
        assert_eq!(received.headers().count(), 2);
        assert_eq!(received.target(), "/ok?token=secret");
        let shown = format!("{received:?}");
        assert!(shown.contains("authorization"), "{shown}");
        assert!(!shown.contains("Bearer") && !shown.contains("secret"), "{shown}");
    }
}
