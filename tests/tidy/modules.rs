//! Who uses whom among the modules of a crate.
//!
//! A use of something below or above in the same branch is no dependency between siblings: a
//! module is one thing with what is inside of it. So a use counts between the two modules at which
//! the paths part, and it is those that must not form a circle, on every level.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// A module's path from the crate's root, whose own path is empty.
type Module = Vec<String>;

/// The uses between the modules of one crate.
pub(crate) struct Uses {
    edges: BTreeSet<(Module, Module)>,
}

impl Uses {
    /// Reads the uses of the files under `root`, tests left out.
    pub(crate) fn of(sources: &[Source], root: &str) -> Self {
        let modules: BTreeMap<Module, &Source> = sources
            .iter()
            .filter_map(|source| Some((module(source.path.strip_prefix(root)?)?, source)))
            .collect();
        let mut edges = BTreeSet::new();
        for (from, source) in &modules {
            let shipped: Vec<&str> = source.shipped().map(|(_, line)| line).collect();
            for path in paths(&shipped.join("\n")) {
                let Some(mut to) = resolve(from, &path, &modules) else { continue };
                while !to.is_empty() && !modules.contains_key(&to) {
                    to.pop();
                }
                if *from != to {
                    edges.insert((from.clone(), to));
                }
            }
        }
        Self { edges }
    }

    /// Whether a top-level module uses another.
    pub(crate) fn has(&self, from: &str, to: &str) -> bool {
        let top = |module: &Module| module.first().cloned().unwrap_or_default();
        self.edges.iter().any(|(a, b)| top(a) == from && top(b) == to)
    }

    /// The circles among siblings, each as the sorted paths of those in it.
    pub(crate) fn circles(&self) -> BTreeSet<Vec<String>> {
        let mut levels: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (from, to) in &self.edges {
            let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            if let (Some(from_part), Some(to_part)) = (from.get(shared), to.get(shared)) {
                let parent = from.iter().take(shared).cloned().collect();
                let level = levels.entry(parent).or_default();
                level.entry(from_part.clone()).or_default().insert(to_part.clone());
            }
        }
        let mut found = BTreeSet::new();
        for (parent, level) in &levels {
            for name in level.keys() {
                let reached = reach(level, name);
                let circle = reached.iter().filter(|other| reach(level, other).contains(name));
                let circle: Vec<String> = circle
                    .map(|other| parent.iter().chain([other]).cloned().collect::<Vec<_>>())
                    .map(|path| path.join("::"))
                    .collect();
                if !circle.is_empty() {
                    found.insert(circle);
                }
            }
        }
        found
    }
}

fn reach(level: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for next in level.get(name).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}

/// The module that a file holds; `None` for tests.
fn module(path: &str) -> Option<Module> {
    let mut parts: Module = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if parts.iter().any(|part| part == "tests") {
        return None;
    }
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    Some(parts)
}

/// What a path names; `None` if it leads out of the crate.
fn resolve(from: &Module, path: &[String], modules: &BTreeMap<Module, &Source>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([from, rest].concat()),
        "super" => {
            let (_, parent) = from.split_last()?;
            let mut base = parent.to_vec();
            let ups = rest.iter().take_while(|part| *part == "super").count();
            base.truncate(base.len().saturating_sub(ups));
            base.extend(rest.iter().skip(ups).cloned());
            Some(base)
        }
        _ => {
            let child = [from.as_slice(), std::slice::from_ref(first)].concat();
            modules.contains_key(&child).then(|| [from, path].concat())
        }
    }
}

/// All paths of `use` declarations, and those elsewhere that begin at a module of the crate.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split(';') {
        match declaration(statement) {
            Some((before, tree)) => {
                rest.push_str(before);
                expand("", tree, &mut found);
            }
            None => rest.push_str(statement),
        }
        rest.push(';');
    }
    let is_path = |c: char| c == ':' || c == '_' || c.is_alphanumeric();
    for word in rest.split(|c| !is_path(c)) {
        if ["crate::", "self::", "super::"].iter().any(|start| word.starts_with(start)) {
            found.push(parts(word));
        }
    }
    found
}

/// The tree of a statement that ends in a `use` declaration, and what stands before it.
fn declaration(statement: &str) -> Option<(&str, &str)> {
    let at = statement.rfind("use ")?;
    let (before, tree) = (statement.get(..at)?, statement.get(at + 4..)?);
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    matches!(line, "" | "pub" | "pub(crate)" | "pub(super)").then_some((before, tree))
}

/// Writes out a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let Some((start, rest)) = tree.split_once('{') else {
        if !tree.is_empty() {
            found.push(parts(&format!("{prefix}{tree}")));
        }
        return;
    };
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let prefix = format!("{prefix}{}", start.trim());
    let (mut depth, mut branch) = (0, String::new());
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            expand(&prefix, &branch, found);
            branch.clear();
        } else {
            branch.push(c);
        }
    }
    expand(&prefix, &branch, found);
}

fn parts(path: &str) -> Vec<String> {
    let path = path.split(" as ").next().unwrap_or_default();
    let parts = path.split("::").map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty() && part != "*").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_found_between_the_modules_at_which_paths_part() {
        let uses = uses(&[
            ("a.rs", "use crate::b::{self, deep::Thing as Other};"),
            ("b.rs", "mod deep; use deep::Thing;"),
            ("b/deep.rs", "use super::Parent; fn f() { crate::c::g() }"),
            ("c/mod.rs", "pub(crate) use crate::{a::X, d::Y};"),
            ("d.rs", "use std::fmt; // use crate::c"),
        ]);
        let circle = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(uses.circles(), BTreeSet::from([circle]));
        assert!(uses.has("c", "d") && !uses.has("d", "c"));
    }

    #[test]
    fn parents_and_children_are_one_thing() {
        let uses = uses(&[
            ("a.rs", "mod x; mod y; use x::X;"),
            ("a/x.rs", "use super::A; use crate::a::y::Y;"),
            ("a/y.rs", "#[cfg(test)]\nmod tests {\n use super::super::x::X;\n}"),
        ]);
        assert_eq!(uses.circles(), BTreeSet::new());
    }

    fn uses(files: &[(&str, &str)]) -> Uses {
        let source = |(path, text): &(&str, &str)| Source::new(format!("s/{path}"), (*text).into());
        Uses::of(&files.iter().map(source).collect::<Vec<_>>(), "s/")
    }
}
