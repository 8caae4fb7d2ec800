//! What a cache is told about its duties: who shares it, and how far it may go beyond the letter.

use std::time::Duration;

/// The settings of the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Whether many users share the store.
    pub mode: Mode,
    /// Fields that, when they read well, replace `Cache-Control` and `Expires` (RFC 9213), in lower
    /// case and in order of precedence.
    pub targeted: Vec<String>,
    /// Which share of its age at the origin an answer without a lifetime is fresh for.
    pub heuristic_share: f64,
    /// The longest that such an answer is fresh.
    pub heuristic_max: Duration,
    /// What becomes of answers that set a cookie.
    pub set_cookie: SetCookie,
    /// How long an expired answer may stand in for an error if the answer does not say.
    pub stale_if_error: Duration,
    /// How long an answer that says that there is nothing is fresh for if it does not say.
    pub negative: Duration,
    /// How long an expired answer may be used while it is renewed if the answer does not say.
    pub stale_while_revalidate: Duration,
}

/// Who uses a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Many users: what is meant for one is not stored.
    #[default]
    Shared,
    /// A single user.
    Private,
    /// One user of many, each with a partition of its own: what is meant for one is stored for that
    /// one, but no cookie is.
    Partition,
}

/// What becomes of answers that set a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SetCookie {
    /// Stored like others, as RFC 9111 has it.
    Store,
    /// Stored only where a single user is served or the answer says `public`.
    #[default]
    Decline,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: Mode::Shared,
            targeted: Vec::new(),
            heuristic_share: 0.1,
            heuristic_max: Duration::from_secs(86_400),
            set_cookie: SetCookie::Decline,
            stale_if_error: Duration::from_secs(3_600),
            negative: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
        }
    }
}
