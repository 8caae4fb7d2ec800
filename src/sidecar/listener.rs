//! Accepts connections and serves requests on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use spillgate_actors::transport::Interim;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::sidecar::body::OutBody;
use crate::sidecar::exchange::Exchanges;
use crate::sidecar::interim::{InterimIo, Interims};
use crate::sidecar::manner::Repeats;
use crate::sidecar::opaque::Opaque;

/// What a listener's connections share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) upstream: Url,
    pub(super) repeats: Repeats,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Accepts until it is told to stop; then open connections finish what they have begun.
pub(super) async fn serve(
    socket: TcpListener,
    service: Service,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let ending = GracefulShutdown::new();
    let rooms = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (room, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&socket, &rooms) => accepted,
        };
        match accepted {
            Ok((stream, _)) => open((stream, room), service.clone(), &ending, &connections),
            // Out of descriptors, most likely: let some connections close.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(socket);
    ending.shutdown().await;
}

/// Takes the next connection once there is room for it; until then it waits in the system's queue.
async fn accept(
    socket: &TcpListener,
    rooms: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    let room = rooms.clone().acquire_owned().await.ok();
    (room, socket.accept().await)
}

fn open(
    (stream, room): (TcpStream, Option<OwnedSemaphorePermit>),
    service: Service,
    ending: &GracefulShutdown,
    connections: &TaskTracker,
) {
    // The option only costs speed where it is refused.
    let _ = stream.set_nodelay(true);
    let watcher = ending.watcher();
    connections.spawn(async move {
        let exchanges = service.exchanges.clone();
        let present = exchanges.tallies.connected();
        match service.tls.clone() {
            None => speak(TokioIo::new(stream), service, watcher).await,
            Some(tls) => {
                let shaken = tokio::time::timeout(HEAD_MAX, tls.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    speak(TokioIo::new(stream), service, watcher).await;
                }
            }
        }
        drop((present, room));
    });
}

/// Serves one connection until it ends.
async fn speak<T>(io: T, service: Service, watcher: Watcher)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let interims = Arc::new(Interims::default());
    let opaque = Opaque::default();
    let io = InterimIo::new(io, (interims.clone(), opaque.clone()), HEAD_MAX);
    let handler = service_fn(move |mut request| {
        request.extensions_mut().insert(opaque.clone());
        handle(service.clone(), request, interims.clone())
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(io, handler);
    // How a connection ends is its peer's business.
    let _ = watcher.watch(connection.into_owned()).await;
}

async fn handle(
    service: Service,
    request: Request<Incoming>,
    interims: Arc<Interims>,
) -> Result<Response<OutBody>, Infallible> {
    // Elsewhere interim answers are frames, or unknown.
    let interim: Option<Interim> = (request.version() == Version::HTTP_11).then(|| {
        let (interims, number) = (interims.clone(), interims.open());
        let leave: Interim =
            Arc::new(move |status, headers| interims.leave(number, status, headers));
        leave
    });
    let place = (&service.upstream, service.repeats);
    let response = service.exchanges.answer(place, request, interim).await;
    interims.close();
    Ok(response)
}

/// How long a request's head may take to come.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// Connections of one listener that are open at once.
const CONNECTIONS_MAX: usize = 16_384;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
