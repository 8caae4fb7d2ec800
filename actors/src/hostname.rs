//! The name of a host: scheme, name and port, spelled in exactly one way.

use std::fmt::{self, Write as _};

use spillgate_core::call::HostKey;
use url::{Host, Url};

/// Scheme, name and port of an upstream.
///
/// Lower case, internationalised names in their ASCII form, no trailing dot, default ports folded:
/// one upstream is one actor, however its URL is spelled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The name or address; an IPv6 address in brackets.
    pub name: String,
    /// The port, also when it is the scheme's default.
    pub port: u16,
}

impl HostName {
    /// The host of a URL; `None` without a host or for another scheme than http and https.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = ["http", "https"].into_iter().find(|scheme| *scheme == url.scheme())?;
        let name = match url.host()? {
            Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => format!("[{address}]"),
        };
        if name.is_empty() {
            return None;
        }
        let port = url.port_or_known_default()?;
        Some(Self { scheme, name, port })
    }

    /// The host that a URL's text names, as [`HostName::of`] does.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(&Url::parse(text).ok()?)
    }

    /// The key of the host's lane and actor.
    pub fn key(&self) -> HostKey {
        let mut key =
            String::with_capacity(self.scheme.len() + self.name.len() + "://:65535".len());
        let _ = write!(key, "{self}");
        key.into()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, name, port } = self;
        let default = if *scheme == "https" { 443 } else { 80 };
        if *port == default {
            return write!(f, "{scheme}://{name}");
        }
        write!(f, "{scheme}://{name}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_one_key() {
        let check = |url: &str, key: &str| {
            let url = Url::parse(url).unwrap();
            assert_eq!(HostName::of(&url).map(|host| host.to_string()).as_deref(), Some(key));
        };
        check("https://API.Example.com/x", "https://api.example.com");
        check("https://api.example.com.:443/", "https://api.example.com");
        check("http://b\u{fc}cher.example/", "http://xn--bcher-kva.example");
        check("http://127.1:80/", "http://127.0.0.1");
        check("http://0x7f000001:8080/", "http://127.0.0.1:8080");
        check("http://[::1]:9/", "http://[::1]:9");
    }

    #[test]
    fn other_schemes_have_no_host_of_ours() {
        for url in ["ftp://a/", "file:///etc/passwd", "data:,x"] {
            assert_eq!(HostName::of(&Url::parse(url).unwrap()), None, "{url}");
        }
    }
}
