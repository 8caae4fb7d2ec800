//! Accepts connections and serves requests on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use spillgate_actors::error::Error;
use spillgate_actors::transport::Interim;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::sidecar::body::OutBody;
use crate::sidecar::bounds::Bounds;
use crate::sidecar::exchange::Exchanges;
use crate::sidecar::inbound::Inbound;
use crate::sidecar::interim::{InterimIo, Interims};
use crate::sidecar::manner::Repeats;
use crate::sidecar::opaque::Opaque;
use crate::sidecar::presence::{Presence, Present};
use crate::sidecar::upload::Upload;

/// What a listener's connections share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) upstream: Url,
    pub(super) repeats: Repeats,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) bounds: Bounds,
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
            None => speak(stream, service, watcher).await,
            Some(tls) => {
                let shaken = tokio::time::timeout(service.bounds.head, tls.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    speak(stream, service, watcher).await;
                }
            }
        }
        drop((present, room));
    });
}

/// Serves one connection until it ends.
async fn speak<T>(stream: T, service: Service, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (interims, opaque) = (Arc::new(Interims::default()), Opaque::default());
    let presence = Presence::default();
    let inbound = Inbound::new(stream, (opaque.clone(), presence.clone()), service.bounds);
    let io = InterimIo::new(TokioIo::new(inbound), interims.clone(), opaque.clone());
    let handler = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(opaque.clone());
        handle(service.clone(), request, (interims.clone(), presence.enter()))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(io, handler);
    // How a connection ends is its peer's business.
    let _ = watcher.watch(connection.into_owned()).await;
}

async fn handle(
    service: Service,
    request: Request<Incoming>,
    (interims, present): (Arc<Interims>, Present),
) -> Result<Response<Answering>, Infallible> {
    // Elsewhere interim answers are frames, or unknown.
    let interim: Option<Interim> = (request.version() == Version::HTTP_11).then(|| {
        let (interims, number) = (interims.clone(), interims.open());
        let leave: Interim =
            Arc::new(move |status, headers| interims.leave(number, status, headers));
        leave
    });
    let tunnel = request.method() == Method::CONNECT && request.version() < Version::HTTP_2;
    let request = request.map(|body| Upload::new(body, service.bounds.body));
    let place = (&service.upstream, service.repeats);
    let mut response = service.exchanges.answer(place, request, interim).await;
    interims.close();
    if tunnel && !response.status().is_success() {
        // What came behind its head was not read as requests.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answering { body, _present: present }))
}

/// The body of an answer, as long as it takes.
struct Answering {
    body: OutBody,
    _present: Present,
}

impl Body for Answering {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a request's head, and of what is read and written ahead.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections of one listener that are open at once.
const CONNECTIONS_MAX: usize = 16_384;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
