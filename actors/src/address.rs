//! The URL of a request: whether it can be sent at all.

use spillgate_core::advice::ErrorKind;
use url::Url;

use crate::error::Error;

/// Reads a URL; the error says what was expected, never what was given.
pub(crate) fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |problem: String| Error::new(ErrorKind::InvalidRequest, problem);
    check_length(text)?;
    let url = Url::parse(text).map_err(|cause| {
        // The text itself may hold secrets, and is the caller's to show.
        invalid(format!("the URL is malformed ({cause}); expected http://host/path or https://"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme();
        return Err(invalid(format!("scheme `{scheme}` is not supported; expected http or https")));
    }
    Ok(url)
}

/// Refuses a URL that is too long, as a whole or after a query was added.
pub(crate) fn check_length(url: &str) -> Result<(), Error> {
    let length = url.len();
    if length <= URL_MAX {
        return Ok(());
    }
    let problem = format!("the URL has {length} bytes; expected at most {URL_MAX}");
    Err(Error::new(ErrorKind::InvalidRequest, problem))
}

/// The longest URL that is sent, in bytes.
const URL_MAX: usize = 8 * 1024;
