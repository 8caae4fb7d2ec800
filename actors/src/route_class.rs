//! The name of the route of a call that names none: what may get a breaker of its own.
//!
//! It is published, so it must be short of kinds and free of secrets: whatever in a path may be an
//! identifier is folded away, at the price of folding some names too.

use http::Method;
use spillgate_core::call::{HostKey, ScopeKey, Target};

use crate::registry::Registry;

/// Where a call goes that neither names its route nor shares a scope: its host's breaker, or that of
/// its route once it has one.
pub(crate) fn target(registry: &Registry, lane: HostKey, method: &Method, path: &str) -> Target {
    let class: ScopeKey = class_of(&lane, method, path).into();
    let scope = if registry.scope(&class).is_some() { class.clone() } else { lane.clone() };
    Target { keeper: lane.clone(), lane, scope, class: Some(class) }
}

/// The host, the method and the first segments of the path, such as
/// `https://api.example.com GET /v1/users/{id}`.
///
/// Made for each call: with room for most from the start, for one allocation.
fn class_of(lane: &str, method: &Method, path: &str) -> String {
    let mut name = String::with_capacity(lane.len() + 48);
    let method = if is_standard(method) { method.as_str() } else { "_OTHER" };
    for part in [lane, " ", method, " "] {
        name.push_str(part);
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty()).take(SEGMENTS_MAX);
    for segment in segments {
        name.push('/');
        name.push_str(if is_plain(segment) { segment } else { "{id}" });
    }
    if name.ends_with(' ') {
        name.push('/');
    }
    name
}

/// Whether a segment is a word or the version of an API, and no identifier.
fn is_plain(segment: &str) -> bool {
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_version = segment.strip_prefix('v').is_some_and(|digits| {
        (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_version || (segment.len() <= WORD_MAX && is_word(segment))
}

fn is_standard(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
            | Method::TRACE
            | Method::CONNECT
    )
}

/// Segments of a path that tell routes apart.
const SEGMENTS_MAX: usize = 3;
/// Longer words are taken for identifiers.
const WORD_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_folded_and_words_are_kept() {
        let check = |path, expected: &str| {
            assert_eq!(class_of("a", &Method::GET, path), format!("a {expected}"), "{path}");
        };
        check("/", "GET /");
        check("", "GET /");
        check("/v1/users/42", "GET /v1/users/{id}");
        check("/v1/users/42/orders/7", "GET /v1/users/{id}");
        check("//users//all/", "GET /users/all");
        check("/users/0b1c2d3e-aaaa-bbbb-cccc-000000000000", "GET /users/{id}");
        check("/users/deadbeef", "GET /users/deadbeef");
        check("/users/deadbeef0", "GET /users/{id}");
        check("/files/Secret", "GET /files/{id}");
        check("/files/a.txt", "GET /files/{id}");
        check("/files/%41", "GET /files/{id}");
        check("/reset/abcdefghijklmnopqrstuvwxyz", "GET /reset/{id}");
        check("/v100/v/vx", "GET /{id}/v/vx");
        check("/straße", "GET /{id}");
    }

    #[test]
    fn unknown_methods_are_one() {
        let method = Method::from_bytes(b"S3CRET").expect("a token");
        assert_eq!(class_of("a", &method, "/a"), "a _OTHER /a");
        assert_eq!(class_of("a", &Method::POST, "/a"), "a POST /a");
    }

    #[test]
    fn route_has_its_hosts_breaker_until_its_own_is_published() {
        use spillgate_core::breaker::Stance;
        use spillgate_core::event::BreakerState;

        let (registry, lane) = (Registry::new(), HostKey::from("http://a:80"));
        let of = || target(&registry, lane.clone(), &Method::GET, "/x/1?");
        assert_eq!(of().scope, lane);
        let class = of().class.expect("it has one");
        assert_eq!(&*class, "http://a:80 GET /x/{id}");
        registry.publish(&class, &lane, BreakerState::Closed, Stance::Admitting);
        assert_eq!(of().scope, class);
        registry.drop_scope(&class);
        assert_eq!(of().scope, lane);
    }
}
