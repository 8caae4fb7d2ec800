//! From a fault to what goes over the wire.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::chance;
use super::fault::{Fault, Freshness, JSON_BYTES_MIN, JSON_OBJECT_BYTES, PATHS, RetryAfter};
use super::payload::{Content, End, Pace, Source};
use super::wire::Cut;

/// What the drill does about a request.
#[derive(Debug)]
pub(super) enum Reaction {
    Answer(Box<Answer>),
    /// End the connection without a byte.
    Cut(Cut),
}

/// One answer, possibly a late one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) delay: Duration,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// What an answer may depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) parts: &'a Parts,
    /// The kept start of the body.
    pub(super) body: &'a [u8],
    pub(super) body_len: u64,
    pub(super) seed: u64,
    /// The key of the request and the number of its hits before this one.
    pub(super) key: &'a str,
    pub(super) turn: u64,
}

impl Reaction {
    pub(super) fn to(fault: &Fault, exchange: &Exchange<'_>) -> Self {
        let answer = match fault {
            Fault::Reset { after: None } => return Self::Cut(Cut::Reset),
            Fault::Close => return Self::Cut(Cut::Close),
            Fault::Reset { after: Some(after) } => longer_than(*after, End::Cut(Cut::Reset)),
            Fault::Truncate { bytes } => longer_than(*bytes, End::Cut(Cut::Close)),
            Fault::Stall { after } => longer_than(*after, End::Stall),
            Fault::Ok { bytes, json } => ok(*bytes, *json),
            Fault::Status { code, retry_after, times } => match times {
                Some(times) if exchange.turn >= *times => ok(None, false),
                Some(_) | None => status(*code, *retry_after),
            },
            Fault::Flap { ok: good, fail } if exchange.turn % (good + fail) < *good => {
                ok(None, false)
            }
            Fault::Flap { .. } => status(StatusCode::SERVICE_UNAVAILABLE, None),
            Fault::Delay { ms, jitter_ms } => {
                let jitter_ms =
                    chance::draw(exchange.seed, exchange.key, exchange.turn, *jitter_ms);
                ok(None, false).delayed(ms + jitter_ms)
            }
            Fault::Slow { bytes, chunk, every_ms } => {
                paced(*bytes, *chunk, Duration::from_millis(*every_ms))
            }
            Fault::Drip { bytes_per_second } => drip(*bytes_per_second),
            Fault::Etag { version, freshness } => {
                etag(version, *freshness, &exchange.parts.headers)
            }
            Fault::Vary { freshness } => vary(*freshness, &exchange.parts.headers),
            Fault::Echo => echo(exchange),
            Fault::Redirect { left, to, code } => redirect(*left, to.as_deref(), *code),
            Fault::Gzip { bytes } => gzip(*bytes),
            Fault::Problem { code } => problem(*code, exchange.parts.uri.path()),
            Fault::Inquiry(_) | Fault::Scenario { .. } => index(),
        };
        Self::Answer(Box::new(answer.with_asked(exchange.parts.uri.query())))
    }
}

impl Answer {
    /// An answer with a length and a type.
    pub(super) fn new(status: StatusCode, media: &'static str, content: Content) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if let Some(len) = content.len() {
            headers.insert(CONTENT_LENGTH, len.into());
        }
        Self { delay: Duration::ZERO, status, headers, content }
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, "application/json", Content::whole(value.to_string()))
    }

    pub(super) fn error(status: StatusCode, text: &str) -> Self {
        Self::json(status, &json!({ "error": text }))
    }

    /// Adds the headers that the query asks for, each as `header=Name:Value`.
    fn with_asked(mut self, query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (_, line) in pairs.filter(|(key, _)| key == "header") {
            let Some((name, value)) = line.split_once(':') else { continue };
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse()) {
                self.headers.append(name, value);
            }
        }
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn with_text(self, name: HeaderName, text: &str) -> Self {
        match HeaderValue::from_str(text) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    fn delayed(mut self, ms: u64) -> Self {
        self.delay = Duration::from_millis(ms);
        self.with_text(HeaderName::from_static("server-timing"), &format!("delay;dur={ms}"))
    }
}

/// The list of paths.
pub(super) fn index() -> Answer {
    let lines = PATHS.map(|(path, meaning)| format!("{path:<44} {meaning}\n"));
    let more = "key=X on any path counts its hits for X.\n";
    Answer::new(StatusCode::OK, TEXT, Content::whole(lines.concat() + more))
}

