//! The `[admin]` section: where the sidecar tells how it is, and to whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::error::Problem;
use super::place::Places;
use super::serving::Bind;
use super::source::Step;
use super::value::Text;

/// Where the sidecar tells how it is, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address.
    pub bind: SocketAddr,
    /// Whether others than this machine may reach it.
    pub expose: bool,
    /// The file that holds the token; whoever shows that may do everything.
    pub token_file: Option<PathBuf>,
    /// Names under which it may be asked, beside those of this machine.
    pub hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct AdminShape {
    bind: Option<Bind>,
    expose: bool,
    token_file: Option<Text>,
    hosts: Vec<Text>,
}

impl AdminShape {
    /// The settings, and what cannot be meant.
    pub(super) fn read(self, places: &Places) -> (Option<AdminSettings>, Option<Problem>) {
        let Self { bind, expose, token_file, hosts } = self;
        let Some(Bind(bind)) = bind else { return (None, None) };
        let token_file = token_file.map(|file| PathBuf::from(file.0));
        let hosts = hosts.into_iter().map(|host| host.0).collect();
        let settings = AdminSettings { bind, expose, token_file, hosts };
        let problem = settings.problem().map(|problem| match &places.source {
            Some(source) => source.problem_at(&[Step::Key("admin"), Step::Key("bind")], problem),
            None => Problem::of("admin", problem),
        });
        let expected = "a loopback address such as \"127.0.0.1:9100\", or both `expose = true` and \
                        `token_file`";
        (Some(settings), problem.map(|problem| problem.expected(expected)))
    }
}

impl AdminSettings {
    /// For this machine alone.
    pub fn at(bind: SocketAddr) -> Self {
        Self { bind, expose: false, token_file: None, hosts: Vec::new() }
    }

    fn problem(&self) -> Option<String> {
        if self.bind.ip().is_loopback() || (self.expose && self.token_file.is_some()) {
            return None;
        }
        Some(format!("{} can be reached from elsewhere", self.bind))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn who_can_be_reached_from_elsewhere_says_so_and_has_a_token() {
        const ELSEWHERE: &str = "[admin]\nbind = \"0.0.0.0:1\"\n";
        for (text, is_good) in [
            ("[admin]\nbind = \"[::1]:9100\"\n".to_owned(), true),
            (ELSEWHERE.to_owned(), false),
            (format!("{ELSEWHERE}expose = true\n"), false),
            (format!("{ELSEWHERE}token_file = \"t\"\n"), false),
            (format!("{ELSEWHERE}expose = true\ntoken_file = \"t\"\nhosts = [\"a\"]\n"), true),
        ] {
            match Config::from_toml(&text, "test.toml") {
                Ok(config) => {
                    assert!(is_good, "{text}");
                    let admin = config.admin.unwrap();
                    assert_eq!(admin.expose, admin.token_file.is_some());
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(!is_good, "{error}");
                    assert!(error.contains("test.toml:2:") && error.contains('^'), "{error}");
                    assert!(error.contains("loopback") && error.contains("expose"), "{error}");
                }
            }
        }
    }
}
