//! The configuration: built-in defaults, a TOML file, the environment and the program, in layers.
//!
//! What is narrower wins: a route over its host, a host over the defaults. Within one of these the
//! later layer wins: built-in, file, environment, program. All settings are checked together, so
//! that a service that starts has a policy that can work for every host.

pub mod administering;
pub mod error;
pub mod overrides;
pub mod pattern;
pub mod settings;

mod breaker;
mod caching;
mod chaos;
mod choice;
mod env;
mod explain;
mod hedge;
mod layer;
mod limiting;
pub(crate) mod near;
mod patch;
mod place;
pub(crate) mod route;
mod section;
pub mod serving;
mod shape;
mod source;
mod value;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use spillgate_core::policy::{HostPolicy, Limits};

use administering::AdminSettings;
use error::{ConfigError, Problem};
use layer::put;
use overrides::HostOverrides;
use patch::PolicyPatch;
use pattern::{HostName, HostPattern};
use place::{Places, Scope};
use section::HostSection;
use serving::ListenerSettings;
use settings::{
    CacheSettings, CallDefaults, ChaosSettings, Coalesce, ExportProtocol, TelemetrySettings,
    TlsSettings,
};
use shape::{DefaultsShape, EnvironmentShape, FileShape, ProtocolShape, TelemetryShape};
use source::Source;

/// Everything that can be set, checked.
///
/// The public fields are what holds for all hosts; after a change, [`check`](Self::check) says
/// whether it can work.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What applies to the calls of a host that no section names.
    pub defaults: HostPolicy,
    /// What bounds the whole client.
    pub limits: Limits,
    /// What the client does with each call before and after the machines decide.
    pub calls: CallDefaults,
    /// What is stored and reused.
    pub cache: CacheSettings,
    /// What is trusted.
    pub tls: TlsSettings,
    /// Where spans go, and what must not be in them.
    pub telemetry: TelemetrySettings,
    /// Faults to inject, which do nothing unless
    /// [`chaos_from_config`](crate::ClientBuilder::chaos_from_config) or a flag asks for them.
    pub chaos: Vec<ChaosSettings>,
    /// Where `spillgate serve` listens.
    pub listeners: Vec<ListenerSettings>,
    /// Where it tells how it is.
    pub admin: Option<AdminSettings>,
    file_hosts: Vec<HostSection>,
    code_hosts: Vec<HostSection>,
    places: Places,
}

