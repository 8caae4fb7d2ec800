//! Under which key an answer is stored: the address, and who asked.
//!
//! Every part tells its length, so that nothing inside a value can make two addresses look alike.
//! Credentials enter as a keyed digest: a key says nothing about them.

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use spillgate_actors::core::cache::vary::CREDENTIALS;
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
        if self.identity == Identity::Shared {
            return None;
        }
        let said = headers.iter().filter(|(name, value)| is_credential(name, value));
        let mut said: Vec<(&HeaderName, &HeaderValue)> = said.collect();
        if said.is_empty() {
            return None;
        }
        // The lines of one field stay in order.
        said.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        for (name, value) in said {
            append(&mut hasher, name.as_str().as_bytes());
            append(&mut hasher, value.as_bytes());
        }
        Some(*hasher.finalize().as_bytes())
    }
}

/// Whether a request says who asks in more than a cookie, which many requests carry for no reason.
pub(super) fn names_user_beside_cookie(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| *name != COOKIE && is_credential(name, value))
}

/// Whether a field says who asks: by its name, or because whoever set it called it a secret.
fn is_credential(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || CREDENTIALS.contains(&name.as_str())
}

/// Whose an answer is, as a keyed digest; `None` for nobody in particular.
pub type Owner = Option<[u8; 32]>;

fn append(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

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
            &[("api-key", "a")],
            &[("private-token", "a")],
        ] {
            let owner = owner(Identity::ByCredentials, fields);
            assert!(!seen.contains(&owner), "{fields:?}");
            seen.push(owner);
        }
        assert_eq!(owner(Identity::ByCredentials, &[("accept", "a")]), None);
        assert_eq!(owner(Identity::Shared, &[("cookie", "a")]), None);
        let turned = [("x-api-key", "k"), ("cookie", "c")];
        let there = owner(Identity::ByCredentials, &turned);
        let back = owner(Identity::ByCredentials, &[turned[1], turned[0]]);
        assert!(there.is_some() && there == back);
    }

    #[test]
    fn what_is_called_a_secret_says_who_asks() {
        let owner = |text: &str, is_secret: bool| {
            let mut value: HeaderValue = text.parse().unwrap();
            value.set_sensitive(is_secret);
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-mine"), value)]);
            assert_eq!(names_user_beside_cookie(&headers), is_secret);
            Keys::new([7; 32], Identity::ByCredentials).owner(&headers)
        };
        assert_eq!(owner("a", false), None);
        assert!(owner("a", true).is_some() && owner("a", true) != owner("b", true));
    }
}
