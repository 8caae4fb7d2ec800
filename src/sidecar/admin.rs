//! The admin listener: is it alive, is it ready, what does it do. It listens on the loopback
//! interface alone, and answers only requests that name it so: a page in a browser cannot reach it
//! under another name.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cache::purge::Purge;
use crate::sidecar::exchange::Exchanges;

/// What the admin listener tells of.
pub(super) struct Admin {
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) draining: AtomicBool,
}

type Answer = Response<Full<Bytes>>;

/// Serves until it is told to stop, which is after all other listeners.
pub(super) async fn serve(socket: TcpListener, admin: Arc<Admin>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let (admin, stop) = (admin.clone(), stop.clone());
        tokio::spawn(async move {
            let handler = service_fn(|request| {
                let answer = admin.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).keep_alive(false);
            let connection = server.serve_connection(TokioIo::new(stream), handler);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        if !is_local(request) {
            return text(StatusCode::FORBIDDEN, "expected a loopback name as host\n");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/healthz") => text(StatusCode::OK, "alive\n"),
            (&Method::GET, "/readyz") if self.draining.load(Ordering::Acquire) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            (&Method::GET, "/readyz") => text(StatusCode::OK, "ready\n"),
            (&Method::GET, "/version") => json_of(&json!({ "version": env!("CARGO_PKG_VERSION") })),
            (&Method::GET, "/metrics") => text(StatusCode::OK, &self.metrics()),
            (&Method::GET, "/hosts") => json_of(&self.hosts()),
            (&Method::GET, "/cache") => {
                let (pages, bytes) = self.exchanges.cache().size();
                json_of(&json!({ "addresses": pages, "bytes": bytes }))
            }
            (&Method::POST, "/cache/invalidate") => self.invalidate(request),
            (_, known) if PATHS.contains(&known) => {
                text(StatusCode::METHOD_NOT_ALLOWED, "expected another method\n")
            }
            (_, _) => text(StatusCode::NOT_FOUND, "no such path\n"),
        }
    }

    fn invalidate(&self, request: &Request<Incoming>) -> Answer {
        if !is_same_origin(request) {
            return text(StatusCode::FORBIDDEN, "the request comes from another origin\n");
        }
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let purge = pairs.find_map(|(key, value)| {
            let value = value.into_owned();
            match &*key {
                "url" => Some(Purge::Url(value)),
                "prefix" => Some(Purge::Prefix(value)),
                "tag" => Some(Purge::Tag(value)),
                "host" => Some(Purge::Host(value)),
                "all" => Some(Purge::Everything),
                _ => None,
            }
        });
        match purge {
            Some(purge) => json_of(&json!({ "forgotten": self.exchanges.cache().purge(purge) })),
            None => text(
                StatusCode::BAD_REQUEST,
                "expected one of ?url=, ?prefix=, ?tag=, ?host= or ?all\n",
            ),
        }
    }

    /// The numbers in Prometheus' text format.
    fn metrics(&self) -> String {
        let (tally, state) = (self.exchanges.tallies.read(), self.exchanges.client().snapshot());
        let (pages, bytes) = self.exchanges.cache().size();
        let mut text = String::new();
        let count = |number: usize| number as u64;
        for (name, kind, value) in [
            ("spillgate_sidecar_requests_total", "counter", tally.requests),
            ("spillgate_cache_hits_total", "counter", tally.hits),
            ("spillgate_sidecar_forwarded_total", "counter", tally.forwarded),
            ("spillgate_sidecar_waiting", "gauge", tally.waiting),
            ("spillgate_sidecar_connections", "gauge", tally.connections),
            ("spillgate_tunnels", "gauge", tally.tunnels),
            ("spillgate_tunnels_total", "counter", tally.tunnels_opened),
            ("spillgate_cache_addresses", "gauge", count(pages)),
            ("spillgate_cache_bytes", "gauge", bytes),
            ("spillgate_calls", "gauge", count(state.calls)),
            ("spillgate_answers_total", "counter", state.answers),
            ("spillgate_attempts_in_flight", "gauge", u64::from(state.running)),
            ("spillgate_queued_calls", "gauge", count(state.queued)),
            ("spillgate_records_dropped_total", "counter", state.records_dropped),
        ] {
            // Writing into a string cannot fail.
            let _ = write!(text, "# TYPE {name} {kind}\n{name} {value}\n");
        }
        text
    }

    fn hosts(&self) -> serde_json::Value {
        let hosts = self.exchanges.client().snapshot().hosts.into_iter().map(|host| {
            json!({
                "host": host.host.to_string(),
                "breaker": host.breaker.name(),
                "running": host.running,
                "queued": host.queued.iter().sum::<usize>(),
                "attempts": host.attempts,
                "retries": host.retries,
                "failures": host.failures,
            })
        });
        hosts.collect()
    }
}

/// Whether a request names a loopback host: a name that an attacker's page resolved to here is none.
fn is_local(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    authority.is_some_and(|authority| LOOPBACK.contains(&authority.host()))
}

/// Whether a page sent it that came from here, or no page at all.
fn is_same_origin(request: &Request<Incoming>) -> bool {
    let own = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let origin = request.headers().get(ORIGIN).map(|origin| origin.to_str().ok());
    match origin {
        None => true,
        Some(origin) => origin.and_then(|origin| origin.strip_prefix("http://")) == own,
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    answer
}

fn json_of(value: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

const PATHS: [&str; 7] =
    ["/healthz", "/readyz", "/version", "/metrics", "/hosts", "/cache", "/cache/invalidate"];
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
