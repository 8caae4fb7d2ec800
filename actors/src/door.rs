//! The door to the actors: hands calls in, waits for their answers, and cancels on drop.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::Ticket;
use spillgate_core::host::Order;
use tokio::sync::oneshot;
use url::Url;

use crate::admission::{self, Inside};
use crate::answer::{Response, StreamingResponse};
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::fetch::Fetch;
use crate::hostname::HostName;
use crate::intake;
use crate::messages::{Cancel, Operate, Reply, Submit};
use crate::order::Delivery;
use crate::record::JournalEntry;
use crate::registry::Registry;
use crate::seams::{Parts, Seams};
use crate::snapshot::Snapshot;
use crate::system::Shard;

/// A handle to the actors of one client; cheap to clone, and the actors end with the last one.
#[derive(Clone)]
pub struct Door {
    shard: Arc<Shard>,
    seams: Arc<Seams>,
}

impl Door {
    /// Starts the actors on a thread of their own; works inside and outside any runtime.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let seams = Arc::new(Seams::new(parts));
        let shard = Shard::start(seams.clone())?;
        Ok(Self { shard: Arc::new(shard), seams })
    }

    /// Sends a request and waits for its whole answer; dropping the future cancels the wish.
    pub async fn send(&self, fetch: Fetch) -> Result<Response, Error> {
        let (reply, answer) = oneshot::channel();
        let mut leave = self.submit(fetch, Delivery::Whole, Reply::Whole(reply))?;
        let answer = answer.await;
        leave.answered();
        answer.unwrap_or_else(|_| Err(admission::lost()))
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send_streaming(&self, fetch: Fetch) -> Result<StreamingResponse, Error> {
        let (reply, answer) = oneshot::channel();
        let mut leave = self.submit(fetch, Delivery::Stream, Reply::Stream(reply))?;
        let answer = answer.await;
        leave.answered();
        answer.unwrap_or_else(|_| Err(admission::lost()))
    }

    /// Gives a breaker an order and returns when it is carried out, or after a second.
    pub fn operate(&self, scope: &str, order: Order) {
        let (done, carried_out) = crossbeam_channel::bounded(1);
        let scope = self.scope_named(scope).into();
        self.shard.addr().do_send(Operate { scope, order, done: Some(done) });
        let _ = carried_out.recv_timeout(OPERATE_MAX);
    }

    /// The full name of a scope whose host may be spelled differently, or given without its scheme
    /// once it is known.
    pub fn scope_named(&self, scope: &str) -> String {
        let registry = &self.seams.registry;
        if registry.scope(scope).is_some() {
            return scope.to_owned();
        }
        let (host, route) = scope.split_at(scope.find(' ').unwrap_or(scope.len()));
        let full = if host.contains("://") {
            HostName::parse(host)
        } else {
            let guesses = ["http://", "https://"].map(|scheme| format!("{scheme}{host}"));
            let mut names = guesses.iter().filter_map(|guess| HostName::parse(guess));
            names.find(|name| registry.host(&name.key()).is_some())
        };
        full.map_or_else(|| scope.to_owned(), |name| format!("{name}{route}"))
    }

    /// Adds to a request what this client adds to all: whoever answers in its place sees it whole.
    pub fn complete(&self, fetch: &mut Fetch) {
        intake::complete(&self.seams, fetch);
    }

    /// A URL as it may be shown.
    pub fn redacted(&self, url: &Url) -> String {
        (self.seams.redact)(url)
    }

    /// Tells the reporter something.
    pub fn tell(&self, entry: JournalEntry) {
        self.seams.journal.write(entry);
    }

    /// The coordinator's address, for messages.
    pub fn addr(&self) -> Addr<Coordinator> {
        self.shard.addr().clone()
    }

    /// The published state.
    pub fn registry(&self) -> &Registry {
        &self.seams.registry
    }

    /// The state of everything at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.seams.registry, self.seams.journal.dropped())
    }

    /// Ends the actors' thread and waits for it; calls inside end with `ShuttingDown`.
    pub fn close(&self) {
        self.shard.close();
    }

    fn submit(
        &self,
        fetch: Fetch,
        delivery: Delivery,
        reply: Reply,
    ) -> Result<CancelOnDrop, Error> {
        let (call, inside) = admission::check(&self.seams, fetch, delivery)?;
        let ticket = call.spec.ticket;
        self.shard.addr().do_send(Submit { call, reply });
        let waiting = Some((ticket, self.shard.addr().clone()));
        Ok(CancelOnDrop { waiting, _inside: inside })
    }
}

/// Tells the coordinator when a caller leaves without its answer.
struct CancelOnDrop {
    waiting: Option<(Ticket, Addr<Coordinator>)>,
    _inside: Inside,
}

impl CancelOnDrop {
    fn answered(&mut self) {
        self.waiting = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((ticket, addr)) = self.waiting.take() {
            addr.do_send(Cancel { ticket, kind: ErrorKind::Cancelled });
        }
    }
}

/// An order is carried out in microseconds; a caller on a wedged thread is let go after this.
const OPERATE_MAX: Duration = Duration::from_secs(1);
