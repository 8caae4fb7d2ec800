//! The drill's listeners, connections and handlers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Exchange, Reaction, index};
use super::book::{Book, Entry, Ticket};
use super::fault::{Fault, Inquiry, PATHS, Target};
use super::payload::{Content, Payload};
use super::pulse::Line;
use super::query::Refusal;
use super::script::Script;
use super::wire::{FaultIo, Socket, Wire};

/// What all connections share.
pub(super) struct Server {
    pub(super) book: Arc<Book>,
    pub(super) script: Script,
    pub(super) seed: u64,
    pub(super) tls: Option<TlsAcceptor>,
}

/// One connection's share of it.
struct Session {
    server: Arc<Server>,
    wire: Arc<Wire>,
    peer: SocketAddr,
}

/// A request, as far as its head tells.
enum Visit {
    /// A question about the drill itself.
    Asks(Inquiry),
    /// A request that is in the ledger.
    Calls(Entry, Result<Target, Refusal>),
}

/// A read body: its start is kept, all of it is counted.
struct ReadBody {
    kept: Vec<u8>,
    len: u64,
    blake3: [u8; 32],
}

impl Server {
    /// Accepts connections for ever.
    pub(super) async fn listen(self: Arc<Self>, host: usize, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.open(host, stream, peer),
                // Out of descriptors, most likely: let some connections close.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn open(self: &Arc<Self>, host: usize, stream: TcpStream, peer: SocketAddr) {
        // The option only costs speed where it is refused.
        let _ = stream.set_nodelay(true);
        let connection = self.book.write(super::ledger::Ledger::connect);
        let socket = Arc::new(stream);
        let line = Line::new(connection, host, Arc::downgrade(&socket));
        let wire = Arc::new(Wire::new(line));
        let session = Arc::new(Session { server: Arc::clone(self), wire, peer });
        let socket = Socket(socket);
        match &self.tls {
            None => drop(tokio::spawn(session.serve(socket))),
            Some(acceptor) => {
                let handshake = acceptor.accept(socket);
                drop(tokio::spawn(async move {
                    let shaken = tokio::time::timeout(HANDSHAKE_MAX, handshake).await;
                    if let Ok(Ok(stream)) = shaken {
                        session.serve(stream).await;
                    }
                }));
            }
        }
    }

    /// Finds a scenario's step, or is the target itself.
    fn resolve<'a>(&'a self, target: &'a Target, turn: u64) -> Option<(&'a Fault, String, u64)> {
        let own_key = || target.key.clone().unwrap_or_default();
        let Fault::Scenario { name } = &target.fault else {
            return Some((&target.fault, own_key(), turn));
        };
        let (index, step) = self.script.step(name, turn)?;
        if !step.fault.counts_its_hits() {
            return Some((&step.fault, own_key(), turn));
        }
        let key = format!("{} step {}", own_key(), index + 1);
        let turn = self.book.write(|ledger| ledger.turn(&key)).unwrap_or(turn);
        Some((&step.fault, key, turn))
    }
}

