//! What a server tells of the quota that is left: `RateLimit` and its forerunners.
//!
//! Three spellings are in use: `RateLimit: "default";r=50;t=30` (draft-ietf-httpapi-ratelimit-headers
//! since 08), `RateLimit: limit=100, remaining=50, reset=30` or the same as three headers (before),
//! and `X-RateLimit-*`, whose reset is a delay or a Unix time in seconds or milliseconds. What does
//! not read as one of them is no quota.

use std::time::Duration;

/// What is left, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests that may still be sent.
    pub remaining: u64,
    /// When the quota is renewed, counted from the answer.
    pub reset: Duration,
}

impl Quota {
    /// Reads the quota of an answer; `header` finds a header's value by its lower-case name and
    /// `unix_now` is the time since 1970.
    pub fn read<'a>(
        header: impl Fn(&'static str) -> Option<&'a [u8]>,
        unix_now: Duration,
    ) -> Option<Self> {
        let text = |name| header(name).and_then(|value| std::str::from_utf8(value).ok());
        if let Some(limits) = text("ratelimit") {
            let policies = text("ratelimit-policy").unwrap_or_default();
            return tightest(limits, policies);
        }
        PAIRS.iter().find_map(|(remaining, reset)| {
            let remaining = number(text(remaining)?)?;
            let reset = delay(number(text(reset)?)?, unix_now)?;
            Some(Self { remaining, reset })
        })
    }
}

/// The member of a `RateLimit` list that leaves least.
fn tightest(limits: &str, policies: &str) -> Option<Quota> {
    let old = old_member(limits).into_iter();
    let members = pieces(limits, ',').filter_map(|member| new_member(member, policies));
    old.chain(members).min_by_key(|quota| (quota.remaining, std::cmp::Reverse(quota.reset)))
}

fn new_member(member: &str, policies: &str) -> Option<Quota> {
    let remaining = number(parameter(member, "r")?)?;
    let window = || {
        let name = pieces(member, ';').next()?;
        let mut known = pieces(policies, ',');
        let policy = known.find(|policy| pieces(policy, ';').next() == Some(name))?;
        parameter(policy, "w")
    };
    let reset = number(parameter(member, "t").or_else(window)?)?;
    (reset > 0).then(|| Quota { remaining, reset: Duration::from_secs(reset) })
}

fn old_member(limits: &str) -> Option<Quota> {
    let value = |key: &str| {
        let pair = pieces(limits, ',').find_map(|pair| pair.split_once('=').filter(|p| p.0 == key));
        number(pair?.1)
    };
    let (remaining, reset) = (value("remaining")?, value("reset")?);
    (reset > 0).then(|| Quota { remaining, reset: Duration::from_secs(reset) })
}

fn parameter<'a>(member: &'a str, key: &str) -> Option<&'a str> {
    let mut parameters = pieces(member, ';').skip(1);
    parameters.find_map(|parameter| Some(parameter.split_once('=').filter(|p| p.0 == key)?.1))
}

/// The pieces between separators that are not within quotes, trimmed.
fn pieces(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |character| {
        let was_escaped = std::mem::take(&mut escaped);
        escaped = quoted && character == '\\' && !was_escaped;
        quoted ^= character == '"' && !was_escaped;
        character == separator && !quoted
    })
    .map(str::trim)
}

/// A whole number; some servers write `598.0`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    Some(whole.parse().unwrap_or(u64::MAX))
}

/// A reset as a delay, whichever way it is written; `None` when it has passed.
fn delay(reset: u64, unix_now: Duration) -> Option<Duration> {
    let delay = match reset {
        0 => return None,
        UNIX_MILLIS_MIN.. => Duration::from_millis(reset).checked_sub(unix_now)?,
        UNIX_SECONDS_MIN.. => Duration::from_secs(reset).checked_sub(unix_now)?,
        _ => Duration::from_secs(reset),
    };
    (!delay.is_zero()).then_some(delay)
}

/// Headers that come in pairs, the newest convention first.
const PAIRS: [(&str, &str); 4] = [
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset-after"),
];
/// From here on a number is a Unix time: as a delay it would be thirty years.
const UNIX_SECONDS_MIN: u64 = 1_000_000_000;
const UNIX_MILLIS_MIN: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn every_spelling_in_use_is_read() {
        check(&[("ratelimit", r#""default";r=50;t=30"#)], Some((50, 30_000)));
        check(&[("ratelimit", "limit=100, remaining=50, reset=30")], Some((50, 30_000)));
        check(&[("ratelimit-remaining", "7"), ("ratelimit-reset", "9")], Some((7, 9_000)));
        check(&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "9")], Some((7, 9_000)));
        let seconds = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000060")];
        check(&seconds, Some((0, 60_000)));
        let millis = [("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1800000000250")];
        check(&millis, Some((0, 250)));
        let floats = [("x-ratelimit-remaining", "598.0"), ("x-ratelimit-reset", "301")];
        check(&floats, Some((598, 301_000)));
    }

    #[test]
    fn tightest_of_several_quotas_counts() {
        check(&[("ratelimit", r#""day";r=900;t=80000, "burst";r=2;t=5"#)], Some((2, 5_000)));
        check(&[("ratelimit", r#""a";r=0;t=5, "b";r=0;t=60"#)], Some((0, 60_000)));
    }

    #[test]
    fn window_of_the_policy_stands_in_for_a_missing_time() {
        let policy = r#""other";q=1;w=1, "burst";q=100;w=60"#;
        check(&[("ratelimit", r#""burst";r=3"#), ("ratelimit-policy", policy)], Some((3, 60_000)));
        check(&[("ratelimit", r#""burst";r=3"#)], None);
    }

    #[test]
    fn quoted_separators_belong_to_the_name() {
        check(&[("ratelimit", r#""a,;r=1;\"t=1";r=4;t=2;pk=:YQ==:"#)], Some((4, 2_000)));
    }

    #[test]
    fn junk_past_and_unlimited_are_no_quota() {
        for junk in [
            "",
            ",",
            ";",
            "r=1",
            "\"",
            "\"a\";r=;t=1",
            "\"a\";r=-1;t=1",
            "\"a\";r=1;t=0",
            "remaining=1, reset=0",
        ] {
            check(&[("ratelimit", junk)], None);
        }
        check(&[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "9")], None);
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "soon")], None);
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1799999999")], None);
        check(&[("x-ratelimit-remaining", "0")], None);
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "0")], None);
        let huge = "99999999999999999999999999";
        let read = read(&[("x-ratelimit-remaining", huge), ("x-ratelimit-reset", huge)]);
        assert!(read.is_some_and(|quota| quota.remaining == u64::MAX));
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Option<(u64, u64)>) {
        let expected =
            expected.map(|(remaining, ms)| Quota { remaining, reset: Duration::from_millis(ms) });
        assert_eq!(read(headers), expected, "{headers:?}");
    }

    fn read(headers: &[(&str, &str)]) -> Option<Quota> {
        let find = |name: &str| headers.iter().find(|(known, _)| *known == name);
        Quota::read(|name| find(name).map(|(_, value)| value.as_bytes()), Duration::from_secs(NOW))
    }
}
