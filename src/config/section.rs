//! Which section speaks for a host, and which route of it for a call.

use http::Method;
use spillgate_core::policy::{HostPolicy, Limits};

use super::error::Problem;
use super::overrides::HostOverrides;
use super::patch::PolicyPatch;
use super::pattern::{HostName, HostPattern};
use super::place::{Places, Scope};
use super::route::RoutePattern;
use super::settings::CacheSettings;
use super::shape::{HostShape, RouteShape};

/// What is different for the hosts of one pattern.
#[derive(Debug, Clone)]
pub(super) struct HostSection {
    pub(super) pattern: HostPattern,
    pub(super) scope: Scope,
    pub(super) routes: Vec<RouteSection>,
    change: Change,
}

/// What is different for the calls of one route.
#[derive(Debug, Clone)]
pub(super) struct RouteSection {
    pub(super) pattern: RoutePattern,
    pub(super) scope: Scope,
    patch: PolicyPatch,
}

/// Who says it.
#[derive(Debug, Clone)]
enum Change {
    File(Box<PolicyPatch>),
    Code(Box<HostOverrides>),
}

impl HostSection {
    pub(super) fn of_code(pattern: HostPattern, overrides: HostOverrides) -> Self {
        let scope = Scope::Code(pattern.to_string());
        Self { pattern, scope, routes: Vec::new(), change: Change::Code(Box::new(overrides)) }
    }

    fn of_file(index: usize, shape: &HostShape, problems: &mut Findings<'_>) -> Option<Self> {
        let scope = Scope::Host(index);
        let patch = PolicyPatch::of_host(shape);
        problems.note_slips(&scope, &patch, problems.of_defaults);
        let mut policy = problems.of_defaults.clone();
        patch.apply(&mut policy);
        let routes = shape.route.iter().enumerate();
        let routes = routes.filter_map(|(route, shape)| {
            RouteSection::new((index, route), shape, &policy, problems)
        });
        let mut routes: Vec<RouteSection> = routes.collect();
        problems.note_route_ties(&routes);
        routes.sort_by_key(|section| std::cmp::Reverse(section.pattern.rank()));
        let pattern = problems.pattern(&scope, HostPattern::parse(&shape.pattern))?;
        Some(Self { pattern, scope, routes, change: Change::File(Box::new(patch)) })
    }

    pub(super) fn apply(&self, policy: &mut HostPolicy) {
        match &self.change {
            Change::File(patch) => patch.apply(policy),
            Change::Code(overrides) => overrides.apply(policy),
        }
    }

    pub(super) fn apply_cache(&self, cache: &mut CacheSettings) {
        match &self.change {
            Change::File(patch) => patch.cache.apply(cache),
            Change::Code(overrides) => overrides.apply_cache(cache),
        }
    }

    /// Whether it, or a route of it, says anything of the cache.
    pub(super) fn differs_in_cache(&self) -> bool {
        let by_itself = match &self.change {
            Change::File(patch) => patch.cache.says_something(),
            Change::Code(overrides) => overrides.says_something_of_cache(),
        };
        by_itself || self.routes.iter().any(|route| route.patch.cache.says_something())
    }

    /// The narrowest route that a call belongs to.
    pub(super) fn route(
        &self,
        method: &Method,
        path: &str,
        name: Option<&str>,
    ) -> Option<&RouteSection> {
        self.routes.iter().find(|section| section.pattern.matches(method, path, name))
    }

    /// The methods that may be repeated, if the section names them.
    pub(super) fn methods(&self) -> Option<impl Iterator<Item = &Method>> {
        match &self.change {
            Change::File(patch) => patch.methods(),
            Change::Code(_) => None,
        }
    }
}