fn ok(bytes: Option<u64>, json: bool) -> Answer {
    match (json, bytes) {
        (false, None) => Answer::new(StatusCode::OK, TEXT, Content::whole("ok")),
        (false, Some(bytes)) => Answer::new(StatusCode::OK, TEXT, Content::text("", bytes, "")),
        (true, None) => Answer::json(StatusCode::OK, &json!({ "ok": true })),
        (true, Some(bytes)) => {
            let content = match bytes.checked_sub(JSON_OBJECT_BYTES) {
                Some(filler) => Content::text(r#"{"ok":true,"fill":""#, filler, "\"}\n"),
                // Too few for an object: a string is JSON, too.
                None => Content::text("\"", bytes.saturating_sub(JSON_BYTES_MIN), "\""),
            };
            Answer::new(StatusCode::OK, "application/json", content)
        }
    }
}

fn status(code: StatusCode, retry_after: Option<RetryAfter>) -> Answer {
    let reason = code.canonical_reason().unwrap_or("unnamed status");
    let answer = Answer::new(code, TEXT, Content::whole(format!("{} {reason}", code.as_str())));
    match retry_after {
        None => answer,
        Some(RetryAfter::Seconds(seconds)) => answer.with(RETRY_AFTER, seconds.into()),
        Some(RetryAfter::Date) => {
            // Whole seconds are all an HTTP date has: this one is more than one second ahead.
            let date = SystemTime::now() + Duration::from_secs(2);
            answer.with_text(RETRY_AFTER, &httpdate::fmt_http_date(date))
        }
    }
}

/// An answer that promises more than the given bytes and ends after them.
fn longer_than(bytes: u64, end: End) -> Answer {
    let content = Content::text("", bytes, "").ending(end);
    Answer::new(StatusCode::OK, TEXT, content).with(CONTENT_LENGTH, (bytes + 1_024).into())
}

fn paced(bytes: u64, chunk: u64, every: Duration) -> Answer {
    let mut answer = ok(Some(bytes), false);
    answer.content.pace = Some(Pace { bytes: chunk, every });
    answer
}

fn drip(bytes_per_second: u64) -> Answer {
    let chunk = bytes_per_second.div_ceil(10);
    let every = Duration::from_nanos(chunk.saturating_mul(1_000_000_000) / bytes_per_second);
    let mut answer = paced(bytes_per_second.saturating_mul(DRIP_SECONDS), chunk, every);
    // Nobody is to know how long it lasts.
    answer.headers.remove(CONTENT_LENGTH);
    answer
}

fn etag(version: &str, freshness: Freshness, request: &HeaderMap) -> Answer {
    let tag = format!("\"{version}\"");
    let modified = SystemTime::UNIX_EPOCH
        + Duration::from_secs(MODIFIED_SECONDS + chance::draw(0, version, 0, DAY_SECONDS));
    let unchanged = match request.get(IF_NONE_MATCH) {
        Some(_) => names_tag(request, &tag),
        None => request
            .get(IF_MODIFIED_SINCE)
            .and_then(|since| httpdate::parse_http_date(since.to_str().ok()?).ok())
            .is_some_and(|since| since >= modified),
    };
    let answer = if unchanged {
        Answer::new(StatusCode::NOT_MODIFIED, JSON, Content::whole(""))
    } else {
        Answer::json(StatusCode::OK, &json!({ "v": version }))
    };
    answer
        .with_text(ETAG, &tag)
        .with_text(LAST_MODIFIED, &httpdate::fmt_http_date(modified))
        .with_text(CACHE_CONTROL, &cache_control(freshness).unwrap_or("no-cache".into()))
}

fn names_tag(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn vary(freshness: Freshness, request: &HeaderMap) -> Answer {
    let language = request.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Answer::json(StatusCode::OK, &json!({ "accept_language": language }))
        .with(VARY, HeaderValue::from_static("Accept-Language"))
        .with_text(CACHE_CONTROL, &cache_control(freshness).unwrap_or("max-age=60".into()))
}

fn cache_control(freshness: Freshness) -> Option<String> {
    let directives = [
        ("max-age", freshness.max_age),
        ("stale-while-revalidate", freshness.stale_while_revalidate),
        ("stale-if-error", freshness.stale_if_error),
    ];
    let given =
        directives.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    let given: Vec<_> = given.collect();
    (!given.is_empty()).then(|| given.join(", "))
}

fn echo(exchange: &Exchange<'_>) -> Answer {
    if exchange.body_len > exchange.body.len() as u64 {
        let text = format!("the body is longer than the {} bytes echoed", exchange.body.len());
        return Answer::error(StatusCode::PAYLOAD_TOO_LARGE, &text);
    }
    let parts = exchange.parts;
    let mut headers = serde_json::Map::new();
    for (name, value) in &parts.headers {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(String::from_utf8_lossy(value.as_bytes()).into());
        }
    }
    let body = std::str::from_utf8(exchange.body).ok();
    let body_hex = body.is_none().then(|| hex(exchange.body));
    Answer::json(
        StatusCode::OK,
        &json!({
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "query": parts.uri.query(),
            "version": format!("{:?}", parts.version),
            "headers": headers,
            "body": body,
            "body_hex": body_hex,
            "body_len": exchange.body_len,
        }),
    )
}

fn redirect(left: u64, to: Option<&str>, code: StatusCode) -> Answer {
    if left == 0 {
        return ok(None, false);
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(to) = to {
        query.append_pair("to", to);
    }
    if code != StatusCode::FOUND {
        query.append_pair("status", code.as_str());
    }
    let query = query.finish();
    let location = match left {
        1 => to.unwrap_or("/ok").to_owned(),
        _ if query.is_empty() => format!("/redirect/{}", left - 1),
        _ => format!("/redirect/{}?{query}", left - 1),
    };
    Answer::new(code, TEXT, Content::whole("")).with_text(LOCATION, &location)
}

fn gzip(bytes: u64) -> Answer {
    let content = Content { source: Source::Gzip { zeros: bytes }, pace: None, end: End::Finish };
    Answer::new(StatusCode::OK, "application/octet-stream", content)
        .with(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
}

fn problem(code: StatusCode, path: &str) -> Answer {
    let problem = json!({
        "type": "about:blank",
        "title": code.canonical_reason().unwrap_or("unnamed status"),
        "status": code.as_u16(),
        "detail": "the drill was asked for this problem",
        "instance": path,
    });
    let body = Bytes::from(problem.to_string());
    Answer::new(code, "application/problem+json", Content::whole(body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// How long a drip lasts.
const DRIP_SECONDS: u64 = 60 * 60;
/// 2026-01-01, the day on which all versions were last modified, each at its own second.
const MODIFIED_SECONDS: u64 = 1_767_225_600;
const DAY_SECONDS: u64 = 24 * 60 * 60;
