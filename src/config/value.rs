//! The values of a configuration: durations, sizes, counts, methods.
//!
//! Each is read from whatever stands there and says itself what it expected, so that
//! `deadline = 30` is answered with how a duration is written instead of with a type's name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::Ignored;
use url::Url;

use super::near;

/// A duration such as `"1m30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes such as `"64MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct ByteSize(pub(super) u64);

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Count<const LEAST: u32, const MOST: u32>(pub(super) u32);

/// A number, with or without fraction.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Number(pub(super) f64);

/// A text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Text(pub(super) String);

/// The name of an HTTP header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct HeaderText(pub(super) HeaderName);

/// The name of an HTTP method.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct MethodName(pub(super) Method);

/// A failure that a breaker overlooks: an error kind or a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct IgnoredFailure(pub(super) Ignored);

/// The base URL of a collector.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct CollectorUrl(pub(super) Url);

/// Any whole number.
pub(super) type Natural = Count<0, { u32::MAX }>;
/// A whole number above zero.
pub(super) type Positive = Count<1, { u32::MAX }>;

/// Whatever stands where a value is expected.
pub(super) enum Scalar {
    Integer(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    List,
    Table,
}

impl TryFrom<Scalar> for Span {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        const EXPECTED: &str = "a text such as \"30s\", \"250ms\" or \"1m30s\"";
        match &scalar {
            Scalar::Text(text) => match humantime::parse_duration(text) {
                Ok(duration) if duration <= DURATION_MAX => Ok(Self(duration)),
                Ok(_) => Err(format!("{scalar} is too long, expected at most \"365d\"")),
                Err(humantime::DurationError::UnknownUnit { unit, value, .. })
                    if unit.is_empty() =>
                {
                    Err(format!(
                        "{scalar} lacks its unit, expected {EXPECTED}{HINT}write \"{value}s\""
                    ))
                }
                Err(_) => Err(format!("{scalar} is no duration, expected {EXPECTED}")),
            },
            Scalar::Integer(number) if *number >= 0 => Err(format!(
                "{scalar} lacks its unit, expected {EXPECTED}{HINT}write \"{number}s\""
            )),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Flag(_)
            | Scalar::List
            | Scalar::Table => Err(format!("{scalar} is no duration, expected {EXPECTED}")),
        }
    }
}

impl TryFrom<Scalar> for ByteSize {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let bytes = match &scalar {
            Scalar::Integer(number) => u64::try_from(*number).ok(),
            Scalar::Text(text) => parse_bytes(text),
            Scalar::Float(_) | Scalar::Flag(_) | Scalar::List | Scalar::Table => None,
        };
        let bytes = bytes.filter(|bytes| *bytes > 0);
        let refusal = || {
            format!(
                "{scalar} is no size, expected a number of bytes above 0 or a text such as \
                 \"64MiB\" or \"10MB\""
            )
        };
        bytes.map(Self).ok_or_else(refusal)
    }
}

impl<const LEAST: u32, const MOST: u32> TryFrom<Scalar> for Count<LEAST, MOST> {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let count = match &scalar {
            Scalar::Integer(number) => u32::try_from(*number).ok(),
            Scalar::Float(_) | Scalar::Flag(_) | Scalar::Text(_) | Scalar::List | Scalar::Table => {
                None
            }
        };
        let refusal = match &scalar {
            Scalar::Integer(_) => "is out of range",
            Scalar::Float(_) | Scalar::Flag(_) | Scalar::Text(_) | Scalar::List | Scalar::Table => {
                "is no whole number"
            }
        };
        count.filter(|count| (LEAST..=MOST).contains(count)).map(Self).ok_or_else(|| {
            format!("{scalar} {refusal}, expected a whole number from {LEAST} to {MOST}")
        })
    }
}

impl TryFrom<Scalar> for Number {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match &scalar {
            Scalar::Float(number) => Ok(Self(*number)),
            Scalar::Integer(number) => i32::try_from(*number)
                .map(|number| Self(f64::from(number)))
                .map_err(|_| format!("{scalar} is out of range, expected a smaller number")),
            Scalar::Flag(_) | Scalar::Text(_) | Scalar::List | Scalar::Table => {
                Err(format!("{scalar} is no number, expected a number such as 0.5"))
            }
        }
    }
}

