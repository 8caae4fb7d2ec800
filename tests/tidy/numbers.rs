//! Numbers as code and as documents write them.

use std::fmt;
use std::time::Duration;

/// A number with what it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Things, bytes or a share.
    Number(f64),
    /// Time.
    Time(Duration),
}

impl Value {
    /// Reads the value of a constant: products of numbers, times of products.
    pub(crate) fn of_code(expression: &str) -> Option<Self> {
        let expression = expression.trim();
        for (start, unit) in [
            ("Duration::from_secs(", Duration::from_secs(1)),
            ("Duration::from_millis(", Duration::from_millis(1)),
            ("Duration::from_micros(", Duration::from_micros(1)),
        ] {
            if let Some(inner) = expression.strip_prefix(start) {
                let amount = product(inner.strip_suffix(')')?)?;
                return Some(Self::Time(unit * u32::try_from(amount).ok()?));
            }
        }
        match expression.split_once("<<") {
            Some((one, bits)) => Some(number(product(one)? << product(bits)?)),
            None => product(expression)
                .map(number)
                .or_else(|| expression.parse().ok().map(Self::Number)),
        }
    }

    /// Reads what a document says: `100 µs`, `300 ms`, `5 s`, `10 MiB`, `1,000`, `0.1`.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim().replace(',', "");
        let (amount, unit) = text.split_once(' ').unwrap_or((&text, ""));
        let whole = || amount.parse::<u64>().ok();
        match unit {
            "" => amount.parse().ok().map(Self::Number),
            "µs" => Some(Self::Time(Duration::from_micros(whole()?))),
            "ms" => Some(Self::Time(Duration::from_millis(whole()?))),
            "s" => Some(Self::Time(Duration::from_secs(whole()?))),
            "KiB" => Some(number(whole()? << 10)),
            "MiB" => Some(number(whole()? << 20)),
            "TiB" => Some(number(whole()? << 40)),
            _ => None,
        }
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<f64> for Value {
    fn from(amount: f64) -> Self {
        Self::Number(amount)
    }
}

impl From<u32> for Value {
    fn from(amount: u32) -> Self {
        Self::Number(amount.into())
    }
}

impl From<u64> for Value {
    fn from(amount: u64) -> Self {
        number(amount)
    }
}

impl From<usize> for Value {
    fn from(amount: usize) -> Self {
        number(amount as u64)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(amount) => write!(f, "{amount}"),
            Self::Time(time) if time.subsec_nanos() == 0 => write!(f, "{} s", time.as_secs()),
            Self::Time(time) if time.as_micros().is_multiple_of(1_000) => {
                write!(f, "{} ms", time.as_millis())
            }
            Self::Time(time) => write!(f, "{} µs", time.as_micros()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "defaults are far below 2^53")]
fn number(amount: u64) -> Value {
    Value::Number(amount as f64)
}

fn product(expression: &str) -> Option<u64> {
    expression.split('*').try_fold(1_u64, |product, factor| {
        let factor = factor.trim().replace('_', "");
        product.checked_mul(factor.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_documents_mean_the_same() {
        for (code, text) in [
            ("8 * 1024", "8 KiB"),
            ("1_000", "1,000"),
            ("Duration::from_millis(300)", "300 ms"),
            ("Duration::from_micros(100)", "100 µs"),
            ("Duration::from_secs(365 * 24 * 3600)", "31,536,000 s"),
            ("1 << 40", "1 TiB"),
        ] {
            let value = Value::of_code(code);
            assert!(value.is_some() && value == Value::of_text(text), "{code} {text} {value:?}");
        }
        assert_eq!(Value::of_code("Mark::ReadEnd as usize + 1"), None);
        assert_eq!(Value::of_text("about 7"), None);
    }
}
