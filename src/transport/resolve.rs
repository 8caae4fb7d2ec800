//! Name resolution by the system, so that its phase is seen and its failures are told apart.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use spillgate_actors::phases::Mark;
use spillgate_core::advice::ErrorKind;

use super::current::note_connecting;

/// Resolves names as the system does, in a thread that may block.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            note_connecting(Mark::DnsBegin);
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            note_connecting(Mark::DnsEnd);
            let found: Vec<_> = found.map_err(ResolveFailure::new)?.collect();
            if found.is_empty() {
                return Err(ResolveFailure::new(io::Error::other("no addresses")).into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
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

/// The texts of `EAI_AGAIN` in glibc and musl.
const RESOLVER_DOWN: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

#[cfg(test)]
mod tests {
    use super::*;

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
