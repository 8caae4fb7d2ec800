//! The admin listener: is it alive, is it ready, what does it do, and a few things to be done.
//!
//! It listens on the loopback interface alone unless it is exposed on purpose and has a token, and
//! `guard` decides who may ask.

mod answers;
mod guard;
mod metrics;
mod observed;
mod routes;
mod views;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::answers::{Answer, json_of, refusal, text, wrong_method};
use self::guard::Guard;
use self::metrics::{Named, Numbers};
use self::observed::Observed;
use self::routes::{Route, Turn};
use crate::cache::purge::Purge;
use crate::client::Client;

use crate::sidecar::listeners::named;
use crate::sidecar::premises::Premises;

/// Who may ask the admin listener, and where.
#[derive(Clone)]
pub struct AdminOptions {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Whether that may be an address that others than this machine can reach; it needs a token.
    pub exposed: bool,
    /// What whoever sends as `Authorization: Bearer` may do everything.
    pub token: Option<String>,
    /// Names under which it may be asked, beside those of this machine.
    pub hosts: Vec<String>,
}

/// What the admin listener was told that only the owner of the process can do.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration anew; the answer says what changed, or why nothing did.
    Reload(oneshot::Sender<Result<Value, String>>),
    /// End in order.
    Drain,
}

/// Where orders come out.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<Order>);

/// What the admin listener tells of.
pub(super) struct Admin {
    premises: Arc<Premises>,
    orders: ArcSwapOption<mpsc::Sender<Order>>,
    config: ArcSwapOption<Value>,
    observed: Arc<Observed>,
    named: Named,
    /// Reloads that were done, and those that were refused.
    reloads: [AtomicU64; 2],
}

impl AdminOptions {
    /// For this machine alone.
    pub fn at(bind: SocketAddr) -> Self {
        Self { bind, exposed: false, token: None, hosts: Vec::new() }
    }

    /// Refuses what would let anybody in.
    fn check(&self) -> Result<(), &'static str> {
        if self.bind.ip().is_loopback() {
            return Ok(());
        }
        if !self.exposed {
            return Err("it is no loopback address, and the admin listener is not to be exposed");
        }
        match &self.token {
            Some(token) if token.len() >= TOKEN_BYTES_MIN => Ok(()),
            Some(_) => Err("the token of an exposed admin listener has at least 16 characters"),
            None => Err("an exposed admin listener needs a token"),
        }
    }
}

impl Orders {
    /// The next order; none once nobody can give any.
    pub async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }
}