impl Config {
    /// Reads TOML over the built-in defaults; `origin` names the text in errors.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let source = Arc::new(Source::new(origin, text));
        let shape: FileShape = toml::from_str(source.text())
            .map_err(|error| ConfigError::from(explain::of_file(&source, &error)))?;
        let places = Places { source: Some(source), ..Places::default() };
        let (chaos, mut problems) = chaos::read(&shape.chaos, &places);
        let mut config = Self { chaos, places, ..Self::default() };
        problems.extend(config.take_defaults(&shape.defaults));
        config.take_telemetry(shape.telemetry);
        let (listeners, slips) = serving::read(shape.listener, &config.places);
        config.listeners = listeners;
        problems.extend(slips);
        let slip;
        (config.admin, slip) = shape.admin.read(&config.places);
        problems.extend(slip);
        let Self { places, defaults, limits, .. } = &config;
        let (hosts, slips) = section::read(&shape.host, places, defaults, limits);
        config.file_hosts = hosts;
        problems.extend(slips);
        // Checks would only repeat what a slip or a lost section already said.
        if problems.is_empty() {
            return config.check().map(|()| config);
        }
        problems.extend(config.problems_of_defaults());
        ConfigError::unless_empty(problems).map(|()| config)
    }

    /// Reads a TOML file over the built-in defaults; paths in it are relative to its directory.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let mut config = Self::from_toml(&read_text(path, &origin)?, &origin)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let tls = config.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut());
        let files = tls.flat_map(|(cert, key)| [cert, key]).chain(&mut config.tls.ca_file);
        let token = config.admin.as_mut().and_then(|admin| admin.token_file.as_mut());
        let files = files.chain(&mut config.cache.path).chain(token);
        files.for_each(|file| *file = directory.join(&file));
        Ok(config)
    }

    /// Lays the process's `SPILLGATE_` variables over the configuration.
    ///
    /// `SPILLGATE_DEFAULTS__RETRY__MAX_ATTEMPTS=2` sets `max_attempts` of `[defaults.retry]`: two
    /// underscores go one table deeper. `[defaults]` and `[telemetry]` can be set so; lists are
    /// separated by commas, empty values count as unset.
    pub fn with_environment(self) -> Result<Self, ConfigError> {
        self.with_variables(std::env::vars_os())
    }

    /// Lays the given variables over the configuration, as
    /// [`with_environment`](Self::with_environment) does with the process's.
    pub fn with_variables(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let environment = match env::read(variables) {
            Ok(environment) => environment,
            Err(problems) => return ConfigError::unless_empty(problems).map(|()| self),
        };
        let EnvironmentShape { defaults, telemetry } = environment.shape;
        self.places.variables = environment.variables;
        let slips = self.take_defaults(&defaults);
        self.take_telemetry(telemetry);
        ConfigError::unless_empty(slips)?;
        self.check().map(|()| self)
    }

    /// Adds what a program says about the hosts of a pattern, over what the file says.
    pub fn add_host(&mut self, pattern: &str, overrides: HostOverrides) -> Result<(), ConfigError> {
        let scope = Scope::Code(pattern.to_owned());
        let pattern = HostPattern::parse(pattern)
            .map_err(|text| ConfigError::from(self.places.told(&scope, "match", &text)))?;
        let added = HostSection::of_code(pattern, overrides);
        let tie = self.code_hosts.iter().find_map(|host| section::tie(&self.places, host, &added));
        if let Some(problem) = tie {
            return Err(problem.into());
        }
        let mut policy = self.defaults.clone();
        if let Some(section) = section::find(&self.file_hosts, &added.pattern.example()) {
            section.apply(&mut policy);
        }
        added.apply(&mut policy);
        policy.check().map_err(|error| ConfigError::from(self.places.refused(&scope, &error)))?;
        self.code_hosts.push(added);
        section::sort(&mut self.code_hosts);
        Ok(())
    }

    /// The policy of a host, routes aside.
    pub fn host_policy(&self, host: &HostName) -> HostPolicy {
        let mut policy = self.defaults.clone();
        let sections =
            [section::find(&self.file_hosts, host), section::find(&self.code_hosts, host)];
        sections.into_iter().flatten().for_each(|section| section.apply(&mut policy));
        policy
    }

    /// The policy of one call: that of its host, changed by the narrowest route it belongs to.
    ///
    /// A call belongs to a route by its path or by the name `route` that it gave itself.
    pub fn policy(
        &self,
        host: &HostName,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> HostPolicy {
        let mut policy = self.host_policy(host);
        let section = section::find(&self.file_hosts, host);
        if let Some(route) = section.and_then(|section| section.route(method, path, route)) {
            route.apply(&mut policy);
        }
        policy
    }

    /// What the cache does for one call: as its host has it, changed by the narrowest route.
    pub fn cache_of(
        &self,
        host: &HostName,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> CacheSettings {
        let mut cache = self.cache.clone();
        let of_file = section::find(&self.file_hosts, host);
        let sections = [of_file, section::find(&self.code_hosts, host)];
        sections.into_iter().flatten().for_each(|section| section.apply_cache(&mut cache));
        if let Some(route) = of_file.and_then(|section| section.route(method, path, route)) {
            route.apply_cache(&mut cache);
        }
        cache
    }

    /// Whether any host or route differs in what the cache does.
    pub(crate) fn differs_in_cache(&self) -> bool {
        let mut sections = self.file_hosts.iter().chain(&self.code_hosts);
        sections.any(section::HostSection::differs_in_cache)
    }

    /// Whether calls to the host can differ by route; else [`host_policy`](Self::host_policy)
    /// holds for all of them.
    pub fn has_routes(&self, host: &HostName) -> bool {
        section::find(&self.file_hosts, host).is_some_and(|section| !section.routes.is_empty())
    }

    /// The pattern of the narrowest route that a call belongs to, as the file spells it.
    pub fn matching_route(
        &self,
        host: &HostName,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> Option<&str> {
        let section = section::find(&self.file_hosts, host)?;
        section.route(method, path, route).map(|route| route.pattern.written())
    }

    /// The pattern of the section of the file that speaks for a host.
    pub fn matching_host(&self, host: &HostName) -> Option<String> {
        section::find(&self.file_hosts, host).map(|section| section.pattern.to_string())
    }

    /// Who says a setting of all hosts, such as `defaults.retry.base`: a variable, or a line.
    #[cfg(feature = "cli")]
    pub(crate) fn origin(&self, setting: &str) -> Option<String> {
        self.places.origin(setting)
    }

    /// What the file says of single hosts and of faults, as TOML.
    #[cfg(feature = "cli")]
    pub(crate) fn sections(&self) -> Option<String> {
        let source = self.places.source.as_ref()?;
        let mut tables: toml::Table = toml::from_str(source.text()).ok()?;
        tables.retain(|key, _| matches!(key, "host" | "chaos"));
        toml::to_string(&tables).ok().filter(|text| !text.is_empty())
    }

    /// Whether a call may be repeated for its method alone; hosts and routes can differ.
    pub fn is_repeatable(
        &self,
        host: &HostName,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> bool {
        let section = section::find(&self.file_hosts, host);
        let by_route = section.and_then(|s| s.route(method, path, route)).and_then(|r| r.methods());
        if let Some(mut methods) = by_route {
            return methods.any(|named| named == method);
        }
        if let Some(mut methods) = section.and_then(HostSection::methods) {
            return methods.any(|named| named == method);
        }
        self.calls.methods_repeatable.contains(method)
    }

    /// Refuses what cannot work, for the defaults and for every section.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems_of_defaults();
        // Hosts inherit what is wrong with the defaults: saying it once is enough.
        if problems.is_empty() {
            let sections = self.file_hosts.iter().chain(&self.code_hosts);
            problems.extend(sections.flat_map(|section| self.problems_of_host(section)));
        }
        ConfigError::unless_empty(problems)
    }

    /// A commented file with every setting at its default.
    pub fn sample() -> &'static str {
        include_str!("config/sample.toml")
    }

    /// Takes what a layer says about all hosts; answers what cannot be meant.
    fn take_defaults(&mut self, shape: &DefaultsShape) -> Vec<Problem> {
        let patch = PolicyPatch::of_defaults(shape);
        shape.limits.apply(&mut self.limits);
        let slips = patch.slips(&self.defaults, &self.limits).into_iter();
        patch.apply(&mut self.defaults);
        shape.cache.apply(&mut self.cache);
        let slips = slips.chain(shape.cache.slips(&self.cache));
        let slips = slips.map(|slip| self.places.slip(&Scope::Defaults, slip)).collect();
        let calls = &mut self.calls;
        put(&mut calls.methods_repeatable, patch.methods().map(|m| m.cloned().collect()));
        put(&mut calls.coalesce, shape.coalesce.map(Coalesce::from));
        put(&mut calls.redirects_max, shape.redirects.map(|count| count.0));
        put(&mut calls.body_bytes_max, shape.body_max.map(|size| size.0));
        if let Some(ca) = &shape.tls.ca {
            self.tls.ca_file = Some(ca.0.clone().into());
        }
        slips
    }

    fn take_telemetry(&mut self, shape: TelemetryShape) {
        let telemetry = &mut self.telemetry;
        put(&mut telemetry.otlp, shape.otlp.map(|url| Some(url.0)));
        put(&mut telemetry.service_name, shape.service_name.map(|name| Some(name.0)));
        put(&mut telemetry.protocol, shape.protocol.map(|name| Some(ExportProtocol::from(name))));
        let (headers, query) = (shape.redact.headers, shape.redact.query);
        let redact = &mut telemetry.redact;
        put(&mut redact.headers, headers.map(|list| list.into_iter().map(|h| h.0).collect()));
        put(&mut redact.query, query.map(|list| list.into_iter().map(|key| key.0).collect()));
    }

    fn problems_of_defaults(&self) -> Vec<Problem> {
        let checks = [self.limits.check(), self.defaults.check()];
        let refused = |error| self.places.refused(&Scope::Defaults, &error);
        let of_cache = self.cache.problem().map(|(setting, problem, hint)| {
            self.places.problem(&Scope::Defaults, setting, problem).hint(hint)
        });
        checks.into_iter().filter_map(Result::err).map(refused).chain(of_cache).collect()
    }

    /// Checks a section by the calls its patterns were written for.
    fn problems_of_host(&self, section: &HostSection) -> Vec<Problem> {
        let host = section.pattern.example();
        if let Err(error) = self.host_policy(&host).check() {
            return vec![self.places.refused(&section.scope, &error)];
        }
        let routes = section.routes.iter().filter_map(|route| {
            let (method, path) = route.pattern.example();
            let error = self.policy(&host, &method, &path, None).check().err()?;
            Some(self.places.refused(&route.scope, &error))
        });
        routes.collect()
    }
}

impl From<ProtocolShape> for ExportProtocol {
    fn from(shape: ProtocolShape) -> Self {
        match shape {
            ProtocolShape::HttpProtobuf => Self::HttpProtobuf,
            ProtocolShape::Grpc => Self::Grpc,
        }
    }
}

/// Reads a file as text, and no more of it than a configuration can be.
fn read_text(path: &Path, origin: &str) -> Result<String, ConfigError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let problem = Problem::of(origin, format!("cannot be read: {error}"));
        return Err(problem.expected("a TOML file").into());
    }
    if bytes.len() as u64 > BYTES_MAX {
        let problem = Problem::of(origin, format!("is larger than {BYTES_MAX} bytes"));
        return Err(problem.expected("a TOML file").into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        // Up to the first bad byte the lossy text is the text.
        let problem = Source::new(origin, &text).problem(at..at, "this is not UTF-8");
        problem.expected("TOML in UTF-8").into()
    })
}

/// More than any configuration, and far less than a wrong file could be.
const BYTES_MAX: u64 = 1024 * 1024;
