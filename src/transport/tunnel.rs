//! Connections that become tunnels: those that `CONNECT` asks for, and those whose upstream takes up
//! another protocol.
//!
//! An attempt only makes the tunnel: it ends with the answer's head, as any other does, and whoever
//! asked for the tunnel is its owner from there on.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures_util::stream;
use http::header::{HeaderMap, HeaderValue, UPGRADE};
use http::{Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::connect::{Connection as _, HttpInfo};
use hyper_util::rt::TokioIo;
use spillgate_actors::phases::Mark;
use spillgate_actors::transport::{Connection, Handover, Inbound, Outbound, TransportError};
use spillgate_core::advice::ErrorKind;
use tower::Service as _;

use super::connect::ConnectFailure;
use super::connections::ConnectionTable;
use super::current::{REQUESTER, Requester};
use super::dial::Dialing;
use super::errors;

/// Makes connections of which nothing is known but where they go.
pub(super) struct Tunnels {
    connector: Dialing,
}

impl Tunnels {
    pub(super) fn new(connector: Dialing) -> Self {
        Self { connector }
    }

    /// Connects to the authority of a URL, whatever its scheme, and hands the connection over.
    pub(super) async fn connect(
        &self,
        outbound: Outbound,
        (number, connections): (u64, &Arc<ConnectionTable>),
    ) -> Result<Inbound, TransportError> {
        let Outbound { url, connect_timeout, marks, beside, .. } = outbound;
        let invalid = || TransportError::never_sent(ErrorKind::InvalidRequest);
        let handover = beside.handover.ok_or_else(invalid)?;
        let (host, port) = url.host_str().zip(url.port_or_known_default()).ok_or_else(invalid)?;
        // In the clear: what is said over it is for its two ends alone.
        let uri: Uri = format!("http://{host}:{port}/").parse().map_err(|_| invalid())?;
        let requester =
            Requester { number, marks: Arc::clone(&marks), connect_timeout, negotiates_with: None };
        let mut connector = self.connector.clone();
        let connecting = REQUESTER.scope(requester, async move { connector.call(uri).await });
        let wire = connecting.await.map_err(|error| match error.downcast::<ConnectFailure>() {
            Ok(failure) => errors::of_engine(*failure, (false, true), &marks),
            Err(_) => TransportError::never_sent(ErrorKind::DestinationUnavailable),
        })?;
        marks.note(Mark::Head);
        let mut known = http::Extensions::new();
        wire.connected().get_extras(&mut known);
        let connection = known.get::<HttpInfo>().map(|info| {
            let (local, peer) = (info.local_addr(), info.remote_addr());
            let origin = connections.origin((local, peer), number, marks.began());
            Connection { local, peer, origin }
        });
        handover(Box::new(wire.into_inner()));
        let (status, version) = (StatusCode::OK, Version::HTTP_11);
        let (headers, body) = (HeaderMap::new(), Box::pin(stream::empty()));
        Ok(Inbound { status, version, headers, body, connection })
    }
}

/// Another protocol that a request asks for, and who takes the connection over then.
pub(super) struct Passage {
    protocol: HeaderValue,
    handover: Handover,
}

impl Passage {
    /// What a request's head asks for, if somebody takes over.
    pub(super) fn wished(headers: &HeaderMap, handover: Option<Handover>) -> Option<Self> {
        let (protocol, handover) = (headers.get(UPGRADE)?.clone(), handover?);
        Some(Self { protocol, handover })
    }

    fn is_to(&self, protocol: Option<&HeaderValue>) -> bool {
        let protocol = protocol.map(|name| name.as_bytes().trim_ascii());
        protocol.is_some_and(|name| name.eq_ignore_ascii_case(self.protocol.as_bytes()))
    }
}

/// Takes the connection of an answer that switches protocols; one that nobody asked to is an error.
pub(super) async fn switch<B>(
    answer: &mut Response<B>,
    passage: Option<Passage>,
) -> Result<(), TransportError> {
    let broken = |cause| TransportError::sent(ErrorKind::HttpProtocolError).caused_by(cause);
    let passage = passage.filter(|passage| passage.is_to(answer.headers().get(UPGRADE)));
    let Some(Passage { handover, .. }) = passage else { return Err(broken(Unasked)) };
    let switched = hyper::upgrade::on(answer).await;
    let switched = switched
        .map_err(|cause| TransportError::sent(ErrorKind::ConnectionTerminated).caused_by(cause))?;
    handover(Box::new(TokioIo::new(switched)));
    Ok(())
}

/// The upstream speaks another protocol than it was asked for.
#[derive(Debug)]
struct Unasked;

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream switched to a protocol that the request does not name")
    }
}

impl StdError for Unasked {}
