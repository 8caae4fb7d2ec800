//! How flags are read: each text becomes a value that can work, or says what was expected.

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use spillgate_actors::core::call::Priority;
use url::Url;

/// A header, its value kept out of every `Debug`.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// Reads `250ms`, `2s`, `1m 30s`; more than zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text.trim());
    let duration =
        read.map_err(|_| "expected a time with its unit, such as `500ms`, `10s` or `2m`")?;
    if duration.is_zero() {
        return Err("0 leaves no time at all; expected more than zero, such as `500ms`".to_owned());
    }
    if duration > DURATION_MAX {
        return Err("expected at most a year".to_owned());
    }
    Ok(duration)
}

/// Reads a whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<NonZeroU32, String> {
    text.trim().parse().map_err(|_| "expected a whole number of at least 1".to_owned())
}

/// Reads an HTTP method; the usual ones in any case.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let name = if usual.contains(&upper.as_str()) { &upper } else { text };
    if name.eq_ignore_ascii_case("CONNECT") {
        return Err("a tunnel is no request; expected a method such as GET or POST".to_owned());
    }
    Method::from_bytes(name.as_bytes())
        .map_err(|_| "expected a method such as GET or POST".to_owned())
}

/// Reads `Name: value`. The value may be a secret, so that no error shows it.
pub(crate) fn header(text: &str) -> Result<Header, String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("a header without `:`; expected `Name: value`".to_owned());
    };
    let name: HeaderName = name.trim_end_matches([' ', '\t']).parse().map_err(|_| {
        "the header's name is malformed; expected letters, digits and `-`".to_owned()
    })?;
    let value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| {
        format!(
            "the value of `{name}` has a line break or another control character; expected visible \
             characters"
        )
    });
    let mut value = value?;
    value.set_sensitive(true);
    Ok(Header { name, value })
}

/// Reads the name of a priority.
pub(crate) fn priority(text: &str) -> Result<Priority, String> {
    Priority::ALL
        .into_iter()
        .find(|priority| priority.name().eq_ignore_ascii_case(text.trim()))
        .ok_or_else(|| "expected critical, foreground, normal or background".to_owned())
}

/// Reads the base URL of a collector.
pub(crate) fn collector(text: &str) -> Result<Url, String> {
    const EXPECTED: &str = "expected the collector's base URL, http or https";
    let url = Url::parse(text.trim()).map_err(|cause| format!("{cause}; {EXPECTED}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(EXPECTED.to_owned());
    }
    Ok(url)
}

/// Beyond it a timer cannot be relied upon.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_some_time() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration(" 250ms "), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "0s", "0ms", "-1s", "fast", "2000000 years"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_need_a_colon_and_no_line_break() {
        let read = header("X-Key:  v:1 ").ok().unwrap();
        assert_eq!((read.name.as_str(), read.value.to_str().unwrap()), ("x-key", "v:1"));
        assert!(header("Accept:").is_ok());
        for bad in ["canary", "X\n: canary", "X: canary\r\nY: 1", "X: canary\ny", ": canary"] {
            let Err(error) = header(bad) else { panic!("{bad:?} was taken") };
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn methods_are_tokens_and_the_usual_ones_upper_case() {
        assert_eq!(method("post"), Ok(Method::POST));
        assert_eq!(method("PURGE").unwrap().as_str(), "PURGE");
        for bad in ["", "A B", "connect", "GET\n"] {
            assert!(method(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(positive("6").map(NonZeroU32::get), Ok(6));
        for bad in ["0", "-1", "six", "1.5", ""] {
            assert!(positive(bad).is_err(), "{bad}");
        }
    }
}
