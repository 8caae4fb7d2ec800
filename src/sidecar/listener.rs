//! Accepts connections and serves requests on them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::sidecar::body::OutBody;
use crate::sidecar::exchange::Exchanges;

/// What a listener's connections share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) upstream: Url,
}

/// Accepts until it is told to stop; then open connections finish what they have begun.
pub(super) async fn serve(
    socket: TcpListener,
    service: Service,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let ending = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => open(stream, service.clone(), &ending, &connections),
            // Out of descriptors, most likely: let some connections close.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(socket);
    ending.shutdown().await;
}

fn open(stream: TcpStream, service: Service, ending: &GracefulShutdown, connections: &TaskTracker) {
    // The option only costs speed where it is refused.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    builder.http2().timer(TokioTimer::new());
    let handler = service_fn(move |request| handle(service.clone(), request));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler);
    let watched = ending.watch(connection.into_owned());
    // How a connection ends is its peer's business.
    connections.spawn(async move { drop(watched.await) });
}

async fn handle(
    service: Service,
    request: Request<Incoming>,
) -> Result<Response<OutBody>, Infallible> {
    Ok(service.exchanges.answer(&service.upstream, request).await)
}

/// How long a request's head may take to come.
const HEAD_MAX: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
