//! What a drill URL asks for.

use http::StatusCode;

use super::query::{Query, Refusal, number};

/// One path of the drill with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Inquiry(Inquiry),
    Ok { bytes: Option<u64>, json: bool },
    Status { code: StatusCode, retry_after: Option<RetryAfter>, times: Option<u64> },
    Flap { ok: u64, fail: u64 },
    Delay { ms: u64, jitter_ms: u64 },
    Slow { bytes: u64, chunk: u64, every_ms: u64 },
    Stall { after: u64 },
    Reset { after: Option<u64> },
    Close,
    Truncate { bytes: u64 },
    Drip { bytes_per_second: u64 },
    Etag { version: String, freshness: Freshness },
    Vary { freshness: Freshness },
    Echo,
    Redirect { left: u64, to: Option<String>, code: StatusCode },
    Gzip { bytes: u64 },
    Problem { code: StatusCode },
    Scenario { name: String },
}

/// A question about the drill itself, which changes none of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inquiry {
    Index,
    Count { key: Option<String>, path: Option<String> },
    InFlight,
}

/// What `Retry-After` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Seconds(u64),
    /// An HTTP date one to two seconds ahead.
    Date,
}

/// The parts of `Cache-Control`, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freshness {
    pub(super) max_age: Option<u64>,
    pub(super) stale_while_revalidate: Option<u64>,
    pub(super) stale_if_error: Option<u64>,
}

/// A fault and the key that its hits count for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) fault: Fault,
    /// The `key` parameter, or path and query where the path counts its own hits.
    pub(super) key: Option<String>,
}

impl Target {
    /// Reads path and query as sent to the listener with this index.
    pub(super) fn parse(host: usize, path: &str, raw_query: Option<&str>) -> Result<Self, Refusal> {
        let query = Query::parse(raw_query);
        let fault = Fault::parse(path, &query)?;
        let given = query.text("key").map(str::to_owned);
        let key = given.or_else(|| {
            // Each host counts for itself unless the request says otherwise.
            let prefix = if host == 0 { String::new() } else { format!("host {host} ") };
            fault.counts_its_hits().then(|| match raw_query {
                Some(raw_query) => format!("{prefix}{path}?{raw_query}"),
                None => format!("{prefix}{path}"),
            })
        });
        Ok(Self { fault, key })
    }
}

impl Fault {
    fn parse(path: &str, query: &Query) -> Result<Self, Refusal> {
        let path = path.strip_prefix('/').ok_or(Refusal::Path)?;
        match path.split_once('/') {
            None => Self::plain(path, query),
            Some((first, argument)) => Self::with_argument(first, argument, query),
        }
    }

    fn plain(name: &str, query: &Query) -> Result<Self, Refusal> {
        let bytes_or = |default| Ok(query.number("bytes", 0..=BYTES_MAX)?.unwrap_or(default));
        match name {
            "" => Ok(Self::Inquiry(Inquiry::Index)),
            "count" => Ok(Self::Inquiry(Inquiry::Count {
                key: query.text("key").map(str::to_owned),
                path: query.text("path").map(str::to_owned),
            })),
            "inflight" => Ok(Self::Inquiry(Inquiry::InFlight)),
            "ok" => ok(query),
            "flap" => flap(query),
            "slow" => Ok(Self::Slow {
                bytes: bytes_or(1_024)?,
                chunk: query.number("chunk", 1..=BYTES_MAX)?.unwrap_or(64),
                every_ms: query.number("every", 0..=MS_MAX)?.unwrap_or(100),
            }),
            "stall" => {
                Ok(Self::Stall { after: query.number("after", 0..=BYTES_MAX)?.unwrap_or(0) })
            }
            "reset" => Ok(Self::Reset { after: query.number("after", 0..=BYTES_MAX)? }),
            "close" => Ok(Self::Close),
            "truncate" => Ok(Self::Truncate { bytes: bytes_or(512)? }),
            "drip" => Ok(Self::Drip {
                bytes_per_second: query.number("bps", 1..=1_000_000_000)?.unwrap_or(1),
            }),
            "etag" => etag(query),
            "vary" => Ok(Self::Vary { freshness: freshness(query)? }),
            "echo" => Ok(Self::Echo),
            "gzip" => Ok(Self::Gzip { bytes: bytes_or(1024 * 1024)? }),
            _ => Err(Refusal::Path),
        }
    }

