//! The network behind the `Transport` seam: stock reqwest with its own retries, redirects, timeouts,
//! decompression and environment proxies off, and a hook at every phase.

mod connect;
mod connections;
mod current;
mod decode;
#[cfg(feature = "sidecar")]
mod dial;
mod errors;
mod gate;
mod head;
mod incoming;
pub(crate) mod options;
mod outgoing;
#[cfg(feature = "sidecar")]
pub(crate) mod passing;
mod pools;
mod resolve;
mod tls;
#[cfg(feature = "sidecar")]
mod tunnel;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method};
use hyper_util::client::legacy::connect::HttpInfo;
use spillgate_actors::phases::{Mark, PhaseMarks};
use spillgate_actors::transport::{
    BodyStream, Connection, ExchangeFuture, Inbound, Outbound, OutboundBody, Transport,
    TransportError, Way,
};
use url::Url;

use self::connections::ConnectionTable;
use self::current::{REQUESTER, Requester};
use self::decode::Growth;
use self::incoming::{NotingRead, RawBody};
use self::options::{Protocols, TransportOptions, TransportSetupError};
use self::outgoing::NotingBody;
use self::pools::Pools;

/// Sends requests with reqwest.
///
/// Cheap to clone. It can be built anywhere; its connections live on the runtime on which an
/// exchange is polled, so use one transport on one runtime.
///
/// # Closing
///
/// Dropping an exchange or a body wakes hyper's connection task, which closes the connection the
/// next time it is polled (HTTP/1.1), or wakes the stream's task, which wakes the connection's to
/// send the reset (HTTP/2). On a current-thread runtime a task spawned after a wake-up is polled
/// after what was woken: so the connection is closed once `tokio::spawn(async {}).await` has
/// returned (twice for HTTP/2). `yield_now` does not promise it: behind 61 other ready tasks, a
/// task that yielded is polled again before the connection's. A connect is closed by the drop itself.
#[derive(Clone)]
pub struct ReqwestTransport {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    options: TransportOptions,
    connections: Arc<ConnectionTable>,
    requesters: AtomicU64,
    origins: RandomState,
}

impl ReqwestTransport {
    /// Builds a transport. Reads the root certificates, which takes some milliseconds.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportSetupError> {
        let connections = Arc::new(ConnectionTable::default());
        let pools = Pools::new(options, &connections)?;
        let options = options.clone();
        let (requesters, origins) = (AtomicU64::new(0), RandomState::new());
        Ok(Self { inner: Arc::new(Inner { pools, options, connections, requesters, origins }) })
    }
}

impl Transport for ReqwestTransport {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.exchange(outbound).await })
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("options", &self.inner.options).finish()
    }
}

impl Inner {
    async fn exchange(&self, outbound: Outbound) -> Result<Inbound, TransportError> {
        let Outbound { method, url, mut headers, body, connect_timeout, marks, way, .. } = outbound;
        let decodes = head::offer_codings(&mut headers);
        frame(&mut headers, &method, &body);
        // What shares no connection need not wait for another's handshake.
        let negotiates_with = self.negotiates_with(&url).filter(|_| way == Way::Usual);
        let mut request = reqwest::Request::new(method.clone(), url);
        *request.headers_mut() = headers;
        let body = NotingBody::new(body, Arc::clone(&marks));
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        let number = self.requesters.fetch_add(1, Ordering::Relaxed);
        let marks_of_requester = Arc::clone(&marks);
        let requester =
            Requester { number, marks: marks_of_requester, connect_timeout, negotiates_with };
        let client = self.pools.client(way);
        let answer = REQUESTER.scope(requester, client.execute(request)).await;
        let answer = answer.map_err(|error| errors::of_exchange(error, &marks))?;
        marks.note(Mark::Head);
        let answer = http::Response::<reqwest::Body>::from(answer);
        self.receive(&method, answer, decodes, (number, marks))
    }

    /// A number for the origin, if the handshake decides on its protocol.
    fn negotiates_with(&self, url: &Url) -> Option<u64> {
        let negotiates = self.options.protocols == Protocols::Negotiated && url.scheme() == "https";
        negotiates.then(|| self.origins.hash_one((url.host_str(), url.port())))
    }

    fn receive(
        &self,
        method: &Method,
        answer: http::Response<reqwest::Body>,
        decodes: bool,
        (number, marks): (u64, Arc<PhaseMarks>),
    ) -> Result<Inbound, TransportError> {
        let (mut parts, body) = answer.into_parts();
        head::check(&parts.headers, &self.options)?;
        let connection = parts.extensions.get::<HttpInfo>().map(|info| {
            let (local, peer) = (info.local_addr(), info.remote_addr());
            let origin = self.connections.origin((local, peer), number, marks.began());
            Connection { local, peer, origin }
        });
        let raw = RawBody::new(body);
        let decodes = decodes && head::may_have_body(method, parts.status) && !raw.is_empty();
        let codings = if decodes { head::codings(&parts.headers) } else { None };
        let body: BodyStream = match codings {
            Some(codings) if !codings.is_empty() => {
                parts.headers.remove(CONTENT_ENCODING);
                parts.headers.remove(CONTENT_LENGTH);
                let growth = Growth::new(&self.options);
                let raw: BodyStream = Box::pin(raw);
                let outermost_first = codings.into_iter().rev();
                let plain =
                    outermost_first.fold(raw, |body, coding| decode::decode(body, coding, growth));
                Box::pin(NotingRead::new(plain, marks))
            }
            Some(_) | None => Box::pin(NotingRead::new(raw, marks)),
        };
        let (status, version, headers) = (parts.status, parts.version, parts.headers);
        Ok(Inbound { status, version, headers, body, connection })
    }
}

/// Makes the head agree with the body: a wrong length would cut it, or open the next request.
fn frame(headers: &mut HeaderMap, method: &Method, body: &OutboundBody) {
    headers.remove(TRANSFER_ENCODING);
    match body {
        OutboundBody::Empty => {
            headers.remove(CONTENT_LENGTH);
            // RFC 9110 section 8.6; some servers answer 411 without.
            if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        }
        OutboundBody::Bytes(bytes) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        // The caller may know the length; hyper holds the stream to it.
        OutboundBody::Stream(_) => {}
    }
}

#[cfg(test)]
mod tests;
