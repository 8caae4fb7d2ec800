//! Name resolution by the system, so that its phase is seen, its failures are told apart, and a
//! hedge can be sent to another address than what it runs beside.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "sidecar")]
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "sidecar")]
use std::task::{Context, Poll};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use spillgate_actors::phases::Mark;
use spillgate_actors::transport::Way;
use spillgate_core::advice::ErrorKind;

use super::current::note_connecting;

/// Resolves names as the system does, in a thread that may block.
#[derive(Debug, Clone)]
pub(super) struct SystemResolver {
    way: Way,
    preferred: Arc<Preferred>,
}

/// The address of each name that usual connects try first, as they were last told.
#[derive(Debug, Default)]
pub(super) struct Preferred {
    of: Mutex<HashMap<String, IpAddr>>,
}

impl SystemResolver {
    /// A resolver for connects of one way; all of one transport share what is preferred.
    pub(super) fn new(way: Way, preferred: Arc<Preferred>) -> Self {
        Self { way, preferred }
    }
}

impl Preferred {
    /// Puts addresses into the order in which a connect of this way tries them.
    fn order(&self, name: &str, way: Way, addresses: &mut [SocketAddr]) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        match (way, addresses.first()) {
            (Way::Usual, Some(first)) if of.len() < NAMES_MAX || of.contains_key(name) => {
                of.insert(name.to_owned(), first.ip());
            }
            (Way::Usual, _) => {}
            (Way::Apart, _) => {
                let usual = of.get(name).copied();
                // The sort is stable: all others keep the system's order.
                addresses.sort_by_key(|address| Some(address.ip()) == usual);
            }
        }
    }
}

impl SystemResolver {
    async fn look_up(self, name: &str) -> Result<Vec<SocketAddr>, ResolveFailure> {
        note_connecting(Mark::DnsBegin);
        let found = tokio::net::lookup_host((name, 0)).await;
        note_connecting(Mark::DnsEnd);
        let mut found: Vec<_> = found.map_err(ResolveFailure::new)?.collect();
        if found.is_empty() {
            return Err(ResolveFailure::new(io::Error::other("no addresses")));
        }
        self.preferred.order(name, self.way, &mut found);
        Ok(found)
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses: Addrs = Box::new(resolver.look_up(name.as_str()).await?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(feature = "sidecar")]
impl tower::Service<hyper_util::client::legacy::connect::dns::Name> for SystemResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: hyper_util::client::legacy::connect::dns::Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.look_up(name.as_str()).await?.into_iter()) })
    }
}

/// Why a name has no address.
#[derive(Debug)]
pub(super) struct ResolveFailure {
    kind: ErrorKind,
    source: io::Error,
}

impl ResolveFailure {
    fn new(source: io::Error) -> Self {
        let text = source.to_string();
        // The code of `getaddrinfo` is lost in the standard library: its text is all there is.
        let resolver_is_down = RESOLVER_DOWN.iter().any(|known| text.contains(known));
        let kind = if resolver_is_down { ErrorKind::DeviceOffline } else { ErrorKind::DnsError };
        Self { kind, source }
    }

    /// Whether the name does not exist or the resolver does not answer.
    pub(super) fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for ResolveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot resolve the host's name")
    }
}

impl StdError for ResolveFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// Names whose usual address is remembered; of others a hedge may get the same.
const NAMES_MAX: usize = 4_096;

/// The texts of `EAI_AGAIN` in glibc and musl.
const RESOLVER_DOWN: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedge_tries_the_usual_address_last() {
        let preferred = Preferred::default();
        let order = |name, way| {
            let mut addresses = [1, 2, 3].map(|n| SocketAddr::from(([127, 0, 0, n], 0))).to_vec();
            preferred.order(name, way, &mut addresses);
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        let system = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        assert_eq!(order("a", Way::Apart), system, "nothing is usual yet");
        assert_eq!(order("a", Way::Usual), system);
        assert_eq!(order("a", Way::Apart), ["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
        assert_eq!(order("b", Way::Apart), system);
    }

    #[test]
    fn unknown_name_differs_from_silent_resolver() {
        let check = |detail: &str, expected| {
            let text = format!("failed to lookup address information: {detail}");
            assert_eq!(ResolveFailure::new(io::Error::other(text)).kind(), expected, "{detail}");
        };
        check("Name or service not known", ErrorKind::DnsError);
        check("No address associated with hostname", ErrorKind::DnsError);
        check("nodename nor servname provided, or not known", ErrorKind::DnsError);
        check("Temporary failure in name resolution", ErrorKind::DeviceOffline);
        check("Try again", ErrorKind::DeviceOffline);
    }
}
