//! Scripted scenarios: what `/scenario/{name}` answers, hit by hit.
//!
//! ```toml
//! [scenario.checkout]
//! loop = true                                # without it the last step repeats
//! steps = [
//!     { path = "/status/503", times = 2 },   # times is 1 unless given
//!     { path = "/delay/250" },
//! ]
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::fault::{Fault, NAME_EXPECTED, Target, is_name};

/// All scenarios by name.
#[derive(Debug, Default)]
pub(super) struct Script {
    scenarios: BTreeMap<String, Scenario>,
}

/// A script that means nothing, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ScriptError {
    line: usize,
    column: usize,
    source_line: String,
    message: String,
}

#[derive(Debug)]
struct Scenario {
    steps: Vec<Step>,
    hits_in_all: u64,
    repeats: bool,
}

#[derive(Debug)]
struct Step {
    target: Target,
    times: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptText {
    #[serde(default)]
    scenario: BTreeMap<Spanned<String>, Spanned<ScenarioText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioText {
    steps: Vec<StepText>,
    #[serde(default, rename = "loop")]
    repeats: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    path: Spanned<String>,
    times: Option<Spanned<u64>>,
}

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, ScriptError> {
        let parsed: ScriptText = toml::from_str(text).map_err(|error| {
            ScriptError::at(text, error.span().unwrap_or(0..0), error.message())
        })?;
        let mut scenarios = BTreeMap::new();
        for (name, scenario) in parsed.scenario {
            if !is_name(name.get_ref()) {
                let message = format!("a scenario's name: expected {NAME_EXPECTED}");
                return Err(ScriptError::at(text, name.span(), message));
            }
            scenarios.insert(name.into_inner(), Scenario::read(text, scenario)?);
        }
        Ok(Self { scenarios })
    }

    /// The step for a scenario's hit, counted from 0, and the step's index.
    pub(super) fn step(&self, name: &str, hit: u64) -> Option<(usize, &Target)> {
        let scenario = self.scenarios.get(name)?;
        let mut hit = if scenario.repeats { hit % scenario.hits_in_all } else { hit };
        for (index, step) in scenario.steps.iter().enumerate() {
            if hit < step.times {
                return Some((index, &step.target));
            }
            hit -= step.times;
        }
        let last = scenario.steps.last()?;
        Some((scenario.steps.len() - 1, &last.target))
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.scenarios.keys().map(String::as_str).collect()
    }
}

impl Scenario {
    fn read(text: &str, scenario: Spanned<ScenarioText>) -> Result<Self, ScriptError> {
        let span = scenario.span();
        let scenario = scenario.into_inner();
        if scenario.steps.is_empty() {
            return Err(ScriptError::at(text, span, "`steps`: expected at least one step"));
        }
        let mut steps = Vec::with_capacity(scenario.steps.len());
        let mut hits_in_all = 0_u64;
        for step in scenario.steps {
            let step = Step::read(text, &step)?;
            hits_in_all = hits_in_all.saturating_add(step.times);
            steps.push(step);
        }
        Ok(Self { steps, hits_in_all, repeats: scenario.repeats })
    }
}

impl Step {
    fn read(text: &str, step: &StepText) -> Result<Self, ScriptError> {
        let times = step.times.as_ref().map_or(1, |times| *times.get_ref());
        if let (0, Some(times)) = (times, &step.times) {
            return Err(ScriptError::at(text, times.span(), "`times`: expected 1 or more"));
        }
        let written = step.path.get_ref();
        let (path, query) = match written.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (written.as_str(), None),
        };
        let refuse = |why: &str| {
            let message = format!("`path`: {why}; expected a path of the drill, as `/status/503`");
            ScriptError::at(text, step.path.span(), message)
        };
        let target =
            Target::parse(0, path, query).map_err(|refusal| refuse(&refusal.to_string()))?;
        let plain = !matches!(target.fault, Fault::Scenario { .. } | Fault::Inquiry(_));
        plain.then_some(Self { target, times }).ok_or_else(|| refuse("not one for a step"))
    }
}

impl ScriptError {
    fn at(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let source_line = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        Self { line, column, source_line, message: message.into() }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, source_line, message } = self;
        let gutter = line.to_string();
        let (blank, indent) = (" ".repeat(gutter.len()), " ".repeat(column - 1));
        writeln!(f, "line {line}, column {column}: {message}")?;
        writeln!(f, "{blank} |")?;
        writeln!(f, "{gutter} | {source_line}")?;
        write!(f, "{blank} | {indent}^")
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_walked_in_order_and_the_last_repeats() {
        assert_eq!(walk("loop = false"), [0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_loop_begins_again() {
        assert_eq!(walk("loop = true"), [0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn an_array_of_tables_is_the_same_script() {
        let text = "[[scenario.a.steps]]\npath = '/status/503'\ntimes = 1\n\
                    [[scenario.a.steps]]\npath = '/ok'\n";
        let script = Script::parse(text).unwrap();
        assert_eq!(script.names(), ["a"]);
        assert_eq!(script.step("a", 1).unwrap().1.fault, Fault::Ok { bytes: None, json: false });
        assert!(script.step("b", 0).is_none());
    }

    #[test]
    fn errors_point_at_the_place_and_say_what_was_expected() {
        let table = [
            ("[scenario.a]\nsteps = [{ path = '/nothing' }]", (2, 19), "no such path"),
            ("[scenario.a]\nsteps = [{ path = '/delay/x' }]", (2, 19), "parameter `ms`"),
            ("[scenario.a]\nsteps = [{ path = '/count' }]", (2, 19), "not one for a step"),
            ("[scenario.a]\nsteps = [{ path = '/scenario/a' }]", (2, 19), "not one for a step"),
            ("[scenario.a]\nsteps = [{ path = '/ok', times = 0 }]", (2, 34), "expected 1 or more"),
            ("[scenario.a]\nsteps = []", (1, 1), "at least one step"),
            ("[scenario.'a b']\nsteps = []", (1, 11), "letters, digits"),
            ("[scenario.a]\nstep = []", (2, 1), "unknown field `step`, expected `steps`"),
            ("x = 1", (1, 1), "expected `scenario`"),
            ("[scenario.a]\nsteps = [{ path = 5 }]", (2, 19), "expected a string"),
            ("[scenario.a", (1, 12), "expected"),
        ];
        for (text, (line, column), part) in table {
            let error = Script::parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        }
    }

    #[test]
    fn errors_show_the_line_with_a_caret() {
        let error = Script::parse("[scenario.a]\nsteps = [{ path = '/no' }]").unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("2 | steps = [{ path = '/no' }]\n"), "{shown}");
        assert!(shown.ends_with(&format!("  | {}^", " ".repeat(18))), "{shown}");
    }

    fn walk(option: &str) -> Vec<usize> {
        let text = format!(
            "[scenario.a]\n{option}\nsteps = [{{ path = '/status/503', times = 2 }}, \
             {{ path = '/ok' }}]"
        );
        let script = Script::parse(&text).unwrap();
        (0..6).map(|hit| script.step("a", hit).unwrap().0).collect()
    }
}
