//! The configuration as the actors ask for it.

use http::Method;
use spillgate_actors::core::breaker::options::BreakerOptions;
use spillgate_actors::core::call::HedgeUse;
use spillgate_actors::core::policy::{HostPolicy, Limits};
use spillgate_actors::hostname::HostName;
use spillgate_actors::plan::{CallFacts, CallPlan, Coalesce, MethodRepeat, Plan};

use crate::config::Config;
use crate::config::pattern;
use crate::config::settings;

/// A configuration that answers the actors' questions.
#[derive(Debug)]
pub(crate) struct ConfigPlan(Config);

impl ConfigPlan {
    pub(crate) fn new(config: Config) -> Self {
        Self(config)
    }

    fn route(
        &self,
        name: &pattern::HostName,
        facts: &CallFacts<'_>,
    ) -> Option<(String, Option<BreakerOptions>)> {
        let CallFacts { method, path, route, .. } = *facts;
        let matched = self.0.matching_route(name, method, path, route)?;
        let of_route = self.0.policy(name, method, path, route).breaker;
        let differs = of_route != self.0.host_policy(name).breaker;
        Some((matched.to_owned(), differs.then_some(of_route)))
    }
}

impl Plan for ConfigPlan {
    fn limits(&self) -> Limits {
        self.0.limits
    }

    fn host(&self, host: &HostName) -> HostPolicy {
        self.0.host_policy(&named(host))
    }

    fn call(&self, facts: &CallFacts<'_>) -> CallPlan {
        let CallFacts { host, method, path, route } = *facts;
        let name = named(host);
        let has_routes = self.0.has_routes(&name);
        let policy = if has_routes {
            self.0.policy(&name, method, path, route)
        } else {
            self.0.host_policy(&name)
        };
        CallPlan {
            deadline: policy.deadline,
            timeouts: policy.timeouts,
            attempts_max: policy.retry.attempts_max,
            repeat: self.repeat(&name, method, path, route),
            coalesce: match self.0.calls.coalesce {
                settings::Coalesce::Identical => Coalesce::Identical,
                settings::Coalesce::Off => Coalesce::Off,
            },
            hedge: policy.hedge.map_or(HedgeUse::Off, |hedge| HedgeUse::On(hedge.delay)),
            redirects_max: self.0.calls.redirects_max,
            body_max: usize::try_from(self.0.calls.body_bytes_max).unwrap_or(usize::MAX),
            route: if has_routes { self.route(&name, facts) } else { None },
        }
    }

    fn shared_scope(&self) -> HostPolicy {
        self.0.defaults.clone()
    }
}

impl ConfigPlan {
    fn repeat(
        &self,
        name: &pattern::HostName,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> MethodRepeat {
        if self.0.is_repeatable(name, method, path, route) {
            return MethodRepeat::Idempotent;
        }
        MethodRepeat::Unsafe
    }
}

fn named(host: &HostName) -> pattern::HostName {
    pattern::HostName::new(host.scheme, &host.name, host.port)
}
