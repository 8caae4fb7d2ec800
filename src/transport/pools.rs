//! The pool of connections, and the empty one that takes over before too many hosts have left theirs
//! open.
//!
//! The engine bounds the idle connections of one host, not those of all: ten thousand hosts would
//! keep ten thousand sockets for as long as an idle connection lives. Its connections cannot be closed
//! one by one from outside, but a pool that is dropped closes all that are idle, and lets those in
//! use finish.

use std::sync::Arc;

use arc_swap::ArcSwap;
use spillgate_actors::transport::Way;

use super::connect::ConnectLayer;
use super::connections::{ConnectionTable, Connects};
use super::options::{Protocols, TransportOptions, TransportSetupError};
use super::resolve::{Preferred, SystemResolver};
use super::tls;

/// The engine with its present pool.
pub(super) struct Pools {
    options: TransportOptions,
    tls: rustls::ClientConfig,
    layer: ConnectLayer,
    preferred: Arc<Preferred>,
    current: ArcSwap<reqwest::Client>,
    /// Sends each request over a connection of its own.
    apart: Arc<reqwest::Client>,
}

impl Pools {
    /// Builds the first one. Reads the root certificates.
    pub(super) fn new(
        options: &TransportOptions,
        connections: &Arc<ConnectionTable>,
    ) -> Result<Self, TransportSetupError> {
        let layer = || ConnectLayer {
            connections: Arc::clone(connections),
            gate: Arc::default(),
            connects: Arc::new(Connects::new(
                options.idle_connections_total_max,
                options.idle_timeout,
            )),
        };
        let (tls, preferred) = (tls::client_config(options)?, Arc::default());
        let apart = client(options, &tls, &layer(), (Way::Apart, &preferred))?;
        let layer = layer();
        let current = client(options, &tls, &layer, (Way::Usual, &preferred))?;
        let (current, apart) = (ArcSwap::from_pointee(current), Arc::new(apart));
        Ok(Self { options: options.clone(), tls, layer, preferred, current, apart })
    }

    /// The engine for one exchange.
    pub(super) fn client(&self, way: Way) -> Arc<reqwest::Client> {
        match way {
            Way::Apart => self.apart.clone(),
            Way::Usual => {
                self.replace_if_many();
                self.current.load_full()
            }
        }
    }

    fn replace_if_many(&self) {
        let usual = (Way::Usual, &self.preferred);
        if self.layer.connects.are_many()
            && let Ok(empty) = client(&self.options, &self.tls, &self.layer, usual)
        {
            tracing::debug!("many hosts were connected to; an empty pool takes over");
            self.current.store(Arc::new(empty));
        }
    }
}

fn client(
    options: &TransportOptions,
    tls: &rustls::ClientConfig,
    layer: &ConnectLayer,
    (way, preferred): (Way, &Arc<Preferred>),
) -> Result<reqwest::Client, TransportSetupError> {
    let header_bytes_max = u32::try_from(options.header_bytes_max).unwrap_or(u32::MAX);
    let mut builder = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .user_agent(&options.user_agent)
        // None turns the pool off, for HTTP/2 too.
        .pool_max_idle_per_host(match way {
            Way::Usual => options.idle_connections_max,
            Way::Apart => 0,
        })
        .pool_idle_timeout(options.idle_timeout)
        // Above its own limit h2 reports a broken protocol; ours below it reports the size.
        .http2_max_header_list_size(header_bytes_max.saturating_mul(2))
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(SystemResolver::new(way, Arc::clone(preferred)))
        .connector_layer(layer.clone());
    if options.header_fields_max > HYPER_FIELDS_MAX {
        builder = builder.http1_max_headers(options.header_fields_max);
    }
    builder = match options.protocols {
        Protocols::Negotiated => builder,
        Protocols::Http1 => builder.http1_only(),
        Protocols::Http2PriorKnowledge => builder.http2_prior_knowledge(),
    };
    if let Some(url) = &options.proxy {
        let proxy = reqwest::Proxy::all(url.clone());
        builder = builder.proxy(proxy.map_err(|e| TransportSetupError::Proxy(e.without_url()))?);
    }
    builder.build().map_err(|error| TransportSetupError::Client(error.without_url()))
}

/// Fields that hyper parses without allocating, and refuses above.
const HYPER_FIELDS_MAX: usize = 100;
