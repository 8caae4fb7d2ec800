//! The seam to the network: what an attempt asks for and what it gets back.
//!
//! The trait exists so that actors can be driven without sockets: real sockets do not mix with a
//! paused clock.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode, Version};
use spillgate_core::advice::ErrorKind;
use spillgate_core::outcome::Exposure;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use crate::phases::{Phase, PhaseMarks};

/// A body as it arrives: chunks, decoded, and at the end either success or an error.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// The future of one exchange.
pub type ExchangeFuture =
    Pin<Box<dyn Future<Output = Result<Inbound, TransportError>> + Send + 'static>>;

/// Sends one request over the network, once: no retry, no redirect, no overall timeout.
///
/// The attempt bounds the time, and drops the future to give up; dropping must close the
/// connection (or reset the stream).
pub trait Transport: Send + Sync + 'static {
    /// Sends the request and resolves when the answer's head is there.
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture;
}

/// One request as it goes on the wire.
pub struct Outbound {
    /// The method.
    pub method: Method,
    /// The URL, without fragment; userinfo already turned into a header.
    pub url: Url,
    /// All headers, `traceparent` and idempotency key included.
    pub headers: HeaderMap,
    /// What is sent after the head.
    pub body: OutboundBody,
    /// How long name resolution, connect and TLS handshake may take together.
    pub connect_timeout: Duration,
    /// Where the phases are noted.
    pub marks: Arc<PhaseMarks>,
    /// Over which connection it goes.
    pub way: Way,
    /// What is passed on beside the head and the body.
    pub beside: Beside,
}

/// What a caller that passes messages on wants of them beside heads and bodies; a transport may be
/// unable to.
#[derive(Clone, Default)]
pub struct Beside {
    /// Who wants to see interim answers (1xx) as they come.
    pub interim: Option<Interim>,
    /// What goes and comes behind the bodies.
    pub trailers: Option<Arc<dyn Trailers>>,
    /// Who takes the connection over if the answer makes it a tunnel: that of a `CONNECT`, or a 101
    /// to a request that asks for another protocol.
    pub handover: Option<Handover>,
}

/// Sees interim answers: their status and fields.
pub type Interim = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// Takes a connection over that became a tunnel.
pub type Handover = Arc<dyn Fn(Tunnel) + Send + Sync>;

/// A connection that carries whatever both ends say; dropping it closes it.
pub type Tunnel = Box<dyn Duplex>;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The fields behind the bodies of one call, for a caller that passes them on.
pub trait Trailers: Send + Sync {
    /// What goes behind the request's body, asked for once it has ended.
    fn of_request(&self) -> Option<HeaderMap>;

    /// What came behind the answer's body; nothing when an attempt begins.
    fn of_answer(&self, fields: Option<HeaderMap>);
}

/// Over which connection a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Way {
    /// Any that stands, or a new one.
    #[default]
    Usual,
    /// One of its own, to another of the host's addresses if it has several: what the request runs
    /// beside is slow, and whatever makes it slow should not meet this one.
    Apart,
}

/// The body of a request.
#[derive(Default)]
pub enum OutboundBody {
    /// None.
    #[default]
    Empty,
    /// Whole, and as often as needed.
    Bytes(Bytes),
    /// In pieces, once.
    Stream(BodyStream),
}

/// The head of an answer, and its body to be read.
pub struct Inbound {
    /// The status.
    pub status: StatusCode,
    /// The protocol version spoken.
    pub version: Version,
    /// The headers; `content-encoding` and `content-length` are gone when the body was decoded.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: BodyStream,
    /// The connection it came over, where known.
    pub connection: Option<Connection>,
}

/// The connection an attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The upstream's end.
    pub peer: SocketAddr,
    /// Whose connect it was.
    pub origin: ConnectionOrigin,
}

/// Where an attempt's connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionOrigin {
    /// This attempt connected it.
    Fresh,
    /// Another attempt's connect, still under way when this one began, delivered it.
    Adopted,
    /// It was idle in the pool.
    Reused,
}

impl ConnectionOrigin {
    /// The origin's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Adopted => "adopted",
            Self::Reused => "reused",
        }
    }
}

/// Why an exchange or its body failed.
#[derive(Debug, Clone)]
pub struct TransportError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether the upstream can have seen the request.
    pub exposure: Exposure,
    /// Where it went wrong, if a phase had begun.
    pub phase: Option<Phase>,
    /// The cause; its text carries no secret.
    pub source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// An error after which the upstream may have acted on the request.
    pub fn sent(kind: ErrorKind) -> Self {
        Self { kind, exposure: Exposure::MaybeSent, phase: None, source: None }
    }

    /// An error that proves that nothing was sent.
    pub fn never_sent(kind: ErrorKind) -> Self {
        Self { kind, exposure: Exposure::NeverSent, phase: None, source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same error with the phase it happened in.
    #[must_use]
    pub fn during(mut self, phase: Phase) -> Self {
        self.phase = Some(phase);
        self
    }
}
