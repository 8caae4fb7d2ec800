//! Takes the secrets out of a URL before it is shown anywhere: in a span, a log line, an error or a
//! page.
//!
//! Userinfo and fragment go whatever the settings; of the query, the values of keys that are known
//! to carry secrets.

use std::collections::HashSet;
use std::fmt::Write as _;

use url::Url;

/// The query keys whose values are not shown.
#[derive(Debug, Clone)]
pub(crate) struct Redaction {
    /// In lower case.
    keys: HashSet<String>,
}

impl Redaction {
    /// The keys known to carry secrets, and these too; the case of a key does not matter.
    pub(crate) fn new<I>(extra: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let known = SECRET_KEYS.iter().map(|key| (*key).to_owned());
        let extra = extra.into_iter().map(|key| key.as_ref().to_ascii_lowercase());
        Self { keys: known.chain(extra).collect() }
    }

    /// The URL without userinfo and fragment, and with `REDACTED` for each secret value.
    ///
    /// Everything else stays as it was written; a URL without secrets is copied once.
    pub(crate) fn redact(&self, url: &Url) -> String {
        let mut shown = String::with_capacity(url.as_str().len());
        shown.push_str(url.scheme());
        shown.push(':');
        if let Some(host) = url.host_str() {
            shown.push_str("//");
            shown.push_str(host);
            if let Some(port) = url.port() {
                let _ = write!(shown, ":{port}");
            }
        }
        shown.push_str(url.path());
        if let Some(query) = url.query() {
            shown.push('?');
            self.push_query(&mut shown, query);
        }
        shown
    }

    /// A URL as its author wrote it, as far as that shows no secret.
    ///
    /// What cannot be parsed can hold a secret anywhere: of that, what follows `?` or `#` and what
    /// precedes `@` is not shown.
    #[cfg(feature = "cli")]
    pub(crate) fn redact_given(&self, given: &str) -> String {
        let Ok(url) = Url::parse(given) else { return redact_unparsed(given) };
        let shown = self.redact(&url);
        let mut bare = url.clone();
        // A fragment names a place in the page unless it carries pairs, as tokens do.
        if url.fragment().is_none_or(|fragment| !fragment.contains('=')) {
            bare.set_fragment(None);
        }
        if bare.as_str() == shown { given.to_owned() } else { shown }
    }

    fn push_query(&self, shown: &mut String, query: &str) {
        for (position, pair) in query.split('&').enumerate() {
            if position > 0 {
                shown.push('&');
            }
            match pair.split_once('=') {
                Some((key, _)) if self.is_secret(key) => {
                    shown.push_str(key);
                    shown.push_str("=REDACTED");
                }
                Some(_) | None => shown.push_str(pair),
            }
        }
    }

    fn is_secret(&self, key: &str) -> bool {
        // An upstream decodes the key, so `%74oken` is a token as well; parsing decodes `+` too.
        let decoded = url::form_urlencoded::parse(key.as_bytes()).next();
        let Some((decoded, _)) = decoded else {
            return false;
        };
        // `token[]` and `filter[token]` are how some frameworks write lists and maps.
        let lower = decoded.trim().to_ascii_lowercase();
        lower.split(['[', ']']).any(|part| self.keys.contains(part))
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::new(std::iter::empty::<&str>())
    }
}

#[cfg(feature = "cli")]
fn redact_unparsed(given: &str) -> String {
    let end = given.find(['?', '#']).unwrap_or(given.len());
    let (front, back) = given.split_at(end);
    let mut shown = match front.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.find("://").and_then(|at| before.get(..at + 3)).unwrap_or_default();
            format!("{scheme}REDACTED@{after}")
        }
        None => front.to_owned(),
    };
    if let Some(mark) = back.chars().next() {
        shown.push(mark);
        shown.push_str("REDACTED");
    }
    shown
}

