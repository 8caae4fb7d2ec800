//! The key by which calls share a flight: a keyed digest over the whole request; and of callers.
//!
//! Every field is length-prefixed, so that no delimiter inside a value can make two requests look
//! alike, and every header counts, credentials included: requests that differ in who asks never
//! share. So does what a caller wishes of its attempts: who asked for one try of a second is not
//! served by four of ten, nor the other way round. The digest is keyed with a secret of this process, so it says nothing about its input.

use http::Method;
use http::header::{HeaderMap, HeaderName};
use spillgate_core::call::{CallerKey, FlightKey};
use url::Url;

/// Makes the keys of one client.
#[derive(Clone)]
pub(crate) struct FlightKeys {
    secret: [u8; 32],
}

impl FlightKeys {
    /// Keys under a fresh secret from the operating system.
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        let (left, right) = secret.split_at_mut(16);
        left.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        right.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        Self { secret }
    }

    /// The key of a request that is to be treated in this manner; `None` for what must not be
    /// shared.
    pub(crate) fn key(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        (body, manner): (&[u8], &[u8]),
    ) -> Option<FlightKey> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(method.as_str().as_bytes());
        field(url.as_str().as_bytes());
        let mut names: Vec<&HeaderName> =
            headers.keys().filter(|name| !TRACE_HEADERS.contains(&name.as_str())).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        for name in names {
            for value in headers.get_all(name) {
                field(name.as_str().as_bytes());
                field(value.as_bytes());
            }
        }
        field(body);
        field(manner);
        Some(FlightKey(*hasher.finalize().as_bytes()))
    }

    /// The key of a caller's name, from which the name cannot be found again.
    pub(crate) fn caller(&self, name: &str) -> CallerKey {
        let digest = blake3::keyed_hash(&self.secret, name.as_bytes());
        let first = digest.as_bytes().first_chunk().copied();
        CallerKey(first.map_or(0, u64::from_le_bytes))
    }
}

/// Headers that differ from call to call and say nothing about the answer.
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_is_known_again_by_its_client_alone() {
        let keys = FlightKeys::new();
        assert_eq!(keys.caller("tenant-7"), keys.clone().caller("tenant-7"));
        assert_ne!(keys.caller("tenant-7"), keys.caller("tenant-8"));
        assert_ne!(keys.caller("tenant-7"), FlightKeys::new().caller("tenant-7"));
        assert_ne!(keys.caller(""), CallerKey::default());
    }

    #[test]
    fn only_equal_safe_requests_of_one_identity_share() {
        let keys = FlightKeys::new();
        let key = |method: Method, url: &str, headers: &[(&'static str, &'static str)]| {
            let url = Url::parse(url).unwrap();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            keys.key(&method, &url, &map, (b"", b""))
        };
        let plain = key(Method::GET, "http://a/x", &[]);
        assert!(plain.is_some());
        assert_eq!(plain, key(Method::GET, "http://a/x", &[("traceparent", "00-1-2-01")]));
        assert_ne!(plain, key(Method::HEAD, "http://a/x", &[]));
        assert_ne!(plain, key(Method::GET, "http://a/x?", &[]));
        assert_ne!(plain, key(Method::GET, "http://a/x", &[("authorization", "a")]));
        assert_ne!(
            key(Method::GET, "http://a/x", &[("cookie", "a")]),
            key(Method::GET, "http://a/x", &[("cookie", "b")])
        );
        assert_ne!(
            key(Method::GET, "http://a/x", &[("accept", "a,b")]),
            key(Method::GET, "http://a/x", &[("accept", "a"), ("accept", "b")])
        );
        assert_eq!(
            key(Method::GET, "http://a/x", &[("accept", "a"), ("range", "b")]),
            key(Method::GET, "http://a/x", &[("range", "b"), ("accept", "a")])
        );
        assert_eq!(key(Method::POST, "http://a/x", &[]), None);
        let url = Url::parse("http://a/x").unwrap();
        let manner = |manner| keys.key(&Method::GET, &url, &HeaderMap::new(), (b"", manner));
        assert_eq!(manner(b""), plain);
        assert_ne!(manner(b"once"), plain);
    }
}
