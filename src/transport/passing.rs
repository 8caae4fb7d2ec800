//! A transport for what is only passed on: bodies stay coded as they came, and interim answers are
//! seen, which reqwest shows to nobody. It is hyper's own client with the same connects, phases and
//! errors.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::header::{CONNECTION, HeaderValue, TE, USER_AGENT};
use http::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{
    Connected, Connection as Connects, HttpConnector, HttpInfo,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use spillgate_actors::phases::Mark;
use spillgate_actors::transport::{
    Beside, Connection, ExchangeFuture, Inbound, Outbound, Transport, TransportError, Way,
};
use spillgate_core::advice::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{Layer as _, Service};

use super::connect::{ConnectLayer, NotingConnector};
use super::connections::{ConnectionTable, Connects as ConnectCount};
use super::current::{REQUESTER, Requester};
use super::incoming::{NotingRead, RawBody};
use super::options::{Protocols, TransportOptions, TransportSetupError};
use super::outgoing::NotingBody;
use super::resolve::SystemResolver;
use super::{errors, frame, head, tls};

/// Sends requests with hyper and leaves their answers as they are.
#[derive(Clone)]
pub(crate) struct PassingTransport {
    inner: Arc<Inner>,
}

struct Inner {
    usual: Engine,
    apart: Engine,
    options: TransportOptions,
    connections: Arc<ConnectionTable>,
    requesters: AtomicU64,
}

type Engine = Client<NotingConnector<Connector>, NotingBody>;

impl PassingTransport {
    /// Builds a transport. Reads the root certificates, which takes some milliseconds.
    pub(crate) fn new(options: &TransportOptions) -> Result<Self, TransportSetupError> {
        let connections = Arc::new(ConnectionTable::default());
        let tls = Arc::new(tls::client_config(options)?);
        let preferred = Arc::default();
        let engine = |way| {
            let resolver = SystemResolver::new(way, Arc::clone(&preferred));
            let connector = Connector::new(resolver, tls.clone());
            let connects =
                ConnectCount::new(options.idle_connections_total_max, options.idle_timeout);
            let (connections, connects) = (connections.clone(), Arc::new(connects));
            let layer = ConnectLayer { connections, gate: Arc::default(), connects };
            client(options, way).build(layer.layer(connector))
        };
        let (usual, apart) = (engine(Way::Usual), engine(Way::Apart));
        let (options, requesters) = (options.clone(), AtomicU64::new(0));
        Ok(Self { inner: Arc::new(Inner { usual, apart, options, connections, requesters }) })
    }
}

impl Transport for PassingTransport {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.exchange(outbound).await })
    }
}

impl Inner {
    async fn exchange(&self, outbound: Outbound) -> Result<Inbound, TransportError> {
        let Outbound { method, url, mut headers, body, connect_timeout, marks, way, .. } = outbound;
        let Beside { interim, trailers } = outbound.beside;
        if let Some(trailers) = &trailers {
            trailers.of_answer(None);
        }
        let prior = self.options.protocols == Protocols::Http2PriorKnowledge;
        if headers.contains_key(TE) && url.scheme() == "http" && !prior {
            // HTTP/1.1 wants it named, HTTP/2 forbids that (RFC 9110 section 10.1.4).
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        frame(&mut headers, &method, &body);
        if let Ok(name) = HeaderValue::from_str(&self.options.user_agent) {
            headers.entry(USER_AGENT).or_insert(name);
        }
        let uri: Uri = url.as_str().parse().map_err(|cause: http::uri::InvalidUri| {
            TransportError::never_sent(ErrorKind::InvalidRequest).caused_by(cause)
        })?;
        let mut request =
            Request::new(NotingBody::new(body, Arc::clone(&marks)).with_trailers(trailers.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(interim) = interim {
            hyper::ext::on_informational(&mut request, move |answer| {
                interim(answer.status(), answer.headers());
            });
        }
        let number = self.requesters.fetch_add(1, Ordering::Relaxed);
        let requester =
            Requester { number, marks: Arc::clone(&marks), connect_timeout, negotiates_with: None };
        let engine = match way {
            Way::Usual => &self.usual,
            Way::Apart => &self.apart,
        };
        let answer = REQUESTER.scope(requester, engine.request(request)).await;
        let answer = answer.map_err(|error| {
            let is_connect = error.is_connect();
            errors::of_engine(error, (false, is_connect), &marks)
        })?;
        marks.note(Mark::Head);
        let (parts, body) = answer.into_parts();
        head::check(&parts.headers, &self.options)?;
        let connection = parts.extensions.get::<HttpInfo>().map(|info| {
            let (local, peer) = (info.local_addr(), info.remote_addr());
            let origin = self.connections.origin((local, peer), number, marks.began());
            Connection { local, peer, origin }
        });
        let (status, version, headers) = (parts.status, parts.version, parts.headers);
        let body = RawBody::new(body).with_trailers(trailers);
        let body = Box::pin(NotingRead::new(body, marks));
        Ok(Inbound { status, version, headers, body, connection })
    }
}

fn client(options: &TransportOptions, way: Way) -> hyper_util::client::legacy::Builder {
    let header_bytes_max = u32::try_from(options.header_bytes_max).unwrap_or(u32::MAX);
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .retry_canceled_requests(false)
        .pool_idle_timeout(options.idle_timeout)
        .http2_max_header_list_size(header_bytes_max.saturating_mul(2))
        .http2_only(options.protocols == Protocols::Http2PriorKnowledge)
        .pool_max_idle_per_host(match way {
            Way::Usual => options.idle_connections_max,
            Way::Apart => 0,
        });
    builder
}

/// Connects over TCP, and over TLS where the address says `https`.
#[derive(Clone)]
struct Connector {
    tcp: HttpConnector<SystemResolver>,
    tls: TlsConnector,
}

impl Connector {
    fn new(resolver: SystemResolver, tls: Arc<rustls::ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, tls: TlsConnector::from(tls) }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Wire>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let secret = uri.scheme_str() == Some("https");
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let (connecting, tls) = (self.tcp.call(uri), self.tls.clone());
        Box::pin(async move {
            let plain = connecting.await?;
            if !secret {
                return Ok(TokioIo::new(Wire::Plain(plain.into_inner())));
            }
            let name = ServerName::try_from(name)?;
            let stream = tls.connect(name, plain.into_inner()).await?;
            Ok(TokioIo::new(Wire::Tls(Box::new(stream))))
        })
    }
}

/// A connection, in the clear or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connects for Wire {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(stream) => stream.connected(),
            Self::Tls(stream) => {
                let (tcp, session) = stream.get_ref();
                let connected = tcp.connected();
                let is_http2 = session.alpn_protocol() == Some(b"h2");
                if is_http2 { connected.negotiated_h2() } else { connected }
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;
