//! Who may ask the admin listener for what.
//!
//! A page in a browser can send requests to this machine. It cannot name it: a name that was made to
//! resolve to here is none of ours. It cannot read: no answer allows another origin to. And it cannot
//! change anything, for the browser says where the request comes from.

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Request, StatusCode};

/// What a request asks to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To know whether it is alive.
    Probe,
    /// To look at everything.
    Look,
    /// To change something.
    Change,
}

/// Decides who may.
pub(super) struct Guard {
    /// A digest, so that comparing tells nothing about the token.
    token: Option<blake3::Hash>,
    /// Whether others than this machine reach it.
    exposed: bool,
    hosts: Vec<String>,
}

/// Why a request may not.
pub(super) type Refused = (StatusCode, &'static str);

impl Guard {
    /// For a listener that others may reach, or not.
    pub(super) fn new(token: Option<&str>, exposed: bool, hosts: Vec<String>) -> Self {
        Self { token: token.map(|token| blake3::hash(token.as_bytes())), exposed, hosts }
    }

    /// Lets a request that came to `local` pass, or says why not.
    pub(super) fn check<B>(
        &self,
        access: Access,
        request: &Request<B>,
        local: SocketAddr,
    ) -> Result<(), Refused> {
        let headers = request.headers();
        let host = host_of(headers);
        let known = host.as_ref().filter(|host| self.knows(host, local));
        if access == Access::Probe {
            // A probe from outside names whatever address it was given.
            return if known.is_some() || self.exposed { Ok(()) } else { Err(UNKNOWN_HOST) };
        }
        match self.shown(headers) {
            Shown::Token => return Ok(()),
            Shown::WrongToken => return Err(NO_TOKEN),
            Shown::Nothing if self.exposed => return Err(NO_TOKEN),
            Shown::Nothing => {}
        }
        let Some(host) = known else { return Err(UNKNOWN_HOST) };
        if request.uri().authority().is_some_and(|named| named != host) {
            return Err(UNKNOWN_HOST);
        }
        if is_foreign(access, headers, host) {
            return Err(FOREIGN);
        }
        if access == Access::Change && !headers.contains_key(ORIGIN) && !is_loopback(host) {
            return Err(FOREIGN);
        }
        Ok(())
    }

    /// Whether a host is one of ours: a loopback name, the address that was connected to, or one that
    /// was listed.
    fn knows(&self, host: &Authority, local: SocketAddr) -> bool {
        let address = host.host().trim_start_matches('[').trim_end_matches(']');
        is_loopback(host)
            || address.parse().is_ok_and(|address: std::net::IpAddr| address == local.ip())
            || self.hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host.host()))
    }

    fn shown(&self, headers: &HeaderMap) -> Shown {
        let (Some(token), Some(line)) = (self.token, headers.get(AUTHORIZATION)) else {
            return Shown::Nothing;
        };
        let shown = line.as_bytes().split_at_checked(BEARER.len());
        match shown {
            Some((scheme, shown))
                if scheme.eq_ignore_ascii_case(BEARER) && blake3::hash(shown) == token =>
            {
                Shown::Token
            }
            Some(_) | None => Shown::WrongToken,
        }
    }
}

enum Shown {
    Nothing,
    Token,
    WrongToken,
}

/// Whether a page of another origin sent it.
fn is_foreign(access: Access, headers: &HeaderMap, host: &Authority) -> bool {
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        return origin != Some(host.as_str());
    }
    let site = headers.get(SITE).map(HeaderValue::as_bytes);
    let elsewhere = !matches!(site, None | Some(b"same-origin" | b"none"));
    let followed = headers.get(MODE).is_some_and(|mode| mode == "navigate");
    elsewhere && (access == Access::Change || !followed)
}

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut lines = headers.get_all(HOST).iter();
    let (host, None) = (lines.next()?, lines.next()) else { return None };
    host.to_str().ok()?.parse().ok()
}