/// Query keys that carry secrets, in lower case: OpenTelemetry's list, and what services use.
const SECRET_KEYS: [&str; 22] = [
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "awsaccesskeyid",
    "signature",
    "sig",
    "x-goog-signature",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "key",
    "api_key",
    "api-key",
    "apikey",
    "password",
    "secret",
    "client_secret",
    "code",
    "auth",
    "session",
    "authorization",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(redaction: &Redaction, url: &str, expected: &str) {
        assert_eq!(redaction.redact(&Url::parse(url).unwrap()), expected, "{url}");
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        let redaction = Redaction::default();
        for (url, expected) in [
            ("https://h/p?a=1&b=2", "https://h/p?a=1&b=2"),
            ("https://h", "https://h/"),
            ("https://h:8443/p%20q?x=%2F", "https://h:8443/p%20q?x=%2F"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("https://user:canary@h/p", "https://h/p"),
            ("https://canary@h/p", "https://h/p"),
            ("https://h/p#access_token=canary", "https://h/p"),
            ("https://h/p?token=canary", "https://h/p?token=REDACTED"),
            ("https://h/p?a=1&Token=canary&b=2", "https://h/p?a=1&Token=REDACTED&b=2"),
            ("https://h/p?token=canary=canary", "https://h/p?token=REDACTED"),
            ("https://h/p?%74oken=canary", "https://h/p?%74oken=REDACTED"),
            ("https://h/p?token%5B%5D=canary", "https://h/p?token%5B%5D=REDACTED"),
            ("https://h/p?f[token]=canary", "https://h/p?f[token]=REDACTED"),
            ("https://h/p?+token=canary", "https://h/p?+token=REDACTED"),
            ("https://h/p?token", "https://h/p?token"),
            ("https://h/p?tokens=3&=1&&a", "https://h/p?tokens=3&=1&&a"),
            (
                "https://h/p?X-Amz-Signature=canary&X-Amz-Date=d",
                "https://h/p?X-Amz-Signature=REDACTED&X-Amz-Date=d",
            ),
            ("data:text/plain,x", "data:text/plain,x"),
        ] {
            check(&redaction, url, expected);
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn given_urls_stay_as_written_unless_they_hold_a_secret() {
        for (given, expected) in [
            ("HTTP://H", "HTTP://H"),
            ("http://h:80/a b?x=1#top", "http://h:80/a b?x=1#top"),
            ("http://h/?token=canary", "http://h/?token=REDACTED"),
            ("http://h/?to\tken=canary", "http://h/?token=REDACTED"),
            ("http:\\\\u:canary@h/", "http://h/"),
            ("http:u:canary@h/", "http://h/"),
            ("http://h/#access_token=canary", "http://h/"),
            ("nonsense", "nonsense"),
            ("http://", "http://"),
            ("http://a b/?q=canary", "http://a b/?REDACTED"),
            ("http://u:canary@a b/#canary", "http://REDACTED@a b/#REDACTED"),
            ("canary@nonsense?", "REDACTED@nonsense?REDACTED"),
        ] {
            assert_eq!(Redaction::default().redact_given(given), expected, "{given}");
        }
    }

    #[test]
    fn every_known_key_is_redacted() {
        for key in [
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "AWSAccessKeyId",
            "Signature",
            "sig",
            "X-Goog-Signature",
            "token",
            "key",
            "api_key",
            "apikey",
            "access_token",
            "password",
            "secret",
            "code",
            "auth",
            "session",
        ] {
            let url = format!("https://h/?{key}=canary");
            check(&Redaction::default(), &url, &format!("https://h/?{key}=REDACTED"));
        }
    }

    #[test]
    fn own_keys_come_on_top() {
        let redaction = Redaction::new(["Ticket"]);
        check(
            &redaction,
            "https://h/?ticket=canary&sig=canary&q=1",
            "https://h/?ticket=REDACTED&sig=REDACTED&q=1",
        );
        check(&Redaction::default(), "https://h/?ticket=1", "https://h/?ticket=1");
    }
}
