//! The drill: an upstream that fails on request, for tests of whatever calls it.
//!
//! Faults are chosen by path, so any client can be tried by URL alone; `/` lists them. Whole answers
//! carry each header that the query asks for as `header=Name:Value`. The drill
//! runs on a thread of its own, so it works in any test and is never starved by it, and it keeps a
//! [`Ledger`] of what reached it: hits, arrival times, requests in flight.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use spillgate::testing::Drill;
//!
//! let drill = Drill::start()?;
//! let url = drill.url("/status/503?times=2&key=a");
//! assert!(url.starts_with("http://127.0.0.1:"));
//! assert_eq!(drill.hits_of("a"), 0);
//! # Ok(())
//! # }
//! ```

mod answer;
mod book;
mod certificate;
mod chance;
mod fault;
mod flight;
pub mod ledger;
mod listener;
mod payload;
mod pulse;
mod query;
pub mod received;
mod script;
mod server;
mod tally;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use book::Book;
use certificate::Identity;
use ledger::{LOG_MAX, Ledger};
use received::Received;
use script::Script;
use server::Server;

/// A running fault-injecting upstream; dropping it closes its listeners and connections.
pub struct Drill {
    book: Arc<Book>,
    runtime: Handle,
    addresses: Vec<SocketAddr>,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a drill is to run; [`Drill::builder`] makes one.
#[derive(Clone, Debug)]
#[must_use]
pub struct DrillBuilder {
    listen: String,
    hosts: usize,
    seed: u64,
    tls: bool,
    log_max: usize,
    script: Option<ScriptSource>,
}

#[derive(Clone, Debug)]
enum ScriptSource {
    Text(String),
    File(PathBuf),
}

impl Drill {
    /// Starts a plain drill on a free port of the loopback interface.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Starts to describe a drill: one listener on a free loopback port, no TLS, seed 0.
    pub fn builder() -> DrillBuilder {
        DrillBuilder {
            listen: "127.0.0.1:0".to_owned(),
            hosts: 1,
            seed: 0,
            tls: false,
            log_max: LOG_MAX,
            script: None,
        }
    }

    /// The address of the first listener.
    pub fn addr(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The addresses of all listeners, one per host.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The URL of a path, which may have a query.
    pub fn url(&self, path: &str) -> String {
        self.url_at(self.addr(), path)
    }

    /// The URL of a path at one of several listeners, by its index; at the first if there is no
    /// such listener.
    pub fn url_on(&self, host: usize, path: &str) -> String {
        let address = self.addresses.get(host).copied();
        self.url_at(address.unwrap_or_else(|| self.addr()), path)
    }

    /// The authority that signed the drill's certificate, if it speaks TLS.
    ///
    /// The certificate is for `localhost`, `127.0.0.1` and `::1`.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Looks at the ledger; what the closure sees is one moment.
    ///
    /// The drill waits meanwhile: a closure that asks the drill itself never ends.
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        self.book.read(look)
    }

    /// Waits until the ledger meets a condition, on any runtime; the closure is as in
    /// [`Drill::read`].
    ///
    /// Fails with [`io::ErrorKind::TimedOut`] when it does not within the time.
    pub async fn wait_for(
        &self,
        mut met: impl FnMut(&Ledger) -> bool,
        timeout: Duration,
    ) -> io::Result<()> {
        // The timer runs on the drill's runtime: the caller's need not have one.
        let mut timer = self.runtime.spawn(async move { tokio::time::sleep(timeout).await });
        loop {
            let mut changed = std::pin::pin!(self.book.changed());
            changed.as_mut().enable();
            if self.read(&mut met) {
                timer.abort();
                return Ok(());
            }
            if let Either::Right(_) = select(changed, &mut timer).await {
                return if self.read(&mut met) { Ok(()) } else { Err(self.timed_out(timeout)) };
            }
        }
    }

    /// Waits like [`Drill::wait_for`], blocking the thread.
    ///
    /// # Panics
    /// Inside an asynchronous context, where blocking could stop the client that is waited for.
    pub fn wait_for_blocking(
        &self,
        met: impl FnMut(&Ledger) -> bool,
        timeout: Duration,
    ) -> io::Result<()> {
        self.runtime.block_on(self.wait_for(met, timeout))
    }

    /// Requests received; see [`Ledger::hits`].
    pub fn hits(&self) -> u64 {
        self.read(Ledger::hits)
    }

    /// Requests received for a path; see [`Ledger::hits_at`].
    pub fn hits_at(&self, path: &str) -> u64 {
        self.read(|ledger| ledger.hits_at(path))
    }

    /// Requests received for a key; see [`Ledger::hits_of`].
    pub fn hits_of(&self, key: &str) -> u64 {
        self.read(|ledger| ledger.hits_of(key))
    }

    /// Requests for a path whose client went away; see [`Ledger::aborted`].
    pub fn aborted(&self, path: &str) -> u64 {
        self.read(|ledger| ledger.aborted(path))
    }

