//! The flags that shape each request.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use spillgate_actors::core::call::Priority;
use spillgate_actors::fetch::Key;

use crate::cli::failure::Failure;
use crate::cli::values::{Header, duration, header, method, priority};
use crate::client::Client;
use crate::request::RequestBuilder;

/// The flags that shape each request.
#[derive(clap::Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// Method [default: GET, with --data POST]
    #[arg(short = 'X', long, value_name = "METHOD", env = "SPILLGATE_METHOD", value_parser = method)]
    method: Option<Method>,
    /// Header `Name: value`; can be repeated
    #[arg(
        short = 'H',
        long = "header",
        value_name = "HEADER",
        env = "SPILLGATE_HEADER",
        hide_env_values = true
    )]
    headers: Vec<String>,
    /// Body, or @FILE that holds it (@- is standard input)
    #[arg(short, long, value_name = "BODY", env = "SPILLGATE_DATA", hide_env_values = true)]
    data: Option<String>,
    /// Time for a whole URL: queue, retries and body [default: 30s; to files 10m]
    #[arg(long, value_name = "TIME", env = "SPILLGATE_DEADLINE", value_parser = duration)]
    deadline: Option<Duration>,
    /// Time for one attempt; for a download up to its head [default: 10s]
    #[arg(long, value_name = "TIME", env = "SPILLGATE_TIMEOUT", value_parser = duration)]
    timeout: Option<Duration>,
    /// Attempts beyond the first [default: 3]
    #[arg(long, value_name = "N", env = "SPILLGATE_RETRIES")]
    retries: Option<u32>,
    /// Place in the queue: critical, foreground, normal or background
    #[arg(long, value_name = "PRIORITY", env = "SPILLGATE_PRIORITY", default_value = "normal",
        value_parser = priority)]
    priority: Priority,
    /// Idempotency key, which lets any method be retried; `auto` makes one for each URL
    #[arg(long, value_name = "KEY", env = "SPILLGATE_IDEMPOTENCY_KEY", hide_env_values = true)]
    idempotency_key: Option<String>,
}

/// What all requests of a command have in common.
pub(crate) struct Template {
    pub(crate) method: Method,
    pub(crate) deadline: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    headers: Vec<Header>,
    body: Option<Bytes>,
    priority: Priority,
    key: Option<String>,
}

impl RequestArgs {
    /// Whether the body comes from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.data.as_deref() == Some("@-")
    }

    /// Reads headers and body, and checks what the flags say together; `planned` is the deadline
    /// without `--deadline`.
    pub(crate) fn template(self, planned: Duration) -> Result<Template, Failure> {
        let headers = read_headers(&self.headers)?;
        let body = self.data.as_deref().map(read_body).transpose()?;
        if self.idempotency_key.as_deref().is_some_and(str::is_empty) {
            let failure = Failure::usage("--idempotency-key is empty");
            return Err(failure.hint("give a key, or `auto`"));
        }
        let deadline = self.deadline.unwrap_or(planned);
        if let Some(timeout) = self.timeout.filter(|timeout| *timeout > deadline) {
            let said = if self.deadline.is_some() { "--deadline" } else { "the deadline" };
            let message = format!("--timeout {timeout:?} can never fit {said} of {deadline:?}");
            return Err(Failure::usage(message).hint("an attempt needs less than the whole call"));
        }
        let standard = if body.is_some() { Method::POST } else { Method::GET };
        Ok(Template {
            method: self.method.unwrap_or(standard),
            deadline: self.deadline,
            timeout: self.timeout,
            retries: self.retries,
            headers,
            body,
            priority: self.priority,
            key: self.idempotency_key,
        })
    }
}

impl Template {
    /// A request of `url`; `key` is what [`key`](Self::key) gave for it.
    pub(crate) fn request(&self, client: &Client, url: &str, key: Option<&Key>) -> RequestBuilder {
        let request = client.request(self.method.clone(), url).priority(self.priority);
        let request = self.headers.iter().fold(request, |request, header| {
            request.header(header.name.clone(), header.value.clone())
        });
        let request = match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        };
        let request = match self.timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        };
        match key {
            Some(key) => request.idempotency_key(key.clone()),
            None => request,
        }
    }

    /// The idempotency key for a URL; all its attempts carry the same.
    pub(crate) fn key(&self) -> Option<Key> {
        self.key.as_deref().map(|key| if key == "auto" { Key::auto() } else { Key::new(key) })
    }
}

/// Reads them here and not with the other flags, whose errors show the value: it may be a secret.
fn read_headers(texts: &[String]) -> Result<Vec<Header>, Failure> {
    let numbered = texts.iter().zip(1..);
    let read = numbered.map(|(text, number)| {
        header(text).map_err(|problem| {
            let which = if texts.len() > 1 { format!(" (number {number})") } else { String::new() };
            Failure::usage(format!("--header{which}: {problem}"))
                .hint("such as -H 'Accept: application/json'")
        })
    });
    read.collect()
}

fn read_body(data: &str) -> Result<Bytes, Failure> {
    let Some(name) = data.strip_prefix('@') else { return Ok(Bytes::from(data.to_owned())) };
    let read = if name == "-" { read_stdin() } else { std::fs::read(Path::new(name)) };
    let bytes = read.map_err(|error| {
        Failure::usage(format!("--data @{name}: cannot be read: {error}"))
            .hint("@ names a file that holds the body; @- is standard input")
    })?;
    Ok(bytes.into())
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
