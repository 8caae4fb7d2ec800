//! Dates as HTTP writes them (RFC 9110 section 5.6.7).
//!
//! The three forms and nothing else, but names in any case: odd dates that other caches accept are
//! answered from the network by those that do not, and a date that is wrong must not pass for one
//! that is far away. Weekdays are read, not checked against the date.

use std::fmt;
use std::time::Duration;

/// A time of day in the world: what passed since 1970 began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub Duration);

impl Wall {
    /// The time so many seconds after 1970 began.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// What passed since an earlier time; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads a date of HTTP; `now` tells which century two digits mean.
    pub fn parse(text: &[u8], now: Self) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        imf_fixdate(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs().min(LAST_SECS);
        let (days, second) = (seconds / DAY_SECS, seconds % DAY_SECS);
        let (year, month, day) = civil(days);
        let weekday = usize::try_from((days + 4) % 7).ok().and_then(|day| WEEKDAYS.get(day));
        let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month));
        let (weekday, month) = (weekday.copied().unwrap_or_default(), month.copied());
        let month = month.unwrap_or_default();
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let weekday = weekday.get(..3).unwrap_or_default();
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<Wall> {
    let (weekday, rest) = text.split_once(", ")?;
    let [day, month, year, time, zone] = words(rest)?;
    let known = is_weekday(weekday, 3) && zone.eq_ignore_ascii_case("GMT");
    known.then_some(())?;
    assemble(digits(year, 4)?, month_of(month)?, digits(day, 2)?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: Wall) -> Option<Wall> {
    let (weekday, rest) = text.split_once(", ")?;
    let [date, time, zone] = words(rest)?;
    let known = is_weekday(weekday, usize::MAX) && zone.eq_ignore_ascii_case("GMT");
    known.then_some(())?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(())?;
    let (this_year, ..) = civil(now.0.as_secs() / DAY_SECS);
    // More than fifty years ahead means the century before (RFC 9110 section 5.6.7).
    let year = this_year - this_year % 100 + digits(year, 2)?;
    let year = if year > this_year + 50 { year - 100 } else { year };
    assemble(year, month_of(month)?, digits(day, 2)?, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<Wall> {
    let (weekday, rest) = text.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let [time, year] = words(rest.strip_prefix(' ')?)?;
    is_weekday(weekday, 3).then_some(())?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => digits(digit, 1)?,
        None => digits(day, 2)?,
    };
    assemble(digits(year, 4)?, month_of(month)?, day, time)
}

fn words<const COUNT: usize>(text: &str) -> Option<[&str; COUNT]> {
    let words: Vec<&str> = text.split(' ').collect();
    words.try_into().ok()
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
    text.parse().ok()
}

fn is_weekday(text: &str, letters: usize) -> bool {
    WEEKDAYS.iter().any(|day| {
        day.get(..letters.min(day.len())).is_some_and(|day| day.eq_ignore_ascii_case(text))
    })
}

fn month_of(text: &str) -> Option<u64> {
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(text))?;
    Some(at as u64 + 1)
}

fn assemble(year: u64, month: u64, day: u64, time: &str) -> Option<Wall> {
    let mut parts = time.split(':');
    let mut part = || digits(parts.next()?, 2);
    let (hour, minute, second) = (part()?, part()?, part()?);
    parts.next().is_none().then_some(())?;
    let in_range = day >= 1 && day <= month_days(year, month) && hour < 24 && minute < 60;
    // A leap second is written as 60.
    (in_range && second <= 60 && year >= 1970).then_some(())?;
    let days = days_before(year, month) + day - 1;
    Some(Wall::from_secs(days * DAY_SECS + hour * 3_600 + minute * 60 + second))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| month_days(year, month)).sum::<u64>()
}

/// Year, month and day of a day since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // A year has at most 366 days, so this starts at or before the right one.
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_before(year, month + 1) <= days {
        month += 1;
    }
    (year, month, days - days_before(year, month) + 1)
}

const DAY_SECS: u64 = 86_400;
/// The last second of the year 9999, beyond which no date can be written.
const LAST_SECS: u64 = 253_402_300_799;
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00
    const NOW: Wall = Wall::from_secs(1_795_348_800);

    fn parse(text: &str) -> Option<u64> {
        Wall::parse(text.as_bytes(), NOW).map(|wall| wall.0.as_secs())
    }

    #[test]
    fn three_forms_mean_the_same_second() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gmt",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "0",
            "-1",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 30 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18:00 GMT",
            "Thu, 18 Aug 1050 02:01:18 GMT",
            "Foo, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Foo, 06-Nov-94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 UTC",
            "Foo Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_part_has_its_bounds() {
        for (within, beyond) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"),
            ("Thu, 18 Aug 2050 23:59:60 GMT", "Thu, 18 Aug 2050 23:59:61 GMT"),
            ("Thu, 18 Aug 2050 23:59:59 GMT", "Thu, 18 Aug 2050 23:60:59 GMT"),
            ("Thu, 01 Aug 2050 00:00:00 GMT", "Thu, 00 Aug 2050 00:00:00 GMT"),
            ("Sun, 31 Jul 2050 00:00:00 GMT", "Sun, 32 Jul 2050 00:00:00 GMT"),
            ("Fri, 30 Sep 2050 00:00:00 GMT", "Fri, 31 Sep 2050 00:00:00 GMT"),
            ("Tue, 29 Feb 2000 00:00:00 GMT", "Mon, 29 Feb 2100 00:00:00 GMT"),
            ("Thu, 29 Feb 2024 00:00:00 GMT", "Sun, 29 Feb 2026 00:00:00 GMT"),
            ("Sun Nov  6 08:49:37 1994", "Sun Nov  6 08:49:37 994"),
            ("Sun Nov 16 08:49:37 1994", "Sun Nov 6 08:49:37 1994"),
        ] {
            assert!(parse(within).is_some() && parse(beyond).is_none(), "{within} | {beyond}");
        }
        assert_eq!(parse("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
        assert_eq!(parse("Mon, 01 Mar 2100 00:00:00 GMT"), Some(4_107_542_400));
    }

    #[test]
    fn two_digits_mean_the_nearest_fifty_years() {
        assert_eq!(
            parse("Thursday, 18-Aug-50 02:01:18 GMT"),
            parse("Thu, 18 Aug 2050 02:01:18 GMT")
        );
        assert_eq!(
            parse("Tuesday, 18-Aug-76 02:01:18 GMT"),
            parse("Tue, 18 Aug 2076 02:01:18 GMT")
        );
        assert_eq!(
            parse("Thursday, 18-Aug-77 02:01:18 GMT"),
            parse("Thu, 18 Aug 1977 02:01:18 GMT")
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for seconds in [0, 784_111_777, 951_782_400, 1_795_348_800, 4_102_444_799, LAST_SECS] {
            let text = Wall::from_secs(seconds).to_string();
            assert_eq!(parse(&text), Some(seconds), "{text}");
        }
        assert_eq!(Wall(Duration::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(Wall::from_secs(784_111_777).to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