    /// Requests in flight; see [`Ledger::in_flight`].
    pub fn in_flight(&self) -> usize {
        self.read(Ledger::in_flight)
    }

    /// The most requests there ever were in flight at once; see [`Ledger::peak`].
    pub fn peak(&self) -> usize {
        self.read(Ledger::peak)
    }

    /// The highest peak of any one listener; see [`Ledger::peak_per_host`].
    pub fn peak_per_host(&self) -> usize {
        self.read(Ledger::peak_per_host)
    }

    /// Connections accepted; see [`Ledger::connections`].
    pub fn connections(&self) -> u64 {
        self.read(Ledger::connections)
    }

    /// When requests for a path arrived; see [`Ledger::arrivals_at`].
    pub fn arrivals_at(&self, path: &str) -> Vec<Instant> {
        self.read(|ledger| ledger.arrivals_at(path))
    }

    /// When requests of a key arrived; see [`Ledger::arrivals_of`].
    pub fn arrivals_of(&self, key: &str) -> Vec<Instant> {
        self.read(|ledger| ledger.arrivals_of(key))
    }

    /// A copy of the logged requests, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.read(|ledger| ledger.requests().cloned().collect())
    }

    fn url_at(&self, address: SocketAddr, path: &str) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        let mut address = address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{address}{slash}{path}")
    }

    fn timed_out(&self, timeout: Duration) -> io::Error {
        let seen = self.read(|ledger| {
            format!(
                "{} hits, {} in flight, peak {}, {} aborted, {} connections",
                ledger.hits(),
                ledger.in_flight(),
                ledger.peak(),
                ledger.aborted_in_all(),
                ledger.connections()
            )
        });
        let text = format!("condition not met within {timeout:?}; the drill saw {seen}");
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drill")
            .field("addresses", &self.addresses)
            .field("tls", &self.ca_pem.is_some())
            .finish_non_exhaustive()
    }
}

impl DrillBuilder {
    /// Listens on this address, `host:port`; port 0 takes a free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Listens on this many ports, each a host of its own to its clients, all in one ledger. The
    /// first has the port asked for, the others free ones. At least 1.
    pub fn hosts(mut self, hosts: usize) -> Self {
        self.hosts = hosts.max(1);
        self
    }

    /// Makes chance, the jitter of delays, repeat for the same requests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Speaks TLS, with HTTP/2 where the client offers it; see [`Drill::ca_pem`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Keeps this many of the newest requests in the log, 100,000 unless told otherwise.
    pub fn log_max(mut self, requests: usize) -> Self {
        self.log_max = requests;
        self
    }

    /// Serves the scenarios of this script.
    ///
    /// ```toml
    /// [scenario.checkout]            # GET /scenario/checkout
    /// loop = true                    # without it the last step repeats
    /// steps = [{ path = "/status/503", times = 2 }, { path = "/ok" }]
    /// ```
    pub fn script(mut self, text: impl Into<String>) -> Self {
        self.script = Some(ScriptSource::Text(text.into()));
        self
    }

    /// Serves the scenarios of this script file.
    pub fn script_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.script = Some(ScriptSource::File(path.into()));
        self
    }

    /// Binds, then serves until the handle is dropped.
    ///
    /// An address that cannot be bound, a script that cannot be read and, as
    /// [`io::ErrorKind::InvalidData`] with line and column, one that means nothing are errors.
    pub fn start(self) -> io::Result<Drill> {
        let script = self.script.map_or_else(|| Ok(Script::default()), ScriptSource::load)?;
        let listeners = listener::bind(&self.listen, self.hosts)?;
        let addresses =
            listeners.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
        let identity = self.tls.then(Identity::generate).transpose()?;
        let (tls, ca_pem) = identity.map(|made| (made.acceptor, made.ca_pem)).unzip();
        let book = Arc::new(Book::new(Ledger::new(self.hosts, self.log_max)));
        let server = Server { book: Arc::clone(&book), script, seed: self.seed, tls };
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let thread =
            std::thread::Builder::new().name("spillgate-drill".to_owned()).spawn(move || {
                match serve(server, listeners) {
                    Ok(runtime) => {
                        let _ = ready.send(Ok(runtime.handle().clone()));
                        let _ = runtime.block_on(stopped);
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            })?;
        let runtime = started.recv().map_err(io::Error::other)??;
        Ok(Drill { book, runtime, addresses, ca_pem, stop: Some(stop), thread: Some(thread) })
    }
}

impl ScriptSource {
    fn load(self) -> io::Result<Script> {
        let (name, text) = match self {
            Self::Text(text) => ("script".to_owned(), text),
            Self::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
                (name, text)
            }
        };
        Script::parse(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {error}")))
    }
}

fn serve(
    server: Server,
    listeners: Vec<std::net::TcpListener>,
) -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let server = Arc::new(server);
    for (host, listener) in listeners.into_iter().enumerate() {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(tokio::spawn(Arc::clone(&server).listen(host, listener)));
    }
    drop(entered);
    Ok(runtime)
}
