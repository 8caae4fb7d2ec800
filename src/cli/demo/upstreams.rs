//! The stage of the demo: upstreams on this machine that fail on request, and what each is good at.

use std::io;
use std::time::{Duration, Instant};

use crate::testing::Drill;

/// What an upstream is like. With fewer upstreams than roles, one plays several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Answers quickly; many callers ask it for the same.
    Steady,
    /// Answers slowly and is flooded with background work.
    Slow,
    /// Fails now and then: 503, resets, bodies cut short.
    Flaky,
    /// Asks to be left alone now and then: 429 with `Retry-After`.
    Throttling,
    /// Goes down altogether every few seconds.
    Failing,
}

/// The running upstreams, all on one ledger.
pub(super) struct Upstreams {
    drill: Drill,
    hosts: Vec<Upstream>,
}

/// One upstream.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    /// Its name on the screen, such as `upstream-1`.
    pub(super) name: String,
    /// Its URL without a path, which is also how the client names it.
    pub(super) url: String,
    /// What it is like.
    pub(super) roles: Vec<Role>,
}

/// When the failing upstream is down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    began: Instant,
}

impl Role {
    /// All roles, in the order they are given to upstreams.
    pub(super) const ALL: [Self; 5] =
        [Self::Steady, Self::Slow, Self::Flaky, Self::Throttling, Self::Failing];

    /// The role in one word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slow => "slow",
            Self::Flaky => "flaky",
            Self::Throttling => "throttling",
            Self::Failing => "failing",
        }
    }
}

impl Upstreams {
    /// Starts that many upstreams, each on a free port.
    pub(super) fn start(hosts: usize, seed: u64) -> io::Result<Self> {
        let drill = Drill::builder()
            .hosts(hosts)
            .seed(seed)
            .script(THROTTLING)
            .log_max(REQUESTS_KEPT)
            .start()?;
        let played = Role::ALL.len().max(hosts);
        let cast = |host: usize| {
            let parts = (0..played).filter(|part| part % hosts == host);
            parts.filter_map(|part| Role::ALL.get(part % Role::ALL.len()).copied()).collect()
        };
        let hosts = (0..hosts)
            .map(|host| Upstream {
                name: format!("upstream-{}", host + 1),
                url: drill.url_on(host, "/").trim_end_matches('/').to_owned(),
                roles: cast(host),
            })
            .collect();
        Ok(Self { drill, hosts })
    }

    /// The upstreams, in order.
    pub(super) fn hosts(&self) -> &[Upstream] {
        &self.hosts
    }

    /// The ledger's keeper.
    pub(super) fn drill(&self) -> &Drill {
        &self.drill
    }
}

impl Upstream {
    /// Its roles in words.
    pub(super) fn character(&self) -> String {
        let names: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
        if names.len() == Role::ALL.len() { "everything".to_owned() } else { names.join("+") }
    }
}

impl Weather {
    /// Fair weather from now until the first outage.
    pub(super) fn new(began: Instant) -> Self {
        Self { began }
    }

    /// Whether the failing upstream is down.
    pub(super) fn is_down(self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.began).as_millis();
        let in_cycle = elapsed % OUTAGE_EVERY.as_millis();
        (OUTAGE_FROM.as_millis()..OUTAGE_TO.as_millis()).contains(&in_cycle)
    }
}

/// One answer in 120 is a 429; the rest is well.
const THROTTLING: &str = r#"
[scenario.throttling]
loop = true
steps = [{ path = "/ok?bytes=256", times = 119 }, { path = "/status/429?retry_after=1" }]
"#;

/// Requests that the ledger keeps for the audit: half a minute's at full speed.
const REQUESTS_KEPT: usize = 50_000;

/// An outage is long enough for the first probe to fail and the second to find it over.
const OUTAGE_EVERY: Duration = Duration::from_secs(7);
const OUTAGE_FROM: Duration = Duration::from_millis(800);
const OUTAGE_TO: Duration = Duration::from_millis(2_300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_played_however_few_the_upstreams() {
        for hosts in [1, 2, 5, 7] {
            let upstreams = Upstreams::start(hosts, 0).unwrap();
            assert_eq!(upstreams.hosts().len(), hosts);
            let played: Vec<Role> =
                upstreams.hosts().iter().flat_map(|host| host.roles.clone()).collect();
            assert!(Role::ALL.iter().all(|role| played.contains(role)), "{played:?}");
            assert!(upstreams.hosts().iter().all(|host| !host.roles.is_empty()));
        }
    }

    #[test]
    fn outages_come_and_go() {
        let began = Instant::now();
        let is_down = |ms| Weather::new(began).is_down(began + Duration::from_millis(ms));
        assert!(!is_down(0) && is_down(1_000) && !is_down(2_500) && is_down(8_000));
    }
}