impl Session {
    async fn serve<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(FaultIo::new(stream, Arc::clone(&self.wire)));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().max_buf_size(BUFFER_MAX);
        builder.http2().max_send_buf_size(BUFFER_MAX);
        let service = service_fn(move |request| Arc::clone(&self).handle(request));
        // How a connection ends is seen by its tickets.
        let _ = builder.serve_connection(io, service).await;
    }

    /// Enters the request at once: hyper drops an answer unbegun when request and goodbye come
    /// together.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = io::Result<Response<Payload>>> {
        let (parts, body) = request.into_parts();
        let host = self.wire.line().host;
        let target = Target::parse(host, parts.uri.path(), parts.uri.query());
        let visit = match target {
            Ok(Target { fault: Fault::Inquiry(inquiry), .. }) => Visit::Asks(inquiry),
            target => {
                let key = target.as_ref().ok().and_then(|target| target.key.as_deref());
                let (line, book) = (self.wire.line().clone(), &self.server.book);
                Visit::Calls(book.begin(line, self.peer, &parts, key), target)
            }
        };
        self.receive(parts, body, visit)
    }

    async fn receive(
        self: Arc<Self>,
        parts: Parts,
        body: Incoming,
        visit: Visit,
    ) -> io::Result<Response<Payload>> {
        let (Entry { ticket, turn, doubt }, target) = match visit {
            Visit::Asks(inquiry) => {
                return Ok(self.respond(&parts.method, self.inform(&inquiry), None));
            }
            Visit::Calls(entry, target) => (entry, target),
        };
        if let Some(doubt) = doubt {
            for _ in 0..SETTLING_TURNS {
                tokio::task::yield_now().await;
            }
            self.server.book.write(|ledger| ledger.settle(doubt));
        }
        let body = ReadBody::read(body).await.map_err(io::Error::other)?;
        if body.len > 0 {
            ticket.note_body(body.len, body.blake3);
        }
        match self.react(&parts, &body, target, turn) {
            Reaction::Answer(answer) => {
                if !answer.delay.is_zero() {
                    tokio::time::sleep(answer.delay).await;
                }
                Ok(self.respond(&parts.method, *answer, Some(ticket)))
            }
            Reaction::Cut(cut) => {
                ticket.complete();
                self.wire.cut(cut);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    fn inform(&self, inquiry: &Inquiry) -> Answer {
        let facts = match inquiry {
            Inquiry::Index => return index(),
            Inquiry::Count { key: None, path: Some(path) } => {
                let hits = self.server.book.read(|ledger| ledger.hits_at(path));
                json!({ "path": path, "hits": hits })
            }
            Inquiry::Count { key, path: _ } => {
                let hits = self.server.book.read(|ledger| match key {
                    Some(key) => ledger.hits_of(key),
                    None => ledger.hits(),
                });
                json!({ "key": key, "hits": hits })
            }
            Inquiry::InFlight => self.server.book.read(|ledger| {
                let (peak, peak_per_host) = (ledger.peak(), ledger.peak_per_host());
                let current = ledger.in_flight();
                json!({ "current": current, "peak": peak, "peak_per_host": peak_per_host })
            }),
        };
        Answer::json(StatusCode::OK, &facts)
    }

    fn react(
        &self,
        parts: &Parts,
        body: &ReadBody,
        target: Result<Target, Refusal>,
        turn: Option<u64>,
    ) -> Reaction {
        let target = match target {
            Ok(target) => target,
            Err(refusal) => return Reaction::Answer(Box::new(refuse(&refusal))),
        };
        let turn = match turn {
            Some(turn) => turn,
            None if target.fault.counts_its_hits() => return Reaction::Answer(Box::new(full())),
            None => 0,
        };
        let Some((fault, key, turn)) = self.server.resolve(&target, turn) else {
            let names = self.server.script.names();
            let error = json!({ "error": "no such scenario", "scenarios": names });
            return Reaction::Answer(Box::new(Answer::json(StatusCode::NOT_FOUND, &error)));
        };
        let seed = self.server.seed;
        let (kept, body_len) = (body.kept.as_slice(), body.len);
        Reaction::to(fault, &Exchange { parts, body: kept, body_len, seed, key: &key, turn })
    }

    fn respond(
        &self,
        method: &Method,
        answer: Answer,
        ticket: Option<Ticket>,
    ) -> Response<Payload> {
        let Answer { status, mut headers, mut content, .. } = answer;
        let without_body = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if without_body {
            headers.remove(http::header::CONTENT_LENGTH);
        }
        if without_body || *method == Method::HEAD {
            // hyper drops the body of such an answer unread, which is no client's departure.
            content = Content::whole("");
        }
        let payload = Payload::new(content, Arc::clone(&self.wire), ticket);
        let mut response = Response::new(payload);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

impl ReadBody {
    async fn read(mut body: Incoming) -> hyper::Result<Self> {
        let (mut kept, mut len, mut hasher) = (Vec::new(), 0, blake3::Hasher::new());
        if body.is_end_stream() {
            return Ok(Self { kept, len, blake3: [0; 32] });
        }
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            hasher.update(&bytes);
            len += bytes.len() as u64;
            let room = BODY_KEPT_MAX - kept.len();
            kept.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
        }
        Ok(Self { kept, len, blake3: *hasher.finalize().as_bytes() })
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Path => {
            let error = json!({ "error": "no such path", "paths": PATHS.map(|(path, _)| path) });
            Answer::json(StatusCode::NOT_FOUND, &error)
        }
        Refusal::Parameter { name, expected } => {
            let error = json!({
                "error": refusal.to_string(), "parameter": name, "expected": expected,
            });
            Answer::json(StatusCode::BAD_REQUEST, &error)
        }
    }
}

fn full() -> Answer {
    let error = "the table of keys is full, and this path counts its hits by key";
    Answer::error(StatusCode::INSUFFICIENT_STORAGE, error)
}

/// A pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Bytes that hyper may hold before they are written.
const BUFFER_MAX: usize = 64 * 1024;
/// The start of a body that is kept to be echoed.
const BODY_KEPT_MAX: usize = 1024 * 1024;
/// Turns of the event loop in which a connection reads its client's goodbye and a stream's handler
/// is dropped: one for the connection, one for the stream, one to spare.
const SETTLING_TURNS: usize = 3;
