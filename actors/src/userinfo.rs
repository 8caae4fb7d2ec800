//! Credentials written into a URL, turned into the header they mean.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

/// Takes user name and password out of a URL and returns the `Authorization` they stand for.
pub(crate) fn take(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let encoded = BASE64_STANDARD.encode(pair);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(value)
}

/// The value of a basic `Authorization` header for `user:password`.
pub(crate) fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url_and_become_a_header() {
        let mut url = Url::parse("http://al%40x:p%3Aw@host/p").unwrap();
        let header = take(&mut url).unwrap();
        assert_eq!(header, "Basic YWxAeDpwOnc=");
        assert!(header.is_sensitive());
        assert_eq!(url.as_str(), "http://host/p");
        assert_eq!(take(&mut url), None);
    }
}
