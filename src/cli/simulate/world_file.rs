//! A world in a file: TOML with plain numbers.
//!
//! ```toml
//! host = "api.example.com"   # whose `[[host]]` section applies
//! processes = 10
//! rps = 280            # over all processes; leave it out for one call of each process at once
//! seconds = 240
//! deadline = "2s"      # left out: the policy's
//! service = "100ms"    # the mean of an exponential spread
//! workers = 30         # left out: as many as requests come
//! queue = 1000
//! failing = 0.0        # the share of answers that are a 500
//! throttle = { each_tenth = 60, retry_after = "5s" }
//! trouble = { kind = "hangs", at = "30s", for = "10s" }   # hangs, fails, or slow with times = 10
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use crate::cli::failure::Failure;
use crate::simulate::compare::{Calls, Trouble, TroubleKind, World};

/// Reads a world from a file.
pub(super) fn read(path: &Path) -> Result<World, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("`{shown}` is no scenario and no readable file: {error}"))
            .hint("`spillgate simulate list` names the scenarios")
    })?;
    let refuse = |problem: String| Failure::usage(format!("{shown}: {problem}"));
    let table: Table = text.parse().map_err(|error| refuse(format!("{error}")))?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    world(name, &Section { name: "", table: &table }).map_err(refuse)
}

fn world(name: String, section: &Section<'_>) -> Result<World, String> {
    section.only(&[
        "host",
        "processes",
        "rps",
        "seconds",
        "deadline",
        "service",
        "workers",
        "queue",
        "failing",
        "throttle",
        "trouble",
    ])?;
    let lasting = section.number("seconds")?.unwrap_or(240.0);
    let lasting = Duration::try_from_secs_f64(lasting).map_err(|error| error.to_string())?;
    let calls = match section.number("rps")? {
        Some(rps) if rps > 0.0 => Calls::Steady { rps, lasting },
        Some(rps) => return Err(format!("rps = {rps} brings no call; expected above 0")),
        None => Calls::Herd,
    };
    let failing = section.number("failing")?.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&failing) {
        return Err(format!("failing = {failing} is no share; expected 0 to 1"));
    }
    Ok(World {
        name,
        host: section.text("host")?.unwrap_or_else(|| String::from("upstream")),
        processes: section.count("processes")?.unwrap_or(10).max(1),
        calls,
        deadline: section.time("deadline")?,
        service: section.time("service")?.unwrap_or(Duration::from_millis(5)),
        workers: section.count("workers")?,
        queue_max: section.count("queue")?.unwrap_or(usize::MAX),
        failing,
        throttle: section.section("throttle")?.map(|inner| throttle(&inner)).transpose()?,
        trouble: section.section("trouble")?.map(|inner| trouble(&inner)).transpose()?,
    })
}

fn throttle(section: &Section<'_>) -> Result<(usize, Duration), String> {
    section.only(&["each_tenth", "retry_after"])?;
    let each_tenth = section.count("each_tenth")?.ok_or("throttle needs `each_tenth`")?;
    Ok((each_tenth, section.time("retry_after")?.unwrap_or(Duration::from_secs(1))))
}

fn trouble(section: &Section<'_>) -> Result<Trouble, String> {
    section.only(&["kind", "at", "for", "times"])?;
    let kind = match section.table.get("kind").and_then(Value::as_str) {
        Some("hangs") => TroubleKind::Hangs,
        Some("fails") => TroubleKind::Fails,
        Some("slow") => TroubleKind::Slow(section.number("times")?.unwrap_or(10.0)),
        Some(_) | None => return Err(String::from("trouble needs `kind`: hangs, fails or slow")),
    };
    let at = section.time("at")?.unwrap_or(Duration::from_secs(30));
    let lasting = section.time("for")?.unwrap_or(Duration::from_secs(10));
    Ok(Trouble { at, lasting, kind })
}

/// A table of the file and its name.
struct Section<'a> {
    name: &'static str,
    table: &'a Table,
}

impl<'a> Section<'a> {
    fn only(&self, known: &[&str]) -> Result<(), String> {
        let Some(key) = self.table.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let place = if self.name.is_empty() { "" } else { " in " };
        Err(format!("unknown key `{key}`{place}{}; expected {}", self.name, known.join(", ")))
    }

    fn section(&self, name: &'static str) -> Result<Option<Section<'a>>, String> {
        let Some(value) = self.table.get(name) else { return Ok(None) };
        let table = value.as_table().ok_or_else(|| format!("{name}: expected a table"))?;
        Ok(Some(Section { name, table }))
    }

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let text = value.as_str().map(str::to_owned);
        text.map(Some).ok_or_else(|| format!("{key} = {value}: expected a text in quotes"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let whole = value.as_integer().and_then(|whole| i32::try_from(whole).ok()).map(f64::from);
        let number = value.as_float().or(whole).filter(|number| *number >= 0.0);
        number.map(Some).ok_or_else(|| format!("{key} = {value}: expected a number from 0"))
    }

    fn count(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let count = value.as_integer().and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| format!("{key} = {value}: expected a whole number from 0"))
    }

    fn time(&self, key: &str) -> Result<Option<Duration>, String> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let time = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        time.map(Some).ok_or_else(|| format!("{key} = {value}: expected a time such as \"2s\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn world_is_read_with_its_trouble() {
        let world = parse(
            "host = \"h\"\nrps = 280\nworkers = 30\ntrouble = { kind = \"slow\", times = 5.0 }",
        );
        let world = world.expect("it is a world");
        assert_eq!((world.host.as_str(), world.workers), ("h", Some(30)));
        let trouble = world.trouble.expect("it has trouble");
        assert_eq!(trouble.kind, TroubleKind::Slow(5.0));
    }

    #[test]
    fn slips_are_named() {
        let check = |text, told: &str| {
            let problem = parse(text).expect_err("it is no world");
            assert!(problem.contains(told), "{problem}");
        };
        check("host = 1", "expected a text");
        check("rpm = 1", "unknown key `rpm`");
        check("rps = 0", "brings no call");
        check("rps = \"fast\"", "expected a number");
        check("service = 5", "expected a time");
        check("trouble = { kind = \"odd\" }", "hangs, fails or slow");
        check("trouble = { kin = \"odd\" }", "unknown key `kin` in trouble");
    }

    fn parse(text: &str) -> Result<World, String> {
        let table: Table = text.parse().expect("it is TOML");
        world(String::from("test"), &Section { name: "", table: &table })
    }
}
