//! Under which key an answer is stored: the address, and who asked.
//!
//! Every part tells its length, so that nothing inside a value can make two addresses look alike.
//! Credentials enter as a keyed digest: a key says nothing about them.

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, PROXY_AUTHORIZATION};
use url::Url;

/// How requests with credentials are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Identity {
    /// Each set of credentials has answers of its own, whatever these say of sharing.
    #[default]
    ByCredentials,
    /// The same, but for answers that say that all may have them; those to requests without
    /// credentials are for requests with a cookie, too.
    UnlessShared,
    /// One table for all; what may be shared is left to the rules alone.
    Shared,
}

/// Makes the keys of one cache.
#[derive(Clone)]
pub(super) struct Keys {
    secret: [u8; 32],
    identity: Identity,
}

impl Keys {
    pub(super) fn new(secret: [u8; 32], identity: Identity) -> Self {
        Self { secret, identity }
    }

    /// The key of an address, for what is stored under one regime.
    pub(super) fn address(&self, url: &Url, regime: u8) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        let mut part = |bytes: &[u8]| append(&mut hasher, bytes);
        // The parser has folded case, dots and default ports.
        part(url.scheme().as_bytes());
        part(url.host_str().unwrap_or_default().as_bytes());
        part(&url.port_or_known_default().unwrap_or_default().to_le_bytes());
        part(url.path().as_bytes());
        part(url.query().unwrap_or_default().as_bytes());
        part(&[u8::from(url.query().is_some())]);
        // What nobody owns under one of these may be somebody's under another.
        part(&[self.identity as u8, regime]);
        *hasher.finalize().as_bytes()
    }

    /// Whose answers a request may have; `None` for those of nobody in particular.
    pub(super) fn owner(&self, headers: &HeaderMap) -> Owner {
        let anonymous = CREDENTIALS.iter().all(|name| !headers.contains_key(name));
        if self.identity == Identity::Shared || anonymous {
            return None;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        for name in &CREDENTIALS {
            for value in headers.get_all(name) {
                append(&mut hasher, name.as_str().as_bytes());
                append(&mut hasher, value.as_bytes());
            }
        }
        Some(*hasher.finalize().as_bytes())
    }
}

/// Whether a request says who asks in more than a cookie, which many requests carry for no reason.
pub(super) fn names_user_beside_cookie(headers: &HeaderMap) -> bool {
    CREDENTIALS.iter().any(|name| *name != COOKIE && headers.contains_key(name))
}

/// Whose an answer is, as a keyed digest; `None` for nobody in particular.
pub type Owner = Option<[u8; 32]>;

fn append(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The fields that say who asks.
const CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-auth-token"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> [u8; 32] {
        Keys::new([7; 32], Identity::ByCredentials).address(&Url::parse(url).unwrap(), 0)
    }

    fn owner(identity: Identity, fields: &[(&'static str, &'static str)]) -> Owner {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Keys::new([7; 32], identity).owner(&headers)
    }

    #[test]
    fn one_address_has_one_key_however_it_is_written() {
        let plain = address("http://a.example/x");
        assert_eq!(plain, address("HTTP://A.example:80/x#part"));
        for other in [
            "https://a.example/x",
            "http://a.example/x?",
            "http://a.example/X",
            "http://a.example:81/x",
        ] {
            assert_ne!(plain, address(other), "{other}");
        }
    }

    #[test]
    fn what_one_regime_stores_no_other_finds() {
        let url = Url::parse("http://a.example/x").unwrap();
        let mut seen = Vec::new();
        for identity in [Identity::ByCredentials, Identity::UnlessShared, Identity::Shared] {
            for regime in crate::cache::regime::REGIMES {
                let key = Keys::new([7; 32], identity).address(&url, regime);
                assert!(!seen.contains(&key), "{identity:?} {regime}");
                seen.push(key);
            }
        }
    }

    #[test]
    fn credentials_part_and_delimiters_do_not_join() {
        let mut seen = vec![None];
        for fields in [
            &[("authorization", "a")][..],
            &[("authorization", "b")],
            &[("cookie", "a")],
            &[("cookie", "a"), ("cookie", "b")],
            &[("cookie", "a; b")],
            &[("cookie", "ab")],
            &[("x-api-key", "a")],
        ] {
            let owner = owner(Identity::ByCredentials, fields);
            assert!(!seen.contains(&owner), "{fields:?}");
            seen.push(owner);
        }
        assert_eq!(owner(Identity::ByCredentials, &[("accept", "a")]), None);
        assert_eq!(owner(Identity::Shared, &[("cookie", "a")]), None);
    }
}