impl RouteSection {
    fn new(
        (host, route): (usize, usize),
        shape: &RouteShape,
        of_host: &HostPolicy,
        problems: &mut Findings<'_>,
    ) -> Option<Self> {
        let scope = Scope::Route(host, route);
        let patch = PolicyPatch::of_route(shape);
        problems.note_slips(&scope, &patch, of_host);
        if let Some(setting) = patch.retry.key_of_host() {
            let message = format!("{setting} belongs to a host, not to a route");
            let problem = problems.places.problem(&scope, setting, message);
            problems.list.push(problem.hint("move it to the `[[host]]` above"));
        }
        if let Some(setting) = patch.hedge.of_host() {
            let message = format!("{setting}: what hedges may take belongs to a host");
            let problem = problems.places.problem(&scope, setting, message);
            problems.list.push(problem.hint("move it to the `[[host]]` above"));
        }
        let pattern = problems.pattern(&scope, RoutePattern::parse(&shape.pattern))?;
        Some(Self { pattern, scope, patch })
    }

    pub(super) fn apply(&self, policy: &mut HostPolicy) {
        self.patch.apply(policy);
    }

    pub(super) fn apply_cache(&self, cache: &mut CacheSettings) {
        self.patch.cache.apply(cache);
    }

    /// The methods that may be repeated, if the route names them.
    pub(super) fn methods(&self) -> Option<impl Iterator<Item = &Method>> {
        self.patch.methods()
    }
}

/// Collects what is wrong while sections are read.
struct Findings<'a> {
    places: &'a Places,
    of_defaults: &'a HostPolicy,
    limits: &'a Limits,
    list: Vec<Problem>,
}

impl Findings<'_> {
    fn note_slips(&mut self, scope: &Scope, patch: &PolicyPatch, base: &HostPolicy) {
        let slips = patch.slips(base, self.limits);
        self.list.extend(slips.into_iter().map(|slip| self.places.slip(scope, slip)));
    }

    fn note_route_ties(&mut self, routes: &[RouteSection]) {
        for (earlier, later) in pairs(routes) {
            let (one, two) = (&earlier.pattern, &later.pattern);
            if one.rank() == two.rank() && one.overlaps(two) {
                let ends = [(one.written(), &earlier.scope), (two.written(), &later.scope)];
                self.list.push(self.places.tie("calls", ends));
            }
        }
    }

    fn pattern<T>(&mut self, scope: &Scope, parsed: Result<T, String>) -> Option<T> {
        let text = match parsed {
            Ok(pattern) => return Some(pattern),
            Err(text) => text,
        };
        self.list.push(self.places.told(scope, "match", &text));
        None
    }
}

/// Reads the sections of a file, the narrowest first, and what is wrong with them.
pub(super) fn read(
    hosts: &[HostShape],
    places: &Places,
    of_defaults: &HostPolicy,
    limits: &Limits,
) -> (Vec<HostSection>, Vec<Problem>) {
    let mut findings = Findings { places, of_defaults, limits, list: Vec::new() };
    let mut sections: Vec<HostSection> = Vec::new();
    for (index, shape) in hosts.iter().enumerate() {
        sections.extend(HostSection::of_file(index, shape, &mut findings));
    }
    for (earlier, later) in pairs(&sections) {
        findings.list.extend(tie(places, earlier, later));
    }
    sort(&mut sections);
    (sections, findings.list)
}

/// What is wrong if two sections of one layer match the same host and neither is narrower.
pub(super) fn tie(places: &Places, earlier: &HostSection, later: &HostSection) -> Option<Problem> {
    let (one, two) = (&earlier.pattern, &later.pattern);
    if one.rank() != two.rank() || !one.overlaps(two) {
        return None;
    }
    let (one, two) = (one.to_string(), two.to_string());
    Some(places.tie("hosts", [(&one, &earlier.scope), (&two, &later.scope)]))
}

/// The narrowest first, so that the first match is the right one.
pub(super) fn sort(sections: &mut [HostSection]) {
    sections.sort_by_key(|section| std::cmp::Reverse(section.pattern.rank()));
}

/// The section that speaks for `host`.
pub(super) fn find<'a>(sections: &'a [HostSection], host: &HostName) -> Option<&'a HostSection> {
    sections.iter().find(|section| section.pattern.matches(host))
}

/// Every two of a list, in order; few sections make this cheap.
fn pairs<T>(list: &[T]) -> impl Iterator<Item = (&T, &T)> {
    list.iter()
        .enumerate()
        .flat_map(|(index, later)| list.iter().take(index).map(move |earlier| (earlier, later)))
}
