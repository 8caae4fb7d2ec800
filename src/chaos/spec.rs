//! Chaos in one line, for flags and variables:
//! `latency=0.1:200ms-800ms,error=0.05:connection_refused,seed=7,host=*.example.com`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use spillgate_core::advice::ErrorKind;
use spillgate_core::chaos::injectable;

use super::{Chaos, Fault};
use crate::config::near::{listed, nearest};
use crate::config::pattern::HostPattern;
use crate::config::route::RoutePattern;

/// Says what is wrong with chaos in one line: where, what was expected, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosSpecError {
    /// The item's number, from 1, and its text; none if all of it is meant.
    item: Option<(usize, String)>,
    problem: String,
    expected: String,
    hint: Option<String>,
}

/// What is wrong with an item.
struct Slip {
    problem: String,
    expected: String,
    hint: Option<String>,
}

/// What holds for all faults of the line.
#[derive(Default)]
struct Bounds {
    from: Option<Duration>,
    until: Option<Duration>,
    times: Option<u64>,
}

impl FromStr for Chaos {
    type Err = ChaosSpecError;

    /// Reads items separated by commas: faults `latency=SHARE:TIME`, `latency=SHARE:TIME-TIME`,
    /// `error=SHARE:KIND`, `status=SHARE:CODE` or `status=SHARE:CODE:RETRY_AFTER`, `hang=SHARE`,
    /// `truncate=SHARE`, `stall=SHARE`; and for all of them `seed=N`, `host=PATTERN`,
    /// `route=ROUTE`, `from=TIME`, `until=TIME`, `times=N`.
    fn from_str(text: &str) -> Result<Self, ChaosSpecError> {
        let mut chaos = Self::default();
        let mut bounds = Bounds::default();
        for (item, number) in text.split(',').zip(1..) {
            let slip = |Slip { problem, expected, hint }| {
                let item = Some((number, item.trim().to_owned()));
                ChaosSpecError { item, problem, expected, hint }
            };
            chaos = take(chaos, &mut bounds, item.trim()).map_err(slip)?;
        }
        if chaos.faults.is_empty() {
            let problem = "it injects nothing".to_owned();
            let expected = format!("{} with a share, such as `{EXAMPLE}`", listed(&FAULTS));
            return Err(ChaosSpecError { item: None, problem, expected, hint: None });
        }
        for fault in &mut chaos.faults {
            fault.dose.from = bounds.from.unwrap_or_default();
            fault.dose.until = bounds.until;
            fault.dose.times_max = bounds.times;
        }
        if let Some(error) = chaos.faults.iter().find_map(|fault| fault.dose.check().err()) {
            let (problem, expected) = halves(&error.problem, "; expected ");
            let problem = format!("{}: {problem}", error.setting);
            return Err(ChaosSpecError { item: None, problem, expected, hint: None });
        }
        Ok(chaos)
    }
}

fn take(chaos: Chaos, bounds: &mut Bounds, item: &str) -> Result<Chaos, Slip> {
    let Some((word, value)) = item.split_once('=') else {
        let hint = nearest(item, &FAULTS).map(|word| format!("write `{word}=0.1`"));
        return Err(Slip { hint, ..slip("an item without `=`", format!("such as `{EXAMPLE}`")) });
    };
    let (word, value) = (word.trim(), value.trim());
    let chaos = match word {
        "latency" => chaos.fault(latency(value)?),
        "error" => chaos.fault(error(value)?),
        "status" => chaos.fault(status(value)?),
        "hang" => chaos.hang(share(value)?),
        "truncate" => chaos.truncate(share(value)?),
        "stall" => chaos.stall(share(value)?),
        "seed" => Chaos { seed: whole(value)?, ..chaos },
        "host" => {
            HostPattern::parse(value).map_err(|text| told(&text))?;
            chaos.on(value)
        }
        "route" => {
            RoutePattern::parse(value).map_err(|text| told(&text))?;
            chaos.route(value)
        }
        "from" => {
            bounds.from = Some(time(value)?);
            chaos
        }
        "until" => {
            bounds.until = Some(time(value)?);
            chaos
        }
        "times" => {
            bounds.times = Some(whole(value)?);
            chaos
        }
        other => {
            let words = [&FAULTS[..], &BOUNDS[..]].concat();
            let hint = nearest(other, &words).map(|word| format!("did you mean `{word}`?"));
            return Err(Slip { hint, ..slip(format!("unknown `{other}`"), listed(&words)) });
        }
    };
    Ok(chaos)
}

