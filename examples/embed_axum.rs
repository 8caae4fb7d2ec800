//! An axum service that calls its upstream through one shared client.
//!
//! `cargo run --example embed_axum` starts the service and an upstream that fails on request, asks
//! the service twice, and ends. With `-- --serve` it goes on until Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use spillgate::testing::Drill;
use spillgate::{Client, Deadline, ErrorClass, Priority};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What every handler shares. A clone of the client is a handle to the same actors: breakers, slots
/// and queues only protect an upstream if all calls to it go through the same ones.
#[derive(Clone)]
struct Service {
    client: Client,
    upstream: Arc<str>,
}

async fn user(
    State(service): State<Service>,
    Path(id): Path<u32>,
    headers: HeaderMap,
) -> Result<Json<Value>, Failure> {
    // Whoever asked has so much time left: working for longer would be working for nobody. Queueing,
    // retries and back-off all have to fit in.
    let deadline = Deadline::after(time_left(&headers).unwrap_or(Duration::from_secs(2)));
    let response = service
        .client
        .get(format!("{}?id={id}", service.upstream))
        // Names the path for spans and metrics, and gives it a breaker of its own.
        .route("/users/{id}")
        .priority(Priority::Foreground)
        .deadline(deadline)
        .send()
        .await?
        .error_for_status()?;
    let attempts = response.report().attempts;
    Ok(Json(json!({ "id": id, "attempts": attempts, "user": response.json::<Value>()? })))
}

fn time_left(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("x-spillgate-deadline-ms")?.to_str().ok()?;
    text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// Turns an error of the client into an answer of the service.
struct Failure(spillgate::Error);

impl From<spillgate::Error> for Failure {
    fn from(error: spillgate::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = if error.class() == ErrorClass::Rejected {
            // Nothing was sent: an open circuit, a full queue.
            StatusCode::SERVICE_UNAVAILABLE
        } else if error.is_timeout() {
            StatusCode::GATEWAY_TIMEOUT
        } else {
            StatusCode::BAD_GATEWAY
        };
        // The text is made for people and holds nothing technical; the error itself is for the log.
        let body = Json(json!({ "kind": error.kind().name(), "advice": error.advice().text }));
        let mut response = (status, body).into_response();
        if let Some(at) = error.retry_at() {
            let seconds = at.saturating_duration_since(Instant::now()).as_secs() + 1;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Drill::builder()
        .script(
            "[scenario.users]\n\
             steps = [{ path = '/status/503' }, { path = '/ok?type=json' }, { path = '/delay/5000' }]",
        )
        .start()?;
    let client = Client::standard();
    let service =
        Service { client: client.clone(), upstream: upstream.url("/scenario/users").into() };
    let app = Router::new().route("/users/{id}", get(user)).with_state(service);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });

    if std::env::args().any(|argument| argument == "--serve") {
        tokio::signal::ctrl_c().await?;
    } else {
        ask_twice(&format!("http://{address}/users/7")).await?;
    }
    let _ = stop.send(());
    server.await??;
    // Waits for calls inside, and sends the last spans.
    client.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// A caller of the service: its first request meets a failure that is retried, its second has too
/// little time.
async fn ask_twice(url: &str) -> Result<(), spillgate::Error> {
    let caller = Client::standard();
    let answer = caller.get(url).send().await?;
    println!("{} {}", answer.status(), answer.text()?);
    let hurried = caller.get(url).header("x-spillgate-deadline-ms", "100").no_retry();
    let answer = hurried.send().await?;
    println!("{} {}", answer.status(), answer.text()?);
    Ok(())
}
