//! What happened, as a digest to compare and as lines to read.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// A run's log.
#[derive(Debug, Clone)]
pub(crate) enum Log {
    Off,
    Digest(DefaultHasher),
    Print(Instant),
}

impl Log {
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    pub(crate) fn write(&mut self, now: u64, line: &str) {
        match self {
            Self::Off => {}
            Self::Digest(hasher) => (now, line).hash(hasher),
            Self::Print(base) => {
                let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
                println!("{seconds:>5}.{micros:06} {}", relative(*base, line));
            }
        }
    }

    pub(crate) fn digest(&self) -> Option<u64> {
        match self {
            Self::Digest(hasher) => Some(hasher.finish()),
            Self::Off | Self::Print(_) => None,
        }
    }
}

/// Rewrites each `Instant { tv_sec: S, tv_nsec: N }` as seconds since `base`.
fn relative(base: Instant, line: &str) -> String {
    let Some(base) = nanos(&format!("{base:?}")) else { return line.to_owned() };
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("Instant {") {
        out.push_str(before);
        let (inside, after) = after.split_once('}').unwrap_or((after, ""));
        let since = nanos(inside).map_or(0, |at| at - base);
        let (seconds, micros) = (since / 1_000_000_000, since / 1_000 % 1_000_000);
        let _ = write!(out, "@{seconds}.{:06}", micros.abs());
        rest = after;
    }
    out + rest
}

fn nanos(text: &str) -> Option<i128> {
    let number = |name: &str| {
        let (_, after) = text.split_once(name)?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<i128>().ok()
    };
    Some(number("tv_sec: ")? * 1_000_000_000 + number("tv_nsec: ")?)
}