fn latency(value: &str) -> Result<Fault, Slip> {
    let (share_text, times) = pair(value, "a share and a time, such as `0.1:200ms-800ms`")?;
    let (least, most) = times.split_once('-').unwrap_or((times, times));
    Ok(Fault::latency(share(share_text)?, time(least)?..=time(most)?))
}

fn error(value: &str) -> Result<Fault, Slip> {
    let (share_text, name) = pair(value, "a share and a kind, such as `0.05:connection_refused`")?;
    let share = share(share_text)?;
    let Some(kind) = injectable().find(|kind| kind.name() == name) else {
        let names: Vec<&str> = injectable().map(ErrorKind::name).collect();
        let hint = nearest(name, &names).map(|name| format!("did you mean `{name}`?"));
        return Err(Slip { hint, ..slip(format!("no network brings `{name}`"), listed(&names)) });
    };
    Ok(Fault::errors(share, kind))
}

fn status(value: &str) -> Result<Fault, Slip> {
    let (share_text, rest) = pair(value, "a share and a status, such as `0.02:503`")?;
    let (code, retry_after) = match rest.split_once(':') {
        Some((code, after)) => (code, Some(time(after)?)),
        None => (rest, None),
    };
    let code = code.parse().ok().filter(|code| (200..=599).contains(code));
    let code = code.ok_or_else(|| slip("no status", "a number from 200 to 599".to_owned()))?;
    let fault = Fault::status(share(share_text)?, code);
    Ok(retry_after.into_iter().fold(fault, Fault::retry_after))
}

fn pair<'a>(value: &'a str, expected: &str) -> Result<(&'a str, &'a str), Slip> {
    value.split_once(':').ok_or_else(|| slip("a value without `:`", expected.to_owned()))
}

fn share(value: &str) -> Result<f64, Slip> {
    let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| {
        let percent = value.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
        let hint = percent.map(|percent| format!("write `{}`", percent / 100.0));
        let expected = "a share from 0 to 1, such as `0.1`".to_owned();
        Slip { hint, ..slip(format!("`{value}` is no share"), expected) }
    })
}

fn time(value: &str) -> Result<Duration, Slip> {
    humantime::parse_duration(value.trim()).map_err(|_| {
        let bare = value.trim().parse::<u64>().ok();
        let hint = bare.map(|number| format!("write `{number}ms` or `{number}s`"));
        let expected = "a time with its unit, such as `200ms` or `2s`".to_owned();
        Slip { hint, ..slip(format!("`{value}` is no time"), expected) }
    })
}

fn whole(value: &str) -> Result<u64, Slip> {
    let refusal = || slip(format!("`{value}` is no number"), "a whole number".to_owned());
    value.parse().map_err(|_| refusal())
}

fn slip(problem: impl Into<String>, expected: String) -> Slip {
    Slip { problem: problem.into(), expected, hint: None }
}

/// A problem whose text carries its expectation.
fn told(text: &str) -> Slip {
    let (problem, expected) = halves(text, ", expected ");
    slip(problem, expected)
}

fn halves(text: &str, seam: &str) -> (String, String) {
    let (problem, expected) = text.split_once(seam).unwrap_or((text, "another value"));
    (problem.to_owned(), expected.to_owned())
}

