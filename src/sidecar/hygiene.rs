//! What passes from one hop to the next, and what does not (RFC 9110 section 7.6).

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, VIA};
use http::{Uri, Version};
use spillgate_actors::core::cache::updating::is_hop_by_hop;
use url::Url;

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
    let hop: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    for name in hop {
        headers.remove(name);
    }
}

/// Makes the head of a request ready for the next hop.
pub(super) fn prepare(headers: &mut HeaderMap, version: Version) {
    strip(headers);
    for name in [HOST, TE, TRAILER, HeaderName::from_static("expect")] {
        headers.remove(name);
    }
    append_via(headers, version);
}

/// Says that a message came this way.
pub(super) fn append_via(headers: &mut HeaderMap, version: Version) {
    let protocol = match version {
        Version::HTTP_10 => "1.0 spillgate",
        Version::HTTP_2 => "2 spillgate",
        _ => "1.1 spillgate",
    };
    headers.append(VIA, HeaderValue::from_static(protocol));
}

/// Where a request of a reverse listener goes.
pub(super) fn target(upstream: &Url, uri: &Uri) -> Url {
    let mut url = upstream.clone();
    let prefix = upstream.path().trim_end_matches('/');
    url.set_path(&format!("{prefix}{}", uri.path()));
    url.set_query(uri.query());
    url
}
