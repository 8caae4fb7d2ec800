//! The layer of environment variables: `SPILLGATE_DEFAULTS__RETRY__MAX_ATTEMPTS=2`.
//!
//! Two underscores go one table deeper. Variables without them belong to the command line's flags
//! and are passed over here.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;
use toml::{Table, Value};

use super::error::Problem;
use super::explain::{self, PREFIX};
use super::shape::EnvironmentShape;

/// What the environment says, and which variable said it.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) shape: EnvironmentShape,
    /// By setting, such as `defaults.retry.base`.
    pub(super) variables: BTreeMap<String, String>,
}

/// Reads the variables that are settings.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, Vec<Problem>> {
    let (mut tree, mut environment, mut problems) = (Table::new(), Environment::default(), vec![]);
    let mut settings: Vec<(String, OsString)> =
        variables.into_iter().filter_map(|(name, value)| Some((setting(name)?, value))).collect();
    settings.sort();
    for (name, value) in settings {
        let path = path(&name);
        let read = value
            .into_string()
            .map_err(|_| Box::new(Problem::of(&name, "the value is not UTF-8")))
            .and_then(
                |value| if value.is_empty() { Ok(None) } else { typed(&name, &path, &value) },
            );
        match read {
            Ok(None) => {}
            Ok(Some(value)) => match insert(&mut tree, &path, value) {
                Ok(()) => drop(environment.variables.insert(path.join("."), name)),
                Err(Clash) => problems.push(clash(&name)),
            },
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() {
        match EnvironmentShape::deserialize(Value::Table(tree)) {
            Ok(shape) => environment.shape = shape,
            Err(error) => problems.push(explain::of_variable("environment", &error)),
        }
    }
    if problems.is_empty() { Ok(environment) } else { Err(problems) }
}

/// Two variables of which one holds the other.
struct Clash;

/// The name, if the variable is a setting.
fn setting(name: OsString) -> Option<String> {
    let name = name.into_string().ok()?;
    (name.starts_with(PREFIX) && name.contains("__")).then_some(name)
}

fn path(name: &str) -> Vec<String> {
    let bare = name.strip_prefix(PREFIX).unwrap_or(name);
    bare.split("__").map(str::to_ascii_lowercase).collect()
}

/// The value as the setting wants it: as TOML would read it, else as plain text.
fn typed(name: &str, path: &[String], value: &str) -> Result<Option<Value>, Box<Problem>> {
    let is_list = path.last().is_some_and(|key| LISTS.contains(&key.as_str()));
    if is_list && !value.trim_start().starts_with('[') {
        let items = value.split(',').map(|item| literal(item.trim()));
        let list = Value::Array(items.collect());
        return fits(path, &list)
            .map(|()| Some(list))
            .map_err(|error| Box::new(explain::of_variable(name, &error)));
    }
    let read = literal(value);
    let Err(error) = fits(path, &read) else { return Ok(Some(read)) };
    let text = Value::String(value.to_owned());
    match fits(path, &text) {
        Ok(()) => Ok(Some(text)),
        Err(_) => Err(Box::new(explain::of_variable(name, &error))),
    }
}

/// The value if it is written as TOML writes it, else its text.
fn literal(value: &str) -> Value {
    let document = toml::from_str::<Table>(&format!("value = {value}"));
    let read = document.ok().filter(|table| table.len() == 1);
    let read = read.and_then(|mut table| table.remove("value"));
    read.unwrap_or_else(|| Value::String(value.to_owned()))
}

/// Tries the value alone, so that an error is its own.
fn fits(path: &[String], value: &Value) -> Result<(), toml::de::Error> {
    let nest = |inner, key: &String| Value::Table(Table::from_iter([(key.clone(), inner)]));
    let alone = path.iter().rev().fold(value.clone(), nest);
    EnvironmentShape::deserialize(alone).map(drop)
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), Clash> {
    let Some((key, deeper)) = path.split_first() else { return Err(Clash) };
    if deeper.is_empty() {
        return table.insert(key.clone(), value).map_or(Ok(()), |_| Err(Clash));
    }
    let entry = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
    insert(entry.as_table_mut().ok_or(Clash)?, deeper, value)
}

fn clash(name: &str) -> Problem {
    Problem::of(name, "another variable already sets this, or a table around it")
        .expected("each setting once")
}

/// The settings that are lists: their items stand between commas.
const LISTS: [&str; 4] = ["methods", "ignore", "headers", "query"];
