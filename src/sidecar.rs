//! The sidecar: everything this library does, for programs in any language, as a proxy.
//!
//! A reverse listener stands for one upstream, a forward listener for all hosts on its list. Requests
//! pass the cache first and then the client, so queue, breaker, retries and spans apply; bodies
//! stream both ways. Tunnels are made the same way, and then carry what nobody here reads.

pub mod admin;
mod alarm;
mod body;
pub mod bounds;
mod carrying;
mod counts;
mod exchange;
mod house;
mod hygiene;
mod inbound;
mod interim;
mod listener;
mod listeners;
pub mod manner;
mod opaque;
mod parting;
mod places;
mod premises;
mod presence;
mod refusal;
mod response;
mod share;
mod stream;
pub mod tally;
mod target;
mod terms;
mod tls;
mod trailers;
mod tunnel;
mod upload;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::client::Client;
use crate::config::serving::{ListenerRole, TunnelLimits};
use crate::sidecar::admin::{Admin, AdminOptions, Orders};
use crate::sidecar::bounds::Bounds;
use crate::sidecar::exchange::Exchanges;
use crate::sidecar::manner::Repeats;
use crate::sidecar::premises::{Part, Premises, Rooms};
use crate::sidecar::tally::Tally;

/// What one listener stands for.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Where it listens, such as `127.0.0.1:9001`; port 0 takes a free one.
    pub bind: String,
    /// Where its requests go.
    pub role: ListenerRole,
    /// Which of its requests are sent again after a failure.
    pub repeats: Repeats,
    /// Certificate chain and key, as PEM files, if it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How long its clients may keep it waiting.
    pub bounds: Bounds,
    /// What bounds its tunnels.
    pub tunnels: TunnelLimits,
}

impl ListenerOptions {
    /// A listener on a free port of the loopback interface, for requests in the clear.
    pub fn of(role: ListenerRole) -> Self {
        let (tunnels, bounds) = (TunnelLimits::default(), Bounds::default());
        let bind = "127.0.0.1:0".to_owned();
        Self { bind, role, repeats: Repeats::NeverSent, tls: None, bounds, tunnels }
    }
}

/// A client and its cache, for listeners to stand on.
#[derive(Debug)]
pub struct PartOptions {
    /// What it is called where it is shown.
    pub name: String,
    /// What sends.
    pub client: Client,
    /// What answers before that.
    pub cache: Arc<Cache>,
}

/// A client and its cache, as a number of the sidecar's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(usize);

/// What became of the listeners when they were named anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Sockets that were opened.
    pub added: usize,
    /// Sockets that were closed; what was begun on their connections goes on to its end.
    pub removed: usize,
    /// Sockets that stayed, and with them their connections.
    pub kept: usize,
}

/// How long a drain may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainOptions {
    /// How long listeners go on as if nothing had happened, but for `/readyz` and `Connection: close`.
    pub lame_duck: Duration,
    /// How long what was begun may take from then on.
    pub grace: Duration,
}

/// A running proxy; it ends with [`Sidecar::drain`].
pub struct Sidecar {
    premises: Arc<Premises>,
    cache: Arc<Cache>,
    stop: CancellationToken,
    admin: Arc<Admin>,
    stop_admin: CancellationToken,
}

impl Sidecar {
    /// A proxy that listens nowhere yet, with the first client that listeners may stand on.
    pub fn of(part: PartOptions) -> Self {
        let premises = Arc::new(Premises::default());
        let admin = Arc::new(Admin::new(premises.clone()));
        let (stop, stop_admin) = (CancellationToken::new(), CancellationToken::new());
        let mut sidecar = Self { premises, cache: part.cache.clone(), stop, admin, stop_admin };
        sidecar.add(part);
        sidecar
    }

    /// Binds all listeners and begins to serve on the current runtime.
    ///
    /// Over the client's own cache, [`CacheHandle::shared`](crate::CacheHandle::shared), what the
    /// client's configuration says of a host or a route holds for the proxy, after a reload as well.
    pub async fn start(
        client: Client,
        cache: Arc<Cache>,
        listeners: Vec<ListenerOptions>,
    ) -> io::Result<Self> {
        let name = "default".to_owned();
        let mut sidecar = Self::of(PartOptions { name, client, cache });
        let listeners = listeners.into_iter().map(|options| (PartId::FIRST, options)).collect();
        sidecar.listen(listeners).await?;
        Ok(sidecar)
    }

