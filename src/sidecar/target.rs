//! Where a request goes: to the one upstream of a reverse listener, or to the host that it names
//! itself, if a forward listener may reach that.

use http::request::Parts;
use http::{Method, Uri};
use url::Url;

use crate::config::pattern::HostName;
use crate::config::serving::{ListenerRole, TunnelLimits};
use crate::sidecar::hygiene::Flaw;
use crate::sidecar::manner::Repeats;

/// What a listener does with the requests that come to it.
#[derive(Clone)]
pub(super) struct Duty {
    pub(super) role: ListenerRole,
    pub(super) repeats: Repeats,
    pub(super) tunnels: TunnelLimits,
}

/// What a request wants.
pub(super) enum Target {
    /// An answer from there.
    Answer(Url),
    /// A tunnel to the host and port of this address.
    Tunnel(Url),
}

/// What a request wants of a listener, or why it does not get it.
pub(super) fn of(role: &ListenerRole, parts: &Parts) -> Result<Target, Flaw> {
    let is_connect = parts.method == Method::CONNECT;
    match role {
        ListenerRole::Reverse(_) if is_connect => Err(Flaw::Tunnel),
        ListenerRole::Reverse(upstream) => Ok(Target::Answer(below(upstream, &parts.uri))),
        ListenerRole::Forward(allow) => {
            let url = if is_connect { authority(&parts.uri) } else { absolute(&parts.uri) }?;
            let host = HostName::of(&url).ok_or(Flaw::Target)?;
            if !allow.iter().any(|pattern| pattern.matches(&host)) {
                return Err(Flaw::Denied);
            }
            Ok(if is_connect { Target::Tunnel(url) } else { Target::Answer(url) })
        }
    }
}

/// Where a request of a reverse listener goes.
fn below(upstream: &Url, uri: &Uri) -> Url {
    let mut url = upstream.clone();
    let prefix = upstream.path().trim_end_matches('/');
    url.set_path(&format!("{prefix}{}", uri.path()));
    url.set_query(uri.query());
    url
}

/// The address that a request names whole (RFC 9112 section 3.2.2).
fn absolute(uri: &Uri) -> Result<Url, Flaw> {
    let (Some("http" | "https"), Some(_)) = (uri.scheme_str(), uri.authority()) else {
        return Err(if uri.scheme().is_some() { Flaw::Target } else { Flaw::Origin });
    };
    named(uri, &uri.to_string())
}

/// The host and port that `CONNECT` names; the port is never implied (RFC 9110 section 9.3.6).
///
/// The scheme only says with whose requests the tunnel shares breaker and slots: with those over TLS,
/// as nearly all tunnels carry it, but on the port of plain HTTP.
fn authority(uri: &Uri) -> Result<Url, Flaw> {
    let known = (uri.scheme(), uri.path_and_query(), uri.authority(), uri.port_u16());
    let (None, None, Some(authority), Some(port @ 1..)) = known else { return Err(Flaw::Target) };
    let scheme = if port == PLAIN_PORT { "http" } else { "https" };
    named(uri, &format!("{scheme}://{authority}/"))
}

/// An address with its host spelled as all hosts are: what is judged is what is connected to.
fn named(uri: &Uri, text: &str) -> Result<Url, Flaw> {
    // A name before an `@` is easily taken for the host.
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(Flaw::Target);
    }
    let mut url = Url::parse(text).map_err(|_| Flaw::Target)?;
    let bare = url.host_str().and_then(|name| name.strip_suffix('.')).map(str::to_owned);
    if let Some(name) = bare {
        url.set_host(Some(&name)).map_err(|_| Flaw::Target)?;
    }
    Ok(url)
}

/// The port of HTTP in the clear.
const PLAIN_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::config::pattern::HostPattern;

    fn forward(method: &str, uri: &str) -> Result<String, Flaw> {
        let allow =
            ["api.example", "*.ok.example:8080", "127.0.0.1", "[::1]:9", "xn--bcher-kva.de"];
        let allow = allow.map(|pattern| HostPattern::parse(pattern).unwrap());
        let (parts, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        of(&ListenerRole::Forward(allow.to_vec()), &parts).map(|target| match target {
            Target::Answer(url) => url.to_string(),
            Target::Tunnel(url) => format!("tunnel {url}"),
        })
    }

    #[test]
    fn hosts_are_judged_as_they_are_connected_to() {
        for (uri, expected) in [
            ("http://API.Example.:80/a?b#c", Ok("http://api.example/a?b")),
            ("http://api.example:8443/", Ok("http://api.example:8443/")),
            ("https://api.example", Ok("https://api.example/")),
            ("http://a.ok.example:8080/", Ok("http://a.ok.example:8080/")),
            ("http://a.ok.example/", Err(Flaw::Denied)),
            ("http://0x7f000001/", Ok("http://127.0.0.1/")),
            ("http://[0:0::1]:9/", Ok("http://[::1]:9/")),
            ("http://evil.example/", Err(Flaw::Denied)),
            ("http://api.example.evil.example/", Err(Flaw::Denied)),
            ("http://api.example@evil.example/", Err(Flaw::Target)),
            ("http://user:secret@api.example/", Err(Flaw::Target)),
            ("ftp://api.example/", Err(Flaw::Target)),
            ("/a", Err(Flaw::Origin)),
            ("*", Err(Flaw::Origin)),
        ] {
            assert_eq!(forward("GET", uri), expected.map(str::to_owned), "{uri}");
        }
    }

    #[test]
    fn tunnels_name_host_and_port_and_nothing_else() {
        for (uri, expected) in [
            ("API.example.:443", Ok("tunnel https://api.example/")),
            ("api.example:80", Ok("tunnel http://api.example/")),
            ("api.example:8443", Ok("tunnel https://api.example:8443/")),
            ("[::1]:9", Ok("tunnel https://[::1]:9/")),
            ("api.example", Err(Flaw::Target)),
            ("api.example:0", Err(Flaw::Target)),
            ("user@api.example:443", Err(Flaw::Target)),
            ("http://api.example:443/", Err(Flaw::Target)),
            ("/a", Err(Flaw::Target)),
            ("evil.example:443", Err(Flaw::Denied)),
            ("a.ok.example:443", Err(Flaw::Denied)),
        ] {
            assert_eq!(forward("CONNECT", uri), expected.map(str::to_owned), "{uri}");
        }
    }
}
