//! The sidecar: everything this library does, for programs in any language, as a proxy.
//!
//! A reverse listener stands for one upstream. Requests pass the cache first and then the client, so
//! queue, breaker, retries and spans apply; bodies stream both ways.

mod admin;
mod alarm;
mod body;
pub mod bounds;
mod exchange;
mod hygiene;
mod inbound;
mod interim;
mod listener;
pub mod manner;
mod opaque;
mod presence;
mod refusal;
mod response;
mod share;
mod stream;
pub mod tally;
mod terms;
mod tls;
mod trailers;
mod upload;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::cache::Cache;
use crate::client::Client;
use crate::sidecar::admin::Admin;
use crate::sidecar::bounds::Bounds;
use crate::sidecar::exchange::Exchanges;
use crate::sidecar::manner::Repeats;
use crate::sidecar::tally::Tally;

/// What one listener stands for.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Where it listens, such as `127.0.0.1:9001`; port 0 takes a free one.
    pub bind: String,
    /// Where its requests go: scheme, host, port and a path that is put before theirs.
    pub upstream: Url,
    /// Which of its requests are sent again after a failure.
    pub repeats: Repeats,
    /// Certificate chain and key, as PEM files, if it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How long its clients may keep it waiting.
    pub bounds: Bounds,
}

/// A running proxy; it ends with [`Sidecar::drain`].
pub struct Sidecar {
    addrs: Vec<SocketAddr>,
    stop: CancellationToken,
    connections: TaskTracker,
    admin: Arc<Admin>,
    stop_admin: CancellationToken,
    exchanges: Arc<Exchanges>,
}

impl Sidecar {
    /// Binds all listeners and begins to serve on the current runtime.
    ///
    /// Over the client's own cache, [`CacheHandle::shared`](crate::CacheHandle::shared), what the
    /// client's configuration says of a host or a route holds for the proxy, after a reload as well.
    pub async fn start(
        client: Client,
        cache: Arc<Cache>,
        listeners: Vec<ListenerOptions>,
    ) -> io::Result<Self> {
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let mut addrs = Vec::new();
        let exchanges = Arc::new(Exchanges::new(client, cache));
        for ListenerOptions { bind, upstream, repeats, tls, bounds } in listeners {
            let tls = tls.as_ref().map(tls::acceptor).transpose()?;
            let socket = TcpListener::bind(&bind).await.map_err(|cause| named(&bind, &cause))?;
            addrs.push(socket.local_addr()?);
            let service =
                listener::Service { exchanges: exchanges.clone(), upstream, repeats, tls, bounds };
            let serving = listener::serve(socket, service, stop.clone(), connections.clone());
            connections.spawn(serving);
        }
        let draining = AtomicBool::new(false);
        let admin = Arc::new(Admin { exchanges: exchanges.clone(), draining });
        let stop_admin = CancellationToken::new();
        Ok(Self { addrs, stop, connections, admin, stop_admin, exchanges })
    }

    /// Tells how it is at an address of the loopback interface, and returns the address.
    ///
    /// `/healthz`, `/readyz`, `/metrics`, `/hosts`, `/cache` and `/version`, and
    /// `POST /cache/invalidate` with `?url=`, `?prefix=`, `?tag=`, `?host=` or `?all`.
    pub async fn administer(&self, bind: SocketAddr) -> io::Result<SocketAddr> {
        let name = bind.to_string();
        if !bind.ip().is_loopback() {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is no loopback address");
            return Err(named(&name, &cause));
        }
        let socket = TcpListener::bind(bind).await.map_err(|cause| named(&name, &cause))?;
        let addr = socket.local_addr()?;
        tokio::spawn(admin::serve(socket, self.admin.clone(), self.stop_admin.clone()));
        Ok(addr)
    }

    /// Where it listens, in the order of its listeners.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Its cache.
    pub fn cache(&self) -> &Cache {
        self.exchanges.cache()
    }

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        self.exchanges.tallies.read()
    }

    /// Takes no more connections and waits until those that are open have had their answers.
    pub async fn drain(self) {
        self.admin.draining.store(true, Ordering::Release);
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
        self.stop_admin.cancel();
    }
}

impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("addrs", &self.addrs).finish_non_exhaustive()
    }
}

fn named(bind: &str, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot listen on {bind}: {cause}"))
}
