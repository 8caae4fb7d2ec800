//! The connector's layer: notes who connects, bounds the time it takes, and remembers whose
//! connection it became.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use spillgate_actors::phases::{Mark, Phase, PhaseMarks};
use spillgate_core::advice::ErrorKind;
use tower::{Layer, Service};

use super::connections::{ConnectionTable, Connects};
use super::current::{CONNECTING, REQUESTER, Requester};
use super::gate::{Protocol, ProtocolGate};
use super::resolve::ResolveFailure;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Puts a `NotingConnector` around reqwest's connector.
#[derive(Debug, Clone)]
pub(super) struct ConnectLayer {
    pub(super) connections: Arc<ConnectionTable>,
    pub(super) gate: Arc<ProtocolGate>,
    pub(super) connects: Arc<Connects>,
}

impl<S> Layer<S> for ConnectLayer {
    type Service = NotingConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NotingConnector { inner, layer: self.clone() }
    }
}

/// A connector that works on behalf of the attempt that calls it.
#[derive(Debug, Clone)]
pub(super) struct NotingConnector<S> {
    inner: S,
    layer: ConnectLayer,
}

impl<S, Destination> Service<Destination> for NotingConnector<S>
where
    S: Service<Destination, Error = BoxError>,
    S::Response: Connection + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: Destination) -> Self::Future {
        // Nothing happens before it is polled.
        let connecting = self.inner.call(destination);
        // The pool calls a connector from within the request's own future.
        let Ok(requester) = REQUESTER.try_with(Requester::clone) else {
            return Box::pin(connecting);
        };
        Box::pin(self.layer.clone().connect_in_time(connecting, requester))
    }
}

impl ConnectLayer {
    async fn connect_in_time<F, C>(self, connecting: F, requester: Requester) -> Result<C, BoxError>
    where
        F: Future<Output = Result<C, BoxError>>,
        C: Connection,
    {
        let marks = Arc::clone(&requester.marks);
        let (in_time, connecting) =
            (requester.connect_timeout, self.connect(connecting, requester));
        match tokio::time::timeout(in_time, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(ConnectFailure::new(source, &marks).into()),
            Err(elapsed) => Err(ConnectFailure::timed_out(elapsed.into(), &marks).into()),
        }
    }

    async fn connect<F, C>(self, connecting: F, requester: Requester) -> Result<C, BoxError>
    where
        F: Future<Output = Result<C, BoxError>>,
        C: Connection,
    {
        let pass = match requester.negotiates_with {
            Some(origin) => Some(self.gate.enter(origin).await?),
            None => None,
        };
        let marks = requester.marks;
        marks.note(Mark::ConnectBegin);
        let _end = NotesConnectEnd(Arc::clone(&marks));
        let connection = CONNECTING.scope(Arc::clone(&marks), connecting).await?;
        if marks.at(Mark::TlsBegin).is_some() {
            marks.note(Mark::TlsEnd);
        }
        self.connects.count();
        let connected = connection.connected();
        if let Some(pass) = pass {
            let is_http2 = connected.is_negotiated_h2();
            pass.found(if is_http2 { Protocol::Http2 } else { Protocol::Http1 });
        }
        let mut extensions = http::Extensions::new();
        connected.get_extras(&mut extensions);
        if let Some(info) = extensions.get::<HttpInfo>() {
            self.connections.insert((info.local_addr(), info.remote_addr()), requester.number);
        }
        Ok(connection)
    }
}

/// Notes the end of a connect however it ends, dropped ones included.
struct NotesConnectEnd(Arc<PhaseMarks>);

impl Drop for NotesConnectEnd {
    fn drop(&mut self) {
        self.0.note(Mark::ConnectEnd);
    }
}

/// Why a connect failed.
#[derive(Debug)]
pub(super) struct ConnectFailure {
    pub(super) kind: ErrorKind,
    pub(super) phase: Phase,
    source: BoxError,
}

impl ConnectFailure {
    fn new(source: BoxError, marks: &PhaseMarks) -> Self {
        let (kind, phase) = judge(source.as_ref());
        Self { kind, phase: phase.unwrap_or_else(|| phase_of(marks)), source }
    }

    fn timed_out(source: BoxError, marks: &PhaseMarks) -> Self {
        Self { kind: ErrorKind::ConnectionTimeout, phase: phase_of(marks), source }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect: {}", self.kind.name())
    }
}

impl StdError for ConnectFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// The phase a connect had come to.
fn phase_of(marks: &PhaseMarks) -> Phase {
    let passed = |mark| marks.at(mark).is_some();
    if passed(Mark::TlsBegin) {
        return Phase::Tls;
    }
    if !passed(Mark::ConnectBegin) {
        // It waited for another's handshake.
        return Phase::Acquire;
    }
    if passed(Mark::DnsBegin) && !passed(Mark::DnsEnd) { Phase::Dns } else { Phase::Tcp }
}

/// What the deepest cause that we know says, and its phase where the cause itself tells.
fn judge(error: &(dyn StdError + 'static)) -> (ErrorKind, Option<Phase>) {
    let mut kind = ErrorKind::DestinationUnavailable;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(failure) = cause.downcast_ref::<ResolveFailure>() {
            return (failure.kind(), Some(Phase::Dns));
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return (kind_of_tls(tls), Some(Phase::Tls));
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            kind = kind_of_io(io.kind()).unwrap_or(kind);
            // The source of an `io::Error` is the source of what it wraps: look at that itself.
            if let Some(inner) = io.get_ref() {
                next = Some(inner);
                continue;
            }
        }
        next = cause.source();
    }
    (kind, None)
}

fn kind_of_tls(error: &rustls::Error) -> ErrorKind {
    let is_of_certificate = matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::InvalidCertRevocationList(_)
    );
    if is_of_certificate { ErrorKind::TlsCertificateError } else { ErrorKind::TlsProtocolError }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the standard library's, and open")]
fn kind_of_io(kind: io::ErrorKind) -> Option<ErrorKind> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some(ErrorKind::ConnectionRefused),
        // Out of ports is this machine's trouble, not the upstream's.
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(ErrorKind::DeviceOffline),
        io::ErrorKind::HostUnreachable => Some(ErrorKind::DestinationUnavailable),
        io::ErrorKind::TimedOut => Some(ErrorKind::ConnectionTimeout),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(ErrorKind::ConnectionTerminated),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        let check = |error: BoxError, expected| assert_eq!(judge(error.as_ref()).0, expected);
        let io = |kind: io::ErrorKind| -> BoxError { Box::new(io::Error::from(kind)) };
        check(io(io::ErrorKind::ConnectionRefused), ErrorKind::ConnectionRefused);
        check(io(io::ErrorKind::NetworkUnreachable), ErrorKind::DeviceOffline);
        check(io(io::ErrorKind::HostUnreachable), ErrorKind::DestinationUnavailable);
        check(io(io::ErrorKind::ConnectionReset), ErrorKind::ConnectionTerminated);
        check("tunnel error: unsuccessful".into(), ErrorKind::DestinationUnavailable);
        let wrapped = |error: rustls::Error| -> BoxError {
            Box::new(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error)))
        };
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        check(wrapped(untrusted), ErrorKind::TlsCertificateError);
        check(wrapped(rustls::Error::HandshakeNotComplete), ErrorKind::TlsProtocolError);
    }
}