    /// Adds another client for listeners to stand on.
    pub fn add(&mut self, part: PartOptions) -> PartId {
        let PartOptions { name, client, cache } = part;
        self.admin.observe(&client);
        let mut rooms = Rooms::clone(&self.premises.rooms());
        let exchanges = Arc::new(Exchanges::new(client, cache));
        rooms.parts.push(Part { name: name.into(), exchanges });
        let id = PartId(rooms.parts.len() - 1);
        self.premises.furnish(rooms);
        id
    }

    /// Listens there, and nowhere else: an address that is named again keeps its socket and its
    /// connections, which from their next request on get what it stands for now. Certificates are
    /// read anew. After an error all is as it was.
    pub async fn listen(
        &mut self,
        listeners: Vec<(PartId, ListenerOptions)>,
    ) -> io::Result<Changes> {
        listeners::change(&self.premises, &self.stop, listeners).await
    }

    /// Tells how it is and does what it is told, at an address of its own; returns the address.
    ///
    /// One that is no loopback address must be exposed on purpose, and needs a token.
    pub async fn administer(&self, bind: SocketAddr) -> io::Result<SocketAddr> {
        self.administer_with(AdminOptions::at(bind)).await
    }

    /// The same with more to say about who may ask.
    pub async fn administer_with(&self, options: AdminOptions) -> io::Result<SocketAddr> {
        admin::start(options, self.admin.clone(), self.stop_admin.clone()).await
    }

    /// Hands on what the admin listener is told that only the owner of the process can do.
    pub fn take_orders(&self) -> Orders {
        self.admin.take_orders()
    }

    /// Shows a configuration at the admin listener, which must hold no secret.
    pub fn show_config(&self, config: serde_json::Value) {
        self.admin.show_config(config);
    }

    /// Where it listens, in the order of its listeners.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.premises.rooms().listeners.iter().map(|listening| listening.addr).collect()
    }

    /// The cache of its first client.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Counts a reload for the metrics, whoever asked for it.
    pub fn reloaded(&self, done: bool) {
        self.admin.reloaded(done);
    }

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        let rooms = self.premises.rooms();
        let mut tally = Tally::default();
        rooms.parts.iter().for_each(|part| tally.add(part.exchanges.tallies.read()));
        tally.connections =
            rooms.listeners.iter().map(|listening| listening.counts.connections.present()).sum();
        tally
    }

    /// Takes no more connections and waits until those that are open have had their answers, and
    /// tunnels have come to their end.
    pub async fn drain(self) {
        let options = DrainOptions { lame_duck: Duration::ZERO, grace: Duration::MAX };
        self.drain_within(options).await;
    }

    /// The same within a time; returns how many requests were cut off when it was over.
    ///
    /// Every request that came whole before its connection ended is answered: those in the system's
    /// queue, on new connections and on kept ones.
    pub async fn drain_within(&self, options: DrainOptions) -> u64 {
        self.premises.house.leave();
        if !options.lame_duck.is_zero() {
            tokio::time::sleep(options.lame_duck).await;
        }
        self.stop.cancel();
        self.premises.house.connections.close();
        let ended =
            tokio::time::timeout(options.grace, self.premises.house.connections.wait()).await;
        let cut = if ended.is_err() { self.premises.in_flight() } else { 0 };
        self.premises.house.cut.cancel();
        // Whoever ends the client next ends no call of which somebody would still be told.
        let _ = tokio::time::timeout(CUT_MAX, self.premises.house.connections.wait()).await;
        self.stop_admin.cancel();
        cut
    }
}

impl PartId {
    /// The client that the sidecar was made with.
    pub const FIRST: Self = Self(0);
}

impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("addrs", &self.addrs()).finish_non_exhaustive()
    }
}

/// How long what is cut off may take to be gone.
const CUT_MAX: Duration = Duration::from_secs(1);
