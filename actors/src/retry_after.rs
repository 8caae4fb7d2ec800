//! The `Retry-After` header (RFC 9110 section 10.2.3): seconds or a date.

use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use spillgate_core::deadline::saturating_add;

/// When the upstream wants to be asked again; `None` for no header, a past date, or junk.
pub(crate) fn read(headers: &HeaderMap, now: Instant, wall: SystemTime) -> Option<Instant> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if is_number(text) => Duration::MAX,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(wall).ok()?,
    };
    (!delay.is_zero()).then(|| saturating_add(now, delay))
}

/// A number too large for 64 bits is still a number.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

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
}
