//! Turns what the TOML reader says into what a person needs.

use serde::de::DeserializeOwned;
use toml::de::Error;

use super::error::Problem;
use super::near;
use super::shape::DefaultsShape;
use super::source::Source;
use super::value::HINT;

/// A problem with the text of a file.
pub(super) fn of_file(source: &Source, error: &Error) -> Problem {
    let problem = match error.span() {
        Some(span) => source.problem(span, ""),
        None => Problem::of(source.name(), ""),
    };
    let written = error.span().and_then(|span| source.text().get(span));
    if error.message().starts_with(UNQUOTED) && written.is_none_or(|text| text.trim().is_empty()) {
        return Problem { message: "the value is missing".to_owned(), ..problem };
    }
    told(problem, error.message())
}

/// A problem with the value of a variable.
pub(super) fn of_variable(variable: &str, error: &Error) -> Problem {
    let mut problem = told(Problem::of(variable, ""), error.message());
    // The near miss is a part of a name here: say the whole name.
    let meant = problem.hint.as_deref().and_then(|hint| hint.strip_prefix(DID_YOU_MEAN));
    if let (Some(meant), Some(wrong)) = (meant, problem.message.strip_prefix("unknown key ")) {
        let wrong = wrong.trim_matches('`');
        let parts = variable.split("__").map(|part| {
            let bare = part.strip_prefix(PREFIX).unwrap_or(part);
            let is_wrong = bare.eq_ignore_ascii_case(wrong);
            if is_wrong { part.replace(bare, &upper(meant)) } else { part.to_owned() }
        });
        let name = parts.collect::<Vec<String>>().join("__");
        problem.hint = Some(format!("{DID_YOU_MEAN}`{name}`?"));
    }
    problem
}

/// The keys that a table of shape `T` may hold.
pub(super) fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    let message = match toml::from_str::<T>("'' = 0") {
        Ok(_) => return Vec::new(),
        Err(error) => error.message().to_owned(),
    };
    let expected = message.split_once(EXPECTED).map(|(_, expected)| expected);
    expected.map(quoted).unwrap_or_default().into_iter().map(str::to_owned).collect()
}

fn told(problem: Problem, message: &str) -> Problem {
    let (message, hint) = match message.split_once(HINT) {
        Some((message, hint)) => (message, Some(hint)),
        None => (message, None),
    };
    let (what, expected) = match message.split_once(EXPECTED) {
        Some((what, expected)) => (what, Some(expected)),
        None => (message, None),
    };
    let mut problem = Problem { message: in_plain_words(what), ..problem };
    let names = expected.map(quoted).unwrap_or_default();
    if let Some(word) = unknown_word(what) {
        problem.hint = meant(word, &names);
        return problem.expected(near::listed(&names));
    }
    if what == "missing field `match`" {
        let is_route = problem.spot.as_ref().is_some_and(|spot| spot.text.contains("route"));
        return problem.expected(if is_route { ROUTE_MATCH } else { HOST_MATCH });
    }
    problem.hint = hint.map(str::to_owned);
    if what.starts_with("invalid type: map") && expected == Some("a sequence") {
        problem.hint = Some("a list of tables is written `[[host]]`, `[[host.route]]`".to_owned());
    }
    problem.expected = expected.map(|expected| expected.replace("sequence", "list"));
    problem
}

/// The word of which the reader said that it does not know it.
fn unknown_word(what: &str) -> Option<&str> {
    let word =
        what.strip_prefix("unknown field `").or_else(|| what.strip_prefix("unknown variant `"))?;
    word.strip_suffix('`')
}

fn meant(word: &str, names: &[&str]) -> Option<String> {
    if word == "disabled" && names.contains(&"shadow") {
        return Some("a breaker that never opens is kind = \"off\"".to_owned());
    }
    if let Some(name) = near::nearest(word, names) {
        return Some(format!("{DID_YOU_MEAN}`{name}`?"));
    }
    let is_root = names.contains(&"defaults") && names.contains(&"host");
    let belongs = is_root && keys_of::<DefaultsShape>().iter().any(|key| key == word);
    belongs.then(|| format!("`{word}` belongs in `[defaults]`"))
}

/// Says the same without the names of another language's types.
fn in_plain_words(what: &str) -> String {
    for (theirs, ours) in [
        ("unknown field", "unknown key"),
        ("unknown variant", "unknown value"),
        ("missing field", "missing key"),
        ("invalid type: map", "a table cannot stand here"),
        ("invalid type: sequence", "a list cannot stand here"),
        // Whatever the text is, it may be a secret.
        ("invalid type: string", "a text cannot stand here"),
    ] {
        if let Some(rest) = what.strip_prefix(theirs) {
            return if theirs.starts_with("invalid") {
                ours.to_owned()
            } else {
                format!("{ours}{rest}")
            };
        }
    }
    match what.strip_prefix("invalid type: ") {
        Some(value) => format!("{} cannot stand here", value.replace('`', "")),
        None => what.to_owned(),
    }
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn upper(quoted_name: &str) -> String {
    quoted_name.trim_matches(['`', '?']).to_ascii_uppercase()
}

/// What all variables begin with.
pub(super) const PREFIX: &str = "SPILLGATE_";

/// What the reader says of whatever is no value, even if it is nothing.
const UNQUOTED: &str = "string values must be quoted";
const EXPECTED: &str = ", expected ";
const HOST_MATCH: &str =
    "the hosts that it is about, such as match = \"api.example.com\" or \"*.example.com\"";
const ROUTE_MATCH: &str =
    "the calls that it is about, such as match = \"/v1/**\" or \"POST /v1/charges\"";
const DID_YOU_MEAN: &str = "did you mean ";
