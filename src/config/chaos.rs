//! The `[[chaos]]` sections: faults to inject, if a program or a flag asks for them.

use spillgate_core::advice::ErrorKind;
use spillgate_core::chaos::{Dose, Harm, Strike, injectable};
use std::time::Duration;

use super::error::Problem;
use super::near::listed;
use super::pattern::HostPattern;
use super::place::{Places, Scope};
use super::route::RoutePattern;
use super::settings::ChaosSettings;
use super::shape::{ChaosShape, FaultShape};

/// Reads the sections; answers what cannot be meant.
pub(super) fn read(shapes: &[ChaosShape], places: &Places) -> (Vec<ChaosSettings>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut sections = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let scope = Scope::Chaos(index);
        match section(shape) {
            Ok(section) => sections.push(section),
            Err((key, text)) => problems.push(places.told(&scope, key, &text)),
        }
    }
    (sections, problems)
}

fn section(shape: &ChaosShape) -> Result<ChaosSettings, (&'static str, String)> {
    let host = shape.host.as_ref().map(|text| text.0.clone());
    let route = shape.route.as_ref().map(|text| text.0.clone());
    if let Some(text) = &host {
        HostPattern::parse(text).map_err(|problem| ("host", problem))?;
    }
    if let Some(text) = &route {
        RoutePattern::parse(text).map_err(|problem| ("route", problem))?;
    }
    let dose = Dose {
        from: shape.from.map_or(Duration::ZERO, |from| from.0),
        until: shape.until.map(|until| until.0),
        times_max: shape.times.map(|times| u64::from(times.0)),
        ..Dose::new(harm(shape)?, shape.share.0)
    };
    dose.check().map_err(|error| {
        let text = format!("{}: {}", error.setting, error.problem);
        (error.setting, text.replacen("; expected ", ", expected ", 1))
    })?;
    Ok(ChaosSettings { dose, host, route })
}

fn harm(shape: &ChaosShape) -> Result<Harm, (&'static str, String)> {
    let lacks = |key: &str, expected: &str| {
        let fault = shape.fault.name();
        Err(("fault", format!("a fault `{fault}` needs `{key}`, expected {expected}")))
    };
    let strike = match shape.fault {
        FaultShape::Latency => {
            let Some(least) = shape.latency else {
                return lacks("latency", "a time such as \"200ms\"");
            };
            let jitter = shape.jitter.map_or(Duration::ZERO, |jitter| jitter.0);
            return Ok(Harm::Latency { least: least.0, most: least.0.saturating_add(jitter) });
        }
        FaultShape::Error => {
            let names: Vec<&str> = injectable().map(ErrorKind::name).collect();
            let Some(name) = &shape.error else { return lacks("error", &listed(&names)) };
            let kind = injectable().find(|kind| kind.name() == name.0);
            let unknown = || format!("no network brings `{}`, expected {}", name.0, listed(&names));
            Strike::Error(kind.ok_or_else(|| ("error", unknown()))?)
        }
        FaultShape::Status => {
            let Some(code) = shape.status else { return lacks("status", "a status such as 503") };
            let code = u16::try_from(code.0).unwrap_or_default();
            Strike::Status { code, retry_after: shape.retry_after.map(|time| time.0) }
        }
        FaultShape::Hang => Strike::Hang,
        FaultShape::Truncate => Strike::Truncate,
        FaultShape::Stall => Strike::Stall,
    };
    Ok(Harm::Strike(strike))
}

impl FaultShape {
    fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Status => "status",
            Self::Hang => "hang",
            Self::Truncate => "truncate",
            Self::Stall => "stall",
        }
    }
}
