//! Who said what: finds the line, the variable or the call behind a setting.

use std::collections::BTreeMap;
use std::sync::Arc;

use spillgate_core::policy::PolicyError;

use super::error::Problem;
use super::layer::Slip;
use super::source::{Source, Step, covered};

/// Whose settings are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// What holds for all hosts.
    Defaults,
    /// The `[[host]]` of this position in the file.
    Host(usize),
    /// The `[[host.route]]` of this position, in the host of that position.
    Route(usize, usize),
    /// The `[[chaos]]` of this position in the file.
    Chaos(usize),
    /// The `[[listener]]` of this position in the file.
    Listener(usize),
    /// A host named by a program.
    Code(String),
}

/// Where the settings of a configuration came from.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The file.
    pub(super) source: Option<Arc<Source>>,
    /// The variables, by setting.
    pub(super) variables: BTreeMap<String, String>,
}

impl Places {
    /// A problem with a setting, shown where the narrowest layer around `scope` says it.
    pub(super) fn problem(
        &self,
        scope: &Scope,
        setting: &str,
        message: impl Into<String>,
    ) -> Problem {
        let message = message.into();
        if let Scope::Code(pattern) = scope {
            return Problem::of(format!("host `{}` set in code", covered(pattern)), message);
        }
        for table in scope.tables() {
            if let Some(problem) = self.find(&table, setting, &message) {
                return problem;
            }
        }
        let key = match scope {
            Scope::Chaos(_) => "fault",
            Scope::Listener(_) => "bind",
            Scope::Defaults | Scope::Host(_) | Scope::Route(..) | Scope::Code(_) => "match",
        };
        let last = [scope.tables().swap_remove(0), vec![Step::Key(key)]].concat();
        match &self.source {
            Some(source) => source.problem_at(&last, message),
            None => Problem::of("configuration", message),
        }
    }

    /// The variable or the line that says a setting, such as `defaults.retry.base`.
    #[cfg(feature = "cli")]
    pub(super) fn origin(&self, setting: &str) -> Option<String> {
        let is_of = |name: &str| name.strip_prefix(setting).is_some_and(is_key_or_below);
        if let Some((_, variable)) = self.variables.iter().find(|(name, _)| is_of(name)) {
            return Some(variable.clone());
        }
        let source = self.source.as_ref()?;
        let steps: Vec<Step<'_>> = setting.split('.').map(Step::Key).collect();
        Some(format!("{}:{}", source.name(), source.line_of(&steps)?))
    }

    /// A problem whose text carries its expectation.
    pub(super) fn told(&self, scope: &Scope, setting: &str, text: &str) -> Problem {
        let (text, hint) = text.split_once(super::value::HINT).unwrap_or((text, ""));
        let (what, expected) = text.split_once(", expected ").unwrap_or((text, ""));
        let problem = self.problem(scope, setting, what);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Problem { expected: some(expected), hint: some(hint), ..problem }
    }

    /// What a layer says and cannot mean.
    pub(super) fn slip(&self, scope: &Scope, slip: Slip) -> Problem {
        self.problem(scope, slip.setting, slip.message).hint(slip.hint)
    }

    /// What a check refused.
    pub(super) fn refused(&self, scope: &Scope, error: &PolicyError) -> Problem {
        let text = format!("{}: {}", error.setting, error.problem);
        let (what, expected) = match text.split_once("; expected ") {
            Some((what, expected)) => (what, Some(expected.to_owned())),
            None => (text.as_str(), None),
        };
        Problem { expected, ..self.problem(scope, error.setting, what) }
    }

    /// Two patterns of which neither is narrower.
    pub(super) fn tie(&self, of_what: &str, ends: [(&str, &Scope); 2]) -> Problem {
        let [(one, earlier), (two, later)] = ends;
        let (first, of_line) = match self.line_of_match(earlier) {
            Some(line) => (format!(", first in line {line}"), format!(" of line {line}")),
            None => (String::new(), String::new()),
        };
        let message = if one == two {
            format!("a tie: `{two}` is declared twice{first}")
        } else {
            format!(
                "a tie: `{two}` and `{one}`{of_line} match the same {of_what}, neither is narrower"
            )
        };
        self.problem(later, "match", message).hint("make one of them narrower, or merge them")
    }

    fn find(&self, table: &[Step<'_>], setting: &str, message: &str) -> Option<Problem> {
        let is_defaults = matches!(table, [Step::Key("defaults")]);
        for related in related(setting) {
            let name = format!("defaults.{related}");
            if let Some(variable) = self.variables.get(&name).filter(|_| is_defaults) {
                return Some(Problem::of(variable, message));
            }
            let steps: Vec<Step<'_>> =
                table.iter().copied().chain(related.split('.').map(Step::Key)).collect();
            let source = self.source.as_ref();
            if let Some((source, span)) = source.and_then(|s| Some((s, s.find(&steps)?))) {
                return Some(source.problem(span, message));
            }
        }
        None
    }

    fn line_of_match(&self, scope: &Scope) -> Option<usize> {
        let steps = [scope.tables().swap_remove(0), vec![Step::Key("match")]].concat();
        self.source.as_ref()?.line_of(&steps)
    }
}

impl Scope {
    /// The tables that speak for the scope, the narrowest first; at least one.
    fn tables(&self) -> Vec<Vec<Step<'static>>> {
        let defaults = vec![Step::Key("defaults")];
        let host = |index| vec![Step::Key("host"), Step::Item(index)];
        match self {
            Self::Chaos(index) => vec![vec![Step::Key("chaos"), Step::Item(*index)]],
            Self::Listener(index) => vec![vec![Step::Key("listener"), Step::Item(*index)]],
            Self::Defaults | Self::Code(_) => vec![defaults],
            Self::Host(index) => vec![host(*index), defaults],
            Self::Route(index, route) => {
                let own = [host(*index), vec![Step::Key("route"), Step::Item(*route)]].concat();
                vec![own, host(*index), defaults]
            }
        }
    }
}

/// Whether this follows the whole name of a setting.
#[cfg(feature = "cli")]
fn is_key_or_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// The setting, and those that may be to blame for a contradiction with it.
fn related(setting: &str) -> Vec<&str> {
    let others: &[&str] = match setting {
        "timeouts.attempt" => &["deadline"],
        "timeouts.connect" => &["timeouts.attempt", "deadline"],
        "retry.base" => &["retry.cap"],
        "limits.floor" => &["limits.per_host"],
        "breaker.min_calls" => &["breaker.window_calls"],
        "breaker" => &["breaker.reset_timeout", "breaker.window"],
        _ => &[],
    };
    match setting {
        // The whole table is the last resort: a key of it is to blame.
        "breaker" => others.iter().copied().chain([setting]).collect(),
        _ => [setting].into_iter().chain(others.iter().copied()).collect(),
    }
}