/// Binds the listener and serves until it is told to stop, which is after all other listeners.
pub(super) async fn start(
    options: AdminOptions,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> io::Result<SocketAddr> {
    let name = options.bind.to_string();
    if let Err(problem) = options.check() {
        return Err(named(&name, &io::Error::new(io::ErrorKind::InvalidInput, problem)));
    }
    let socket = TcpListener::bind(options.bind).await.map_err(|cause| named(&name, &cause))?;
    let addr = socket.local_addr()?;
    let exposed = !options.bind.ip().is_loopback();
    let guard = Arc::new(Guard::new(options.token.as_deref(), exposed, options.hosts));
    tokio::spawn(serve(socket, (admin, guard), stop));
    Ok(addr)
}

async fn serve(
    socket: TcpListener,
    (admin, guard): (Arc<Admin>, Arc<Guard>),
    stop: CancellationToken,
) {
    let rooms = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let (Ok(local), Ok(room)) = (stream.local_addr(), rooms.clone().acquire_owned().await)
        else {
            continue;
        };
        let (admin, guard, stop) = (admin.clone(), guard.clone(), stop.clone());
        tokio::spawn(async move {
            let handler = service_fn(|request: Request<Incoming>| {
                let (admin, guard) = (&admin, &guard);
                async move { Ok::<_, Infallible>(admin.answer(guard, &request, local).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).keep_alive(false);
            let connection = server.serve_connection(TokioIo::new(stream), handler);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(EXCHANGE_MAX, connection) => {}
            }
            drop(room);
        });
    }
}

impl Admin {
    pub(super) fn new(premises: Arc<Premises>) -> Self {
        let (orders, config) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        let (observed, named, reloads) = (Arc::default(), Named::default(), Default::default());
        Self { premises, orders, config, observed, named, reloads }
    }

    /// Learns from what a client writes into its journal.
    pub(super) fn observe(&self, client: &Client) {
        let observed = self.observed.clone();
        client.observe(Box::new(move |entry| observed.note(entry)));
    }

    pub(super) fn take_orders(&self) -> Orders {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        self.orders.store(Some(Arc::new(sender)));
        Orders(orders)
    }

    pub(super) fn show_config(&self, config: Value) {
        self.config.store(Some(Arc::new(config)));
    }

    async fn answer(
        &self,
        guard: &Guard,
        request: &Request<Incoming>,
        local: SocketAddr,
    ) -> Answer {
        let route = Route::of(request.uri().path());
        let access = route.as_ref().map_or(guard::Access::Look, Route::access);
        let mut answer = match (guard.check(access, request, local), route) {
            (Err((status, why)), _) => refusal(status, why),
            (Ok(()), None) => text(StatusCode::NOT_FOUND, "no such path\n"),
            (Ok(()), Some(route)) if !route.takes(request.method()) => wrong_method(&route),
            (Ok(()), Some(route)) => self.tell(route, request).await,
        };
        answers::guard(&mut answer);
        answer
    }

    async fn tell(&self, route: Route, request: &Request<Incoming>) -> Answer {
        let rooms = self.premises.rooms();
        match route {
            Route::Health => text(StatusCode::OK, "alive\n"),
            Route::Ready if self.premises.house.is_leaving() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            Route::Ready => text(StatusCode::OK, "ready\n"),
            Route::Version => {
                json_of(&json!({ "name": "spillgate", "version": env!("CARGO_PKG_VERSION") }))
            }
            Route::Metrics => self.metrics(),
            Route::Hosts => json_of(&views::hosts(&rooms)),
            Route::Host(host) => match views::host(&rooms, &host) {
                Some(host) => json_of(&host),
                None => text(StatusCode::NOT_FOUND, "no such host was asked\n"),
            },
            Route::Queue => json_of(&views::queue(&rooms)),
            Route::Cache => json_of(&views::cache(&rooms)),
            Route::Config => self.config(),
            Route::Invalidate => self.invalidate(request),
            Route::Reload => self.reload().await,
            Route::Drain => self.drain().await,
            Route::Breaker(scope, turn) => self.turn(scope, turn, request).await,
        }
    }

    fn metrics(&self) -> Answer {
        let rooms = self.premises.rooms();
        let numbers = Numbers {
            rooms: &rooms,
            seen: self.observed.seen(),
            named: &self.named,
            draining: self.premises.house.is_leaving(),
            reloads: self.reloads.each_ref().map(|count| count.load(Ordering::Relaxed)),
        };
        let mut answer = text(StatusCode::OK, &numbers.page());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }

    fn config(&self) -> Answer {
        let shown = self.config.load_full().map(|config| Value::clone(&config));
        let listeners = views::listeners(&self.premises.rooms());
        json_of(&json!({ "config": shown, "listeners": listeners }))
    }

    fn invalidate(&self, request: &Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let purge = pairs.find_map(|(key, value)| {
            let value = value.into_owned();
            match &*key {
                "url" => Some(Purge::Url(value)),
                "prefix" => Some(Purge::Prefix(value)),
                "tag" => Some(Purge::Tag(value)),
                "host" => Some(Purge::Host(value)),
                "all" => Some(Purge::Everything),
                _ => None,
            }
        });
        let Some(purge) = purge else {
            let expected = "expected one of ?url=, ?prefix=, ?tag=, ?host= or ?all\n";
            return text(StatusCode::BAD_REQUEST, expected);
        };
        let rooms = self.premises.rooms();
        let forgotten = rooms.parts.iter().map(|part| part.exchanges.cache().purge(purge.clone()));
        json_of(&json!({ "forgotten": forgotten.sum::<usize>() }))
    }

    async fn reload(&self) -> Answer {
        let (reply, told) = oneshot::channel();
        if self.premises.house.is_leaving() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "it is draining\n");
        }
        if !self.give(Order::Reload(reply)).await {
            return text(StatusCode::NOT_IMPLEMENTED, "nobody here can read a configuration\n");
        }
        match told.await {
            Ok(Ok(changes)) => json_of(&changes),
            Ok(Err(why)) => {
                text(StatusCode::UNPROCESSABLE_ENTITY, &format!("nothing has changed: {why}\n"))
            }
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "it is draining\n"),
        }
    }

    async fn drain(&self) -> Answer {
        if self.premises.house.is_leaving() || self.give(Order::Drain).await {
            // Whoever asks next is told so, even if the owner of the process has not heard it yet.
            self.premises.house.leave();
            let mut answer = json_of(&json!({ "draining": true }));
            *answer.status_mut() = StatusCode::ACCEPTED;
            return answer;
        }
        text(StatusCode::NOT_IMPLEMENTED, "nobody here can end the process\n")
    }

    async fn give(&self, order: Order) -> bool {
        match self.orders.load_full() {
            Some(orders) => orders.send(order).await.is_ok(),
            None => false,
        }
    }

    /// Tells every client that knows the scope.
    async fn turn(&self, scope: String, turn: Turn, request: &Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let seconds = pairs.find(|(key, _)| key == "seconds").map(|(_, value)| value.parse());
        let duration = match seconds {
            None => None,
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return text(StatusCode::BAD_REQUEST, "expected ?seconds=60\n"),
        };
        let rooms = self.premises.rooms();
        let named = scope.clone();
        // The actor that owns a breaker is waited for.
        let turned = tokio::task::spawn_blocking(move || {
            let parts = rooms.parts.iter();
            let known = parts.filter_map(|part| part.exchanges.client().breakers().get(&named));
            let states = known.map(|breaker| {
                match turn {
                    Turn::Open => breaker.force_open(duration),
                    Turn::Close => breaker.force_closed(),
                    Turn::Reset => breaker.reset(),
                }
                breaker.state().name()
            });
            states.collect::<Vec<_>>()
        });
        match turned.await.unwrap_or_default().as_slice() {
            [] => text(StatusCode::NOT_FOUND, "no such scope is known\n"),
            states => json_of(&json!({ "scope": scope, "states": states })),
        }
    }

    /// Counts a reload, whoever asked for it.
    pub(super) fn reloaded(&self, done: bool) {
        let [of_done, of_refused] = &self.reloads;
        let counter = if done { of_done } else { of_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for AdminOptions {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminOptions")
            .field("bind", &self.bind)
            .field("exposed", &self.exposed)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

const CONNECTIONS_MAX: usize = 64;
const ORDERS_MAX: usize = 8;
const HEAD_MAX: Duration = Duration::from_secs(5);
const EXCHANGE_MAX: Duration = Duration::from_secs(60);
const TOKEN_BYTES_MIN: usize = 16;