fn is_loopback(host: &Authority) -> bool {
    LOOPBACK.iter().any(|name| host.host().eq_ignore_ascii_case(name))
}

const UNKNOWN_HOST: Refused = (StatusCode::FORBIDDEN, "expected a loopback name as host\n");
const FOREIGN: Refused = (StatusCode::FORBIDDEN, "the request comes from another origin\n");
const NO_TOKEN: Refused = (StatusCode::UNAUTHORIZED, "expected the token\n");
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
const BEARER: &[u8] = b"Bearer ";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, access: Access, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let local = "127.0.0.1:9100".parse().unwrap();
        match guard.check(access, &request.body(()).unwrap(), local) {
            Ok(()) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    #[test]
    fn pages_of_others_neither_look_nor_change() {
        const HERE: (&str, &str) = ("host", "localhost:9100");
        let guard = Guard::new(None, false, vec!["admin.example".to_owned()]);
        for (fields, look, change) in [
            (&[HERE][..], 200, 200),
            (&[], 403, 403),
            (&[HERE, HERE], 403, 403),
            (&[("host", "evil.example")], 403, 403),
            (&[("host", "localhost.evil.example")], 403, 403),
            (&[("host", "[::1]:9100")], 200, 200),
            (&[("host", "127.0.0.1")], 200, 200),
            (&[("host", "ADMIN.example")], 200, 403),
            (&[("host", "admin.example"), ("origin", "http://admin.example")], 200, 200),
            (&[HERE, ("origin", "http://localhost:9100")], 200, 200),
            (&[HERE, ("origin", "http://localhost:9101")], 403, 403),
            (&[HERE, ("origin", "https://localhost:9100")], 403, 403),
            (&[HERE, ("origin", "null")], 403, 403),
            (&[HERE, ("origin", "http://evil.example")], 403, 403),
            (&[HERE, ("sec-fetch-site", "cross-site")], 403, 403),
            (&[HERE, ("sec-fetch-site", "same-site")], 403, 403),
            (&[HERE, ("sec-fetch-site", "none")], 200, 200),
            (&[HERE, ("sec-fetch-site", "same-origin")], 200, 200),
            (&[HERE, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 200, 403),
        ] {
            assert_eq!(check(&guard, Access::Look, fields), look, "{fields:?}");
            assert_eq!(check(&guard, Access::Change, fields), change, "{fields:?}");
        }
    }

    #[test]
    fn who_is_reached_from_outside_wants_the_token() {
        const TOKEN: (&str, &str) = ("authorization", "bearer secret");
        let guard = Guard::new(Some("secret"), true, Vec::new());
        for (fields, probe, look) in [
            (&[("host", "10.0.0.9:9100")][..], 200, 401),
            (&[("host", "localhost")], 200, 401),
            (&[("host", "10.0.0.9"), TOKEN], 200, 200),
            (&[TOKEN], 200, 200),
            (&[("authorization", "Bearer secrets")], 200, 401),
            (&[("authorization", "Bearer secre")], 200, 401),
            (&[("authorization", "Basic secret")], 200, 401),
            (&[("authorization", "secret")], 200, 401),
        ] {
            assert_eq!(check(&guard, Access::Probe, fields), probe, "{fields:?}");
            assert_eq!(check(&guard, Access::Look, fields), look, "{fields:?}");
            assert_eq!(check(&guard, Access::Change, fields), look, "{fields:?}");
        }
    }

    #[test]
    fn on_loopback_a_wrong_token_is_worse_than_none() {
        let guard = Guard::new(Some("secret"), false, Vec::new());
        let host = ("host", "localhost");
        assert_eq!(check(&guard, Access::Change, &[host]), 200);
        assert_eq!(check(&guard, Access::Change, &[host, ("authorization", "Bearer x")]), 401);
        assert_eq!(check(&guard, Access::Probe, &[("host", "evil.example")]), 403);
    }
}
