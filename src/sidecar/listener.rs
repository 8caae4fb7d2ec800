//! Accepts connections and serves requests on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use spillgate_actors::transport::Interim;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::sidecar::body::OutBody;
use crate::sidecar::bounds::Bounds;
use crate::sidecar::counts::{Counted, Counts};
use crate::sidecar::exchange::Exchanges;
use crate::sidecar::house::House;
use crate::sidecar::inbound::Inbound;
use crate::sidecar::interim::{InterimIo, Interims};
use crate::sidecar::opaque::Opaque;
use crate::sidecar::parting::{Held, Parting, PartingIo};
use crate::sidecar::presence::Presence;
use crate::sidecar::target::Duty;
use crate::sidecar::tunnel::Standing;
use crate::sidecar::upload::Upload;

/// What a listener does with what comes; it can change while it listens.
pub(super) struct Service {
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) duty: Duty,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) bounds: Bounds,
}

/// A listener, as its connections and the admin listener see it.
pub(super) struct Listening {
    /// What it was told to bind.
    pub(super) bind: String,
    pub(super) addr: SocketAddr,
    pub(super) service: ArcSwap<Service>,
    pub(super) counts: Arc<Counts>,
    pub(super) house: Arc<House>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

/// Accepts until it is told to stop; then open connections finish what they have begun.
pub(super) async fn serve(socket: TcpListener, listening: Arc<Listening>) {
    let rooms = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (room, accepted) = tokio::select! {
            biased;
            () = listening.stop.cancelled() => break,
            accepted = accept(&socket, &rooms) => accepted,
        };
        match accepted {
            Ok((stream, _)) => open((stream, room), &listening),
            // Out of descriptors, most likely: let some connections close.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    // Whoever the system has let in cannot know that nobody listens any more.
    let Ok(socket) = socket.into_std() else { return };
    while let Ok((stream, _)) = socket.accept() {
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
        {
            open((stream, None), &listening);
        }
    }
}

/// Takes the next connection once there is room for it; until then it waits in the system's queue.
async fn accept(
    socket: &TcpListener,
    rooms: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    let room = rooms.clone().acquire_owned().await.ok();
    (room, socket.accept().await)
}

fn open((stream, room): (TcpStream, Option<OwnedSemaphorePermit>), listening: &Arc<Listening>) {
    // The option only costs speed where it is refused.
    let _ = stream.set_nodelay(true);
    let listening = listening.clone();
    let house = listening.house.clone();
    house.connections.spawn(async move {
        let present = Counted::at(&listening.counts, |counts| &counts.connections);
        let service = listening.service.load_full();
        match service.tls.clone() {
            None => speak(stream, listening).await,
            Some(tls) => {
                let shaken = tokio::time::timeout(service.bounds.head, tls.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    speak(stream, listening).await;
                }
            }
        }
        drop((present, room));
    });
}

/// Serves one connection until it ends.
async fn speak<T>(stream: T, listening: Arc<Listening>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (interims, opaque) = (Arc::new(Interims::default()), Opaque::default());
    let presence = Presence::default();
    let parting = Arc::new(Parting::new(presence.clone()));
    let stream = PartingIo::new(stream, parting.clone());
    let bounds = listening.service.load().bounds;
    let inbound = Inbound::new(stream, (opaque.clone(), presence.clone()), bounds);
    let io = InterimIo::new(TokioIo::new(inbound), interims.clone(), opaque.clone());
    let (stop, cut) = (listening.stop.clone(), listening.house.cut.clone());
    let standing = Standing::new(presence, cut.clone());
    let (asked, opened) = (parting.clone(), standing.clone());
    let handler = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(opaque.clone());
        let kept = (asked.begin(), Counted::at(&listening.counts, |counts| &counts.requests));
        let (listening, asked, interims) = (listening.clone(), asked.clone(), interims.clone());
        let opened = opened.clone();
        async move {
            let service = listening.service.load_full();
            let mut response = handle(&service, request, interims, &opened).await?;
            listening.counts.answered(&response);
            if asked.is_leaving() || listening.house.is_leaving() {
                say_farewell(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Held::new(body, kept)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(io, handler);
    let connection = connection.into_owned();
    let ending = async {
        stop.cancelled().await;
        parting.leave();
        parting.is_framed().await;
    };
    last(connection, ending, cut).await;
    // What became tunnels has left it by then.
    standing.ended().await;
}

/// Lets a connection come to its end, or to its own way to end once `ending` is over, unless it is cut
/// off. How it ends is its peer's business.
async fn last<C: GracefulConnection>(
    connection: C,
    ending: impl Future<Output = ()>,
    cut: CancellationToken,
) {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = cut.cancelled() => return,
        () = ending => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        _ = connection => {}
        () = cut.cancelled() => {}
    }
}

async fn handle(
    service: &Service,
    request: Request<Incoming>,
    interims: Arc<Interims>,
    standing: &Standing,
) -> Result<Response<OutBody>, Infallible> {
    // Elsewhere interim answers are frames, or unknown.
    let interim: Option<Interim> = (request.version() == Version::HTTP_11).then(|| {
        let (interims, number) = (interims.clone(), interims.open());
        let leave: Interim =
            Arc::new(move |status, headers| interims.leave(number, status, headers));
        leave
    });
    let tunnel = request.method() == Method::CONNECT && request.version() < Version::HTTP_2;
    let request = request.map(|body| Upload::new(body, service.bounds.body));
    let mut response = service.exchanges.answer(&service.duty, request, interim, standing).await;
    interims.close();
    if tunnel && !response.status().is_success() {
        // What came behind its head was not read as requests.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Says that the connection ends with this answer; over HTTP/2 a frame says so.
fn say_farewell<B>(response: &mut Response<B>) {
    if response.version() < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Bytes of a request's head, and of what is read and written ahead.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections of one listener that are open at once.
const CONNECTIONS_MAX: usize = 16_384;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
