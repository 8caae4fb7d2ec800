//! A transport for what is only passed on: bodies stay coded as they came, and interim answers are
//! seen, which reqwest shows to nobody. It is hyper's own client with the same connects, phases and
//! errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONNECTION, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpInfo;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use spillgate_actors::phases::Mark;
use spillgate_actors::transport::{
    Beside, Connection, ExchangeFuture, Inbound, Outbound, Transport, TransportError, Way,
};
use spillgate_core::advice::ErrorKind;
use tower::Layer as _;

use super::connect::ConnectLayer;
use super::connections::{ConnectionTable, Connects as ConnectCount};
use super::current::{REQUESTER, Requester};
use super::dial::{Connector, Dialing};
use super::incoming::{NotingRead, RawBody};
use super::options::{Protocols, TransportOptions, TransportSetupError};
use super::outgoing::NotingBody;
use super::resolve::SystemResolver;
use super::tunnel::{Passage, Tunnels};
use super::{errors, frame, head, tls, tunnel};

/// Sends requests with hyper and leaves their answers as they are.
#[derive(Clone)]
pub(crate) struct PassingTransport {
    inner: Arc<Inner>,
}

struct Inner {
    usual: Engine,
    apart: Engine,
    /// For requests that ask for another protocol, which only HTTP/1.1 lets them.
    switching: Engine,
    tunnels: Tunnels,
    options: TransportOptions,
    connections: Arc<ConnectionTable>,
    requesters: AtomicU64,
}

type Engine = Client<Dialing, NotingBody>;

impl PassingTransport {
    /// Builds a transport. Reads the root certificates, which takes some milliseconds.
    pub(crate) fn new(options: &TransportOptions) -> Result<Self, TransportSetupError> {
        let connections = Arc::new(ConnectionTable::default());
        let tls = tls::client_config(options)?;
        let preferred = Arc::default();
        let connecting = |way, tls: &Arc<rustls::ClientConfig>| {
            let resolver = SystemResolver::new(way, Arc::clone(&preferred));
            let connector = Connector::new(resolver, tls.clone());
            let connects =
                ConnectCount::new(options.idle_connections_total_max, options.idle_timeout);
            let (connections, connects) = (connections.clone(), Arc::new(connects));
            ConnectLayer { connections, gate: Arc::default(), connects }.layer(connector)
        };
        let mut old_only = tls.clone();
        old_only.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (tls, old_only) = (Arc::new(tls), Arc::new(old_only));
        let inner = Inner {
            usual: client(options, Way::Usual).build(connecting(Way::Usual, &tls)),
            apart: client(options, Way::Apart).build(connecting(Way::Apart, &tls)),
            switching: client(options, Way::Usual)
                .http2_only(false)
                .build(connecting(Way::Usual, &old_only)),
            tunnels: Tunnels::new(connecting(Way::Usual, &tls)),
            options: options.clone(),
            connections,
            requesters: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
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
        let number = self.requesters.fetch_add(1, Ordering::Relaxed);
        if outbound.method == Method::CONNECT {
            return self.tunnels.connect(outbound, (number, &self.connections)).await;
        }
        let Outbound { method, url, mut headers, body, connect_timeout, marks, way, .. } = outbound;
        let Beside { interim, trailers, handover } = outbound.beside;
        let passage = Passage::wished(&headers, handover);
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
        let requester =
            Requester { number, marks: Arc::clone(&marks), connect_timeout, negotiates_with: None };
        let engine = match (&passage, way) {
            (Some(_), _) => &self.switching,
            (None, Way::Usual) => &self.usual,
            (None, Way::Apart) => &self.apart,
        };
        let mut answer =
            REQUESTER.scope(requester, engine.request(request)).await.map_err(|error| {
                let is_connect = error.is_connect();
                errors::of_engine(error, (false, is_connect), &marks)
            })?;
        marks.note(Mark::Head);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            tunnel::switch(&mut answer, passage).await?;
        }
        let (parts, body) = answer.into_parts();
        head::check(&parts.headers, &self.options)?;
        let connection = parts.extensions.get::<HttpInfo>().map(|info| {
            let (local, peer) = (info.local_addr(), info.remote_addr());
            let origin = self.connections.origin((local, peer), number, marks.began());
            Connection { local, peer, origin }
        });
        let (status, version, headers) = (parts.status, parts.version, parts.headers);
        let body = Box::pin(NotingRead::new(RawBody::new(body).with_trailers(trailers), marks));
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