impl ChaosSpecError {
    /// What was probably meant, if that is near.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for ChaosSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, problem, expected, .. } = self;
        if let Some((number, item)) = item {
            write!(f, "item {number} `{item}`: ")?;
        }
        write!(f, "{problem}; expected {expected}")
    }
}

impl std::error::Error for ChaosSpecError {}

const FAULTS: [&str; 6] = ["latency", "error", "status", "hang", "truncate", "stall"];
const BOUNDS: [&str; 6] = ["seed", "host", "route", "from", "until", "times"];
const EXAMPLE: &str = "latency=0.1:200ms-800ms";

#[cfg(test)]
mod tests {
    use spillgate_core::chaos::{Dose, Harm, Strike};

    use super::*;

    #[test]
    fn a_line_says_what_the_builder_says() {
        let text = "latency=0.1:200ms-800ms, latency=0.5:1s,error=0.05:connection_refused,\
                    status=0.02:503,status=1:429:2s,hang=0.01,truncate=0.01,stall=0.5,seed=7,\
                    host=*.example.com,route=GET /v1/*,from=1s,until=1m,times=9";
        let chaos: Chaos = text.parse().unwrap();
        let ms = Duration::from_millis;
        let built = Chaos::seeded(7)
            .latency(0.1, ms(200)..=ms(800))
            .latency(0.5, ms(1_000)..=ms(1_000))
            .errors(0.05, ErrorKind::ConnectionRefused)
            .status(0.02, 503)
            .fault(Fault::status(1.0, 429).retry_after(ms(2_000)))
            .hang(0.01)
            .truncate(0.01)
            .stall(0.5);
        assert_eq!((chaos.seed, chaos.faults.len()), (7, 8));
        for (read, built) in chaos.faults.iter().zip(&built.faults) {
            let (from, until) = (ms(1_000), Some(ms(60_000)));
            assert_eq!(read.dose, Dose { from, until, times_max: Some(9), ..built.dose });
        }
        assert!(matches!(chaos.faults[5].dose.harm, Harm::Strike(Strike::Hang)));
        assert_eq!(chaos.reach.host.as_deref(), Some("*.example.com"));
        assert_eq!(chaos.reach.route.as_deref(), Some("GET /v1/*"));
    }

    #[test]
    fn slips_name_their_place_and_what_was_expected() {
        for (text, said, hint) in [
            ("", "item 1 ``: an item without `=`; expected such as `latency=", None),
            ("hang", "item 1 `hang`: an item without `=`", Some("write `hang=0.1`")),
            (
                "hang=0.1,eror=1:x",
                "item 2 `eror=1:x`: unknown `eror`",
                Some("did you mean `error`?"),
            ),
            ("hang=5%", "`5%` is no share; expected a share from 0 to 1", Some("write `0.05`")),
            ("hang=2", "`2` is no share", None),
            ("latency=0.1", "without `:`; expected a share and a time", None),
            ("latency=0.1:200", "`200` is no time", Some("write `200ms` or `200s`")),
            ("latency=0.1:2s-1s", "latency: 2s is more than 1s", None),
            (
                "error=0.1:connection_refuse",
                "no network brings",
                Some("did you mean `connection_refused`?"),
            ),
            ("error=0.1:circuit_open", "expected one of `connection_refused`", None),
            ("status=0.1:99", "expected a number from 200 to 599", None),
            ("status=0.1:503:2", "`2` is no time", Some("write `2ms` or `2s`")),
            (
                "hang=1,host=http://a",
                "item 2 `host=http://a`: a host pattern is no URL; expected",
                None,
            ),
            ("hang=1,route=v1", "a route is a path; expected", None),
            ("hang=1,seed=x", "`x` is no number", None),
            ("hang=1,from=2s,until=1s", "until: ends before it begins", None),
            ("seed=7", "it injects nothing; expected one of `latency`", None),
        ] {
            let error = text.parse::<Chaos>().unwrap_err();
            assert!(error.to_string().contains(said), "{text}: {error}");
            assert_eq!(error.hint(), hint, "{text}");
        }
    }
}