    fn with_argument(name: &str, argument: &str, query: &Query) -> Result<Self, Refusal> {
        match name {
            "status" => Ok(Self::Status {
                code: code("code", argument, 200)?,
                retry_after: query.text("retry_after").map(retry_after).transpose()?,
                times: query.number("times", 0..=u64::MAX)?,
            }),
            "delay" => Ok(Self::Delay {
                ms: number("ms", argument, 0..=MS_MAX)?,
                jitter_ms: query.number("jitter", 0..=MS_MAX)?.unwrap_or(0),
            }),
            "redirect" => redirect(argument, query),
            "problem" => Ok(Self::Problem { code: code("code", argument, 400)? }),
            "scenario" if is_name(argument) => Ok(Self::Scenario { name: argument.to_owned() }),
            "scenario" => Err(Refusal::parameter("name", NAME_EXPECTED)),
            _ => Err(Refusal::Path),
        }
    }

    /// Whether the answer depends on how many hits there were before.
    pub(super) fn counts_its_hits(&self) -> bool {
        match self {
            Self::Status { times, .. } => times.is_some(),
            Self::Delay { jitter_ms, .. } => *jitter_ms > 0,
            Self::Flap { .. } | Self::Scenario { .. } => true,
            Self::Inquiry(_)
            | Self::Ok { .. }
            | Self::Slow { .. }
            | Self::Stall { .. }
            | Self::Reset { .. }
            | Self::Close
            | Self::Truncate { .. }
            | Self::Drip { .. }
            | Self::Etag { .. }
            | Self::Vary { .. }
            | Self::Echo
            | Self::Redirect { .. }
            | Self::Gzip { .. }
            | Self::Problem { .. } => false,
        }
    }
}

/// Whether a scenario may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(fits)
}

fn ok(query: &Query) -> Result<Fault, Refusal> {
    let json = match query.text("type") {
        None | Some("text") => false,
        Some("json") => true,
        Some(_) => return Err(Refusal::parameter("type", "`json` or `text`")),
    };
    let low = if json { JSON_BYTES_MIN } else { 0 };
    Ok(Fault::Ok { bytes: query.number("bytes", low..=BYTES_MAX)?, json })
}

fn flap(query: &Query) -> Result<Fault, Refusal> {
    let ok = query.number("ok", 0..=u64::from(u32::MAX))?.unwrap_or(1);
    let fail = query.number("fail", 0..=u64::from(u32::MAX))?.unwrap_or(1);
    if ok + fail == 0 {
        return Err(Refusal::parameter("fail", "at least 1 when `ok` is 0"));
    }
    Ok(Fault::Flap { ok, fail })
}

fn etag(query: &Query) -> Result<Fault, Refusal> {
    let version = query.text("v").unwrap_or("1");
    // The characters of an entity tag that need no escaping in a header or in JSON.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+~".contains(&byte);
    if version.is_empty() || !version.bytes().all(fits) {
        return Err(Refusal::parameter("v", "letters, digits and `-_.:+~`"));
    }
    Ok(Fault::Etag { version: version.to_owned(), freshness: freshness(query)? })
}

fn freshness(query: &Query) -> Result<Freshness, Refusal> {
    Ok(Freshness {
        max_age: query.number("max_age", 0..=SECONDS_MAX)?,
        stale_while_revalidate: query.number("swr", 0..=SECONDS_MAX)?,
        stale_if_error: query.number("sie", 0..=SECONDS_MAX)?,
    })
}

fn redirect(argument: &str, query: &Query) -> Result<Fault, Refusal> {
    let to = query.text("to");
    // Encoded, it fits a header; blanks and control characters would not.
    if to.is_some_and(|to| to.is_empty() || to.bytes().any(|byte| !byte.is_ascii_graphic())) {
        return Err(Refusal::parameter("to", "a URL or a path in visible ASCII"));
    }
    let code = match query.text("status").unwrap_or("302") {
        "301" => StatusCode::MOVED_PERMANENTLY,
        "302" => StatusCode::FOUND,
        "303" => StatusCode::SEE_OTHER,
        "307" => StatusCode::TEMPORARY_REDIRECT,
        "308" => StatusCode::PERMANENT_REDIRECT,
        _ => return Err(Refusal::parameter("status", "301, 302, 303, 307 or 308")),
    };
    let left = number("n", argument, 0..=1_000_000)?;
    Ok(Fault::Redirect { left, to: to.map(str::to_owned), code })
}

fn code(name: &'static str, text: &str, low: u64) -> Result<StatusCode, Refusal> {
    let code = number(name, text, low..=599)?;
    let code = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    code.ok_or_else(|| Refusal::parameter(name, "a status code"))
}

fn retry_after(text: &str) -> Result<RetryAfter, Refusal> {
    if text == "date" {
        return Ok(RetryAfter::Date);
    }
    let seconds = number("retry_after", text, 0..=SECONDS_MAX).map_err(|_| {
        Refusal::parameter("retry_after", format!("seconds from 0 to {SECONDS_MAX}, or `date`"))
    })?;
    Ok(RetryAfter::Seconds(seconds))
}

