//! The fields behind the bodies of one request, on their way from one side to the other.
//!
//! A transport and an answer meet here: what one side has read last, the other asks for when it has
//! passed on all that came before. An answer that is stored or that several read has none.

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::HeaderName;
use spillgate_actors::core::cache::updating::is_hop_by_hop;
use spillgate_actors::transport::Trailers;

/// What came behind both bodies.
#[derive(Default)]
pub(super) struct Behind {
    request: Slot,
    answer: Slot,
}

type Slot = Mutex<Option<HeaderMap>>;

impl Behind {
    /// Leaves what came behind the request's body.
    pub(super) fn leave(&self, fields: HeaderMap) {
        put(&self.request, Some(fields));
    }

    /// Takes what came behind the answer's body.
    pub(super) fn take(&self) -> Option<HeaderMap> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Trailers for Behind {
    fn of_request(&self) -> Option<HeaderMap> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of_answer(&self, fields: Option<HeaderMap>) {
        put(&self.answer, fields);
    }
}

fn put(slot: &Slot, fields: Option<HeaderMap>) {
    let fields = fields.map(allowed).filter(|fields| !fields.is_empty());
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = fields;
}

/// Of some fields those that may stand behind a body (RFC 9110 section 6.5.1): whoever merges them
/// into the head must not be told another length, recipient, identity or treatment.
fn allowed(mut fields: HeaderMap) -> HeaderMap {
    let refused: Vec<HeaderName> =
        fields.keys().filter(|name| !is_allowed(name.as_str())).cloned().collect();
    for name in refused {
        fields.remove(name);
    }
    fields
}

fn is_allowed(name: &str) -> bool {
    let known = is_hop_by_hop(name) || REFUSED.contains(&name);
    !known && !REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const REFUSED_PREFIXES: [&str; 5] = ["content-", "if-", "proxy-", "access-control-", "sec-"];
const REFUSED: [&str; 28] = [
    "age",
    "allow",
    "authentication-info",
    "authorization",
    "cache-control",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "idempotency-key",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_a_message_is_left_out_both_ways() {
        let fields = |names: &[&'static str]| -> HeaderMap {
            let lines = names.iter().map(|name| (HeaderName::from_static(name), "1"));
            lines.map(|(name, value)| (name, value.parse().unwrap())).collect()
        };
        let refused =
            ["content-length", "transfer-encoding", "host", "authorization", "set-cookie"];
        let kept = ["grpc-status", "server-timing", "digest", "etag", "x-sum"];
        let behind = Behind::default();
        behind.leave(fields(&[refused, kept].concat()));
        behind.of_answer(Some(fields(&[refused, kept].concat())));
        assert_eq!(behind.of_request(), Some(fields(&kept)));
        assert_eq!(behind.take(), Some(fields(&kept)));
        assert_eq!(behind.take(), None, "once");
        behind.leave(fields(&refused));
        assert_eq!(behind.of_request(), None);
        behind.of_answer(Some(fields(&kept)));
        behind.of_answer(None);
        assert_eq!(behind.take(), None, "of an attempt whose answer was not the last");
    }
}
