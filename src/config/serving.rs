//! The `[[listener]]` section: where the sidecar listens, and for whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::value::{CollectorUrl, Scalar, Text};

/// Where the sidecar listens, and where its requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address.
    pub bind: SocketAddr,
    /// Where requests go.
    pub upstream: Url,
    /// How daring it is; `None` leaves it to the command.
    pub preset: Option<ServingPreset>,
    /// Certificate chain and key, as PEM files, if it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// How daring a sidecar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub enum ServingPreset {
    /// For services: credentials part users, cookies are not stored.
    #[default]
    Cautious,
    /// The letter of RFC 9111 for a shared cache, for the public suite.
    Conformance,
    /// A cache of a single user.
    Private,
}

impl ServingPreset {
    /// The name that a configuration uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cautious => "cautious",
            Self::Conformance => "conformance",
            Self::Private => "private",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ListenerShape {
    bind: Bind,
    upstream: CollectorUrl,
    #[serde(default)]
    preset: Option<ServingPreset>,
    #[serde(default)]
    tls: Option<ServerTlsShape>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct ServerTlsShape {
    cert: Text,
    key: Text,
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Bind(pub(super) SocketAddr);

impl ListenerShape {
    pub(super) fn settings(self) -> ListenerSettings {
        let tls = self.tls.map(|tls| (tls.cert.0.into(), tls.key.0.into()));
        let (bind, upstream) = (self.bind.0, self.upstream.0);
        ListenerSettings { bind, upstream, preset: self.preset, tls }
    }
}

impl TryFrom<Scalar> for Bind {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        const EXPECTED: &str = "an address such as \"127.0.0.1:9001\"";
        let refusal = || format!("{scalar} is no address to listen on, expected {EXPECTED}");
        let Scalar::Text(text) = &scalar else { return Err(refusal()) };
        text.parse().map(Self).map_err(|_| refusal())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn refused(text: &str) -> String {
        Config::from_toml(text, "test.toml").unwrap_err().to_string()
    }

    #[test]
    fn sections_are_read() {
        let text = "[[listener]]\nbind = \"127.0.0.1:9001\"\nupstream = \"https://a.example\"\n\
                    preset = \"private\"\ntls = { cert = \"c.pem\", key = \"k.pem\" }\n";
        let config = Config::from_toml(text, "test.toml").unwrap();
        let listener = &config.listeners[0];
        assert_eq!(listener.bind.port(), 9001);
        assert_eq!(listener.preset, Some(super::ServingPreset::Private));
        assert_eq!(listener.tls, Some(("c.pem".into(), "k.pem".into())));
    }

    #[test]
    fn what_cannot_work_is_shown_with_its_place() {
        let listener = |line: &str| format!("[[listener]]\nbind = \"127.0.0.1:1\"\n{line}\n");
        for (text, line, expected) in [
            ("[[listener]]\nbind = \"9001\"\n".to_owned(), "2", "is no address"),
            (listener("upstream = \"a\""), "3", "URL"),
            (listener("upstream = \"http://a\"\npresett = \"x\""), "4", "presett"),
        ] {
            let error = refused(&text);
            assert!(error.contains(&format!("test.toml:{line}:")), "{error}");
            assert!(error.contains(expected) && error.contains('^'), "{error}");
        }
    }
}