/// The paths, for the index and for whoever asked for another.
pub(super) const PATHS: [(&str, &str); 20] = [
    ("/ok?bytes=N&type=json", "200; N bytes, text or JSON"),
    ("/status/{code}?retry_after=S|date&times=K", "that status, for the first K hits only"),
    ("/flap?ok=A&fail=B", "A times 200, B times 503, and again"),
    ("/delay/{ms}?jitter=ms", "200 after a delay"),
    ("/slow?bytes=N&chunk=N&every=ms", "a body in pieces"),
    ("/stall?after=bytes", "head, that many bytes, then nothing"),
    ("/reset?after=bytes", "a TCP reset, at once or after that many body bytes"),
    ("/close", "closed without a byte of answer"),
    ("/truncate?bytes=N", "closed after N bytes of a longer body"),
    ("/drip?bps=N", "N bytes a second for an hour"),
    ("/etag?v=V&max_age=S&swr=S&sie=S", "validators, 304, Cache-Control"),
    ("/vary?max_age=S", "an answer that varies by Accept-Language"),
    ("/echo", "the request as JSON"),
    ("/redirect/{n}?to=URL&status=302", "n redirects, then /ok or URL"),
    ("/gzip?bytes=N", "N zeros, gzip-encoded"),
    ("/problem/{code}", "problem+json"),
    ("/scenario/{name}", "the steps of a script"),
    ("/count?key=X", "hits so far, by key, by path= or in all; not counted itself"),
    ("/inflight", "requests in flight and their peak; not counted itself"),
    ("/", "this list; not counted itself"),
];

/// What a scenario's name has to be.
pub(super) const NAME_EXPECTED: &str = "letters, digits, `-` and `_`";
/// The shortest JSON that [`Fault::Ok`] builds to measure: an empty string.
pub(super) const JSON_BYTES_MIN: u64 = 2;
/// The shortest object it builds.
pub(super) const JSON_OBJECT_BYTES: u64 = 22;

const BYTES_MAX: u64 = 1 << 40;
const MS_MAX: u64 = 24 * 60 * 60 * 1000;
const SECONDS_MAX: u64 = 10 * 365 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_are_the_default_key_where_hits_matter() {
        let key = |path, query| Target::parse(0, path, query).unwrap().key;
        assert_eq!(key("/ok", None), None);
        assert_eq!(key("/ok", Some("key=a%20b")), Some("a b".into()));
        assert_eq!(key("/status/503", None), None);
        assert_eq!(key("/status/503", Some("times=2")), Some("/status/503?times=2".into()));
        assert_eq!(key("/flap", None), Some("/flap".into()));
        assert_eq!(key("/flap", Some("key=a")), Some("a".into()));
    }

    #[test]
    fn wrong_parameters_are_named() {
        let table = [
            ("/ok", "bytes=-1", "bytes"),
            ("/ok", "bytes=1&type=json", "bytes"),
            ("/ok", "type=xml", "type"),
            ("/status/100", "", "code"),
            ("/status/600", "", "code"),
            ("/status/ok", "", "code"),
            ("/status/503", "retry_after=soon", "retry_after"),
            ("/status/503", "times=x", "times"),
            ("/flap", "ok=0&fail=0", "fail"),
            ("/delay/", "", "ms"),
            ("/delay/1", "jitter=+1", "jitter"),
            ("/slow", "chunk=0", "chunk"),
            ("/slow", "every=x", "every"),
            ("/stall", "after=x", "after"),
            ("/reset", "after=", "after"),
            ("/truncate", "bytes=x", "bytes"),
            ("/drip", "bps=0", "bps"),
            ("/etag", "v=%22", "v"),
            ("/etag", "max_age=x", "max_age"),
            ("/vary", "swr=x", "swr"),
            ("/redirect/x", "", "n"),
            ("/redirect/1", "to=%0a", "to"),
            ("/redirect/1", "status=200", "status"),
            ("/gzip", "bytes=x", "bytes"),
            ("/problem/200", "", "code"),
            ("/scenario/a%20b", "", "name"),
        ];
        for (path, query, wrong) in table {
            match Target::parse(0, path, Some(query)) {
                Err(Refusal::Parameter { name, .. }) => assert_eq!(name, wrong, "{path}?{query}"),
                other => panic!("{path}?{query}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in ["", "*", "/nothing", "/ok/", "/status", "/delay", "/OK", "//ok"] {
            assert_eq!(Target::parse(0, path, None), Err(Refusal::Path), "{path}");
        }
    }
}