impl TryFrom<Scalar> for Text {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match &scalar {
            Scalar::Text(text) if !text.trim().is_empty() => Ok(Self(text.clone())),
            Scalar::Text(_) => Err("the text is empty, expected a text in quotes".to_owned()),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Flag(_)
            | Scalar::List
            | Scalar::Table => Err(format!("{scalar} is no text, expected a text in quotes")),
        }
    }
}

impl TryFrom<Scalar> for HeaderText {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let refusal = format!("{scalar} is no header, expected a name such as \"x-api-key\"");
        match scalar {
            Scalar::Text(text) => HeaderName::try_from(text).map(Self).map_err(|_| refusal),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Flag(_)
            | Scalar::List
            | Scalar::Table => Err(refusal),
        }
    }
}

impl TryFrom<Scalar> for MethodName {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let Scalar::Text(text) = &scalar else {
            return Err(format!("{scalar} is no method, expected a text such as \"GET\""));
        };
        parse_method(text).map(Self)
    }
}

impl TryFrom<Scalar> for IgnoredFailure {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        const EXPECTED: &str =
            "an error kind such as \"http_response_timeout\" or a status from 400 to 599";
        match &scalar {
            Scalar::Integer(number) => match u16::try_from(*number) {
                Ok(status @ 400..=599) => Ok(Self(Ignored::Status(status))),
                Ok(_) | Err(_) => Err(format!("{scalar} is no failure, expected {EXPECTED}")),
            },
            Scalar::Text(text) => {
                let kind = ErrorKind::ALL.iter().find(|kind| kind.name() == text);
                let names: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
                let hint = near::nearest(text, &names)
                    .map_or_else(String::new, |name| format!("{HINT}did you mean `{name}`?"));
                kind.map(|kind| Self(Ignored::Kind(*kind)))
                    .ok_or_else(|| format!("{scalar} is no error kind, expected {EXPECTED}{hint}"))
            }
            Scalar::Float(_) | Scalar::Flag(_) | Scalar::List | Scalar::Table => {
                Err(format!("{scalar} is no failure, expected {EXPECTED}"))
            }
        }
    }
}

impl TryFrom<Scalar> for CollectorUrl {
    type Error = String;

    /// Never repeats the text: an address may carry a password.
    fn try_from(scalar: Scalar) -> Result<Self, String> {
        const EXPECTED: &str = "a base URL such as \"http://127.0.0.1:4318\"";
        let Scalar::Text(text) = &scalar else {
            return Err(format!("{scalar} is no URL, expected {EXPECTED}"));
        };
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self(url)),
            Ok(_) => Err(format!("this is no http or https URL, expected {EXPECTED}")),
            Err(error) => Err(format!("this is no URL: {error}, expected {EXPECTED}")),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "the number {number}"),
            Self::Float(number) => write!(f, "the number {number}"),
            Self::Flag(flag) => write!(f, "the value {flag}"),
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::List => f.write_str("a list"),
            Self::Table => f.write_str("a table"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Scalar, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Table)
    }
}

/// Reads a method, which is upper case by convention and never folded.
pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    const EXPECTED: &str = "a method such as GET or POST";
    let upper = text.to_uppercase();
    if upper != text {
        return Err(format!("{text:?} is no method, expected {EXPECTED}{HINT}write `{upper}`"));
    }
    Method::from_str(text).map_err(|_| format!("{text:?} is no method, expected {EXPECTED}"))
}

/// Reads a whole number with an optional unit, decimal or binary.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Separates a hint from the message before it, within the one text that serde carries.
pub(super) const HINT: &str = "\nhint: ";

/// Longer times are slips, and far longer ones overflow a clock.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_decimal_and_binary_units() {
        let cases = [
            ("64MiB", Some(64 << 20)),
            ("10MB", Some(10_000_000)),
            ("1 KiB", Some(1024)),
            ("512", Some(512)),
            ("7b", Some(7)),
            ("20000000000GiB", None),
            ("MiB", None),
            ("-1MiB", None),
            ("1.5MiB", None),
            ("1MiBs", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations_have_units_and_an_end() {
        let read = |text: &str| Span::try_from(Scalar::Text(text.to_owned())).map(|span| span.0);
        assert_eq!(read("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert!(read("30").unwrap_err().ends_with("hint: write \"30s\""));
        for bad in ["", "-5s", "s", "366d", "99999999999999999999s"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
