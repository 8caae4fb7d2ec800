//! The sidecar: everything this library does, for programs in any language, as a proxy.
//!
//! A reverse listener stands for one upstream. Requests pass the cache first and then the client, so
//! queue, breaker, retries and spans apply; bodies stream both ways.

mod body;
mod exchange;
mod hygiene;
mod interim;
mod listener;
pub mod manner;
mod refusal;
mod response;
mod share;
mod stream;
pub mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::cache::Cache;
use crate::client::Client;
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
}

/// A running proxy; it ends with [`Sidecar::drain`].
pub struct Sidecar {
    addrs: Vec<SocketAddr>,
    stop: CancellationToken,
    connections: TaskTracker,
    exchanges: Arc<Exchanges>,
}

impl Sidecar {
    /// Binds all listeners and begins to serve on the current runtime.
    pub async fn start(
        client: Client,
        cache: Arc<Cache>,
        listeners: Vec<ListenerOptions>,
    ) -> io::Result<Self> {
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let mut addrs = Vec::new();
        let exchanges = Arc::new(Exchanges::new(client, cache));
        for ListenerOptions { bind, upstream, repeats } in listeners {
            let socket = TcpListener::bind(&bind).await.map_err(|cause| named(&bind, &cause))?;
            addrs.push(socket.local_addr()?);
            let service = listener::Service { exchanges: exchanges.clone(), upstream, repeats };
            let serving = listener::serve(socket, service, stop.clone(), connections.clone());
            connections.spawn(serving);
        }
        Ok(Self { addrs, stop, connections, exchanges })
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
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
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
