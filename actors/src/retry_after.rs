//! When a server wants to be asked again: `Retry-After` (RFC 9110 section 10.2.3), seconds or a date,
//! and `x-amz-retry-after`, milliseconds, which goes before it where both are given.

use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use spillgate_core::deadline::saturating_add;

/// When the upstream wants to be asked again; `None` for no header, a past date, or junk.
pub(crate) fn read(headers: &HeaderMap, now: Instant, wall: SystemTime) -> Option<Instant> {
    let delay = of_aws(headers).or_else(|| of_standard(headers, wall))?;
    (!delay.is_zero()).then(|| saturating_add(now, delay))
}

fn of_aws(headers: &HeaderMap) -> Option<Duration> {
    number(text(headers, AWS)?).map(Duration::from_millis)
}

fn of_standard(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = text(headers, RETRY_AFTER.as_str())?;
    if let Some(number) = number(text) {
        return Some(Duration::from_secs(number));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(wall).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The number that a text is; one too large for 64 bits is the largest of them.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

const AWS: &str = "x-amz-retry-after";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_dates_and_extremes_are_read_and_junk_is_not() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let check = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            read(&headers, now, wall).map(|at| at - now)
        };
        assert_eq!(check("2"), Some(Duration::from_secs(2)));
        assert_eq!(check(" 2 "), Some(Duration::from_secs(2)));
        let date = httpdate::fmt_http_date(wall + Duration::from_secs(100));
        let read = check(&date).expect("a date is read");
        assert!(read > Duration::from_secs(98) && read <= Duration::from_secs(100));
        assert!(check("1000000000") >= Some(Duration::from_secs(900_000_000)));
        assert!(check("99999999999999999999999") > Some(Duration::from_secs(900_000_000)));
        for junk in ["-5", "soon", "", "1.5", "0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(check(junk), None, "{junk}");
        }
    }

    /// aws-sdk-go-v2#3400.
    #[test]
    fn milliseconds_of_aws_go_before_the_standard_unless_they_are_junk() {
        let now = Instant::now();
        let check = |aws: &str, standard: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AWS, aws.parse().unwrap());
            if let Some(standard) = standard {
                headers.insert(RETRY_AFTER, standard.parse().unwrap());
            }
            read(&headers, now, SystemTime::now()).map(|at| at - now)
        };
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(check("1500", None), ms(1_500));
        assert_eq!(check("1500", Some("30")), ms(1_500));
        assert_eq!(check("invalid", Some("30")), ms(30_000));
        assert_eq!(check("0", Some("30")), None);
        for junk in ["invalid", "-1", "1.5", ""] {
            assert_eq!(check(junk, None), None, "{junk}");
        }
        assert!(check("99999999999999999999999", None) > ms(900_000_000_000));
    }
}
