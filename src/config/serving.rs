//! The `[[listener]]` section: where the sidecar listens, and for whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::error::Problem;
use super::pattern::HostPattern;
use super::place::{Places, Scope};
use super::value::{CollectorUrl, HINT, Positive, Scalar, Span, Text};

/// Where the sidecar listens, and where its requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address.
    pub bind: SocketAddr,
    /// Where requests go.
    pub role: ListenerRole,
    /// What bounds its tunnels.
    pub tunnels: TunnelLimits,
    /// How daring it is; `None` leaves it to the command.
    pub preset: Option<ServingPreset>,
    /// Certificate chain and key, as PEM files, if it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// What a listener stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerRole {
    /// One upstream: scheme, host, port and a path that is put before that of each request.
    Reverse(Url),
    /// A forward proxy for the hosts of these patterns, and for no others.
    Forward(Vec<HostPattern>),
}

/// What bounds the tunnels of a listener: `CONNECT` and answered `Upgrade`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelLimits {
    /// How many may be open to one host at once.
    pub per_host: u32,
    /// How long one may carry nothing in either direction.
    pub idle: Duration,
}

impl Default for TunnelLimits {
    fn default() -> Self {
        Self { per_host: TUNNELS_MAX, idle: TUNNEL_IDLE_MAX }
    }
}

/// Tunnels to one host, as long as nobody says otherwise.
const TUNNELS_MAX: u32 = 1_024;
/// How long a tunnel may be idle, as long as nobody says otherwise.
const TUNNEL_IDLE_MAX: Duration = Duration::from_secs(600);

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
    #[serde(default)]
    mode: ListenerMode,
    #[serde(default)]
    upstream: Option<CollectorUrl>,
    #[serde(default)]
    allow: Option<Vec<AllowedHosts>>,
    #[serde(default)]
    tunnels: TunnelsShape,
    #[serde(default)]
    preset: Option<ServingPreset>,
    #[serde(default)]
    tls: Option<ServerTlsShape>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum ListenerMode {
    #[default]
    Reverse,
    Forward,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct TunnelsShape {
    per_host: Option<Positive>,
    idle: Option<Span>,
}

/// Hosts that a forward proxy serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Scalar")]
struct AllowedHosts(HostPattern);

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

/// Reads the sections; answers what cannot be meant.
pub(super) fn read(
    shapes: Vec<ListenerShape>,
    places: &Places,
) -> (Vec<ListenerSettings>, Vec<Problem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for (index, shape) in shapes.into_iter().enumerate() {
        match shape.settings() {
            Ok(read) => settings.push(read),
            Err((key, text)) => problems.push(places.told(&Scope::Listener(index), key, &text)),
        }
    }
    (settings, problems)
}

impl ListenerShape {
    /// The settings, or the key that is to blame and what is wrong with it.
    fn settings(self) -> Result<ListenerSettings, (&'static str, String)> {
        let role = self.role()?;
        let tls = self.tls.map(|tls| (tls.cert.0.into(), tls.key.0.into()));
        let TunnelLimits { per_host, idle } = TunnelLimits::default();
        let tunnels = TunnelLimits {
            per_host: self.tunnels.per_host.map_or(per_host, |count| count.0),
            idle: self.tunnels.idle.map_or(idle, |time| time.0),
        };
        Ok(ListenerSettings { bind: self.bind.0, role, tunnels, preset: self.preset, tls })
    }

    fn role(&self) -> Result<ListenerRole, (&'static str, String)> {
        let refusal = |key, text: &str| Err((key, text.to_owned()));
        match (self.mode, &self.upstream, self.allow.as_deref()) {
            (ListenerMode::Reverse, _, Some(_)) => refusal(
                "allow",
                &format!("only a forward listener has a list{HINT}add mode = \"forward\""),
            ),
            (ListenerMode::Reverse, Some(upstream), None) => {
                Ok(ListenerRole::Reverse(upstream.0.clone()))
            }
            (ListenerMode::Reverse, None, None) => refusal(
                "bind",
                &format!(
                    "nothing says where its requests go, expected upstream = \"https://api.example.com\"\
                     {HINT}a forward proxy is written mode = \"forward\", allow = [\"api.example.com\"]"
                ),
            ),
            (ListenerMode::Forward, Some(_), _) => refusal(
                "upstream",
                &format!(
                    "a forward listener has no upstream: its requests say where they go\
                     {HINT}name the hosts they may go to: allow = [\"api.example.com\"]"
                ),
            ),
            (ListenerMode::Forward, None, Some(allow @ [_, ..])) => {
                Ok(ListenerRole::Forward(allow.iter().map(|hosts| hosts.0.clone()).collect()))
            }
            (ListenerMode::Forward, None, list) => refusal(
                if list.is_some() { "allow" } else { "mode" },
                &format!(
                    "a forward listener that may reach no host, expected a list such as \
                     allow = [\"api.example.com\", \"*.example.org:8443\"]{HINT}\"*\" allows every host, \
                     those of this machine and its network included"
                ),
            ),
        }
    }
}

impl TryFrom<Scalar> for AllowedHosts {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let Scalar::Text(text) = &scalar else {
            return Err(format!("{scalar} is no host, expected a text such as \"*.example.com\""));
        };
        HostPattern::parse(text).map(Self)
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
    use std::time::Duration;

    use super::{ListenerRole, TunnelLimits};
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
        assert_eq!(listener.role, ListenerRole::Reverse("https://a.example".parse().unwrap()));
        assert_eq!(listener.tunnels, TunnelLimits::default());
        assert_eq!(listener.preset, Some(super::ServingPreset::Private));
        assert_eq!(listener.tls, Some(("c.pem".into(), "k.pem".into())));
    }

    #[test]
    fn forward_listener_names_the_hosts_that_it_serves() {
        let text = "[[listener]]\nbind = \"127.0.0.1:0\"\nmode = \"forward\"\n\
                    allow = [\"API.example.com.\", \"*.b\u{fc}cher.example:8443\"]\n\
                    tunnels = { per_host = 3, idle = \"5s\" }\n";
        let config = Config::from_toml(text, "test.toml").unwrap();
        let ListenerRole::Forward(allow) = &config.listeners[0].role else { panic!() };
        let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
        assert_eq!(allow, ["api.example.com", "*.xn--bcher-kva.example:8443"]);
        let tunnels = TunnelLimits { per_host: 3, idle: Duration::from_secs(5) };
        assert_eq!(config.listeners[0].tunnels, tunnels);
    }

    #[test]
    fn what_cannot_work_is_shown_with_its_place() {
        let listener = |line: &str| format!("[[listener]]\nbind = \"127.0.0.1:1\"\n{line}\n");
        for (text, line, expected) in [
            ("[[listener]]\nbind = \"9001\"\n".to_owned(), "2", "is no address"),
            (listener("upstream = \"a\""), "3", "URL"),
            (listener("upstream = \"http://a\"\npresett = \"x\""), "4", "presett"),
            (listener("mode = \"forward\""), "3", "may reach no host"),
            (listener("mode = \"forward\"\nallow = []"), "4", "hint: \"*\" allows"),
            (listener("mode = \"forward\"\nallow = [\"a\", \"http://b\"]"), "4", "no URL"),
            (listener("mode = \"forward\"\nallow = [1]"), "4", "is no host"),
            (
                listener("mode = \"forward\"\nallow = [\"a\"]\nupstream = \"http://a\""),
                "5",
                "no upstream",
            ),
            (listener("allow = [\"a\"]"), "3", "mode = \"forward\""),
            (listener("mode = \"froward\""), "3", "forward"),
            (listener("tunnels = { idel = \"1s\" }\nupstream = \"http://a\""), "3", "idle"),
            (listener(""), "2", "nothing says where"),
        ] {
            let error = refused(&text);
            assert!(error.contains(&format!("test.toml:{line}:")), "{error}");
            assert!(error.contains(expected) && error.contains('^'), "{error}");
        }
    }
}
