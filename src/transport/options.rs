//! What a transport is built from, and why building one can fail.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// The settings of a transport.
#[derive(Clone)]
pub struct TransportOptions {
    /// Idle connections kept for each host; below the slots of a host, connects go to waste.
    pub idle_connections_max: usize,
    /// Idle connections kept for all hosts together, about: once so many were made within the time
    /// that one may be idle, all idle ones are closed.
    pub idle_connections_total_max: usize,
    /// How long a connection may be idle before it is closed.
    pub idle_timeout: Duration,
    /// PEM files with certificate authorities to trust beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Bytes of an answer's header section.
    pub header_bytes_max: usize,
    /// Fields of an answer's header section.
    pub header_fields_max: usize,
    /// Decoded bytes for each encoded byte, once more than `decoded_bytes_free` were decoded.
    pub decoded_ratio_max: u64,
    /// Decoded bytes below which no ratio is looked at.
    pub decoded_bytes_free: u64,
    /// The `User-Agent` of requests that bring none.
    pub user_agent: String,
    /// The proxy for all requests; proxies of the environment are never used.
    pub proxy: Option<Url>,
    /// Which versions of HTTP are spoken.
    pub protocols: Protocols,
}

/// Which versions of HTTP a transport speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocols {
    /// HTTP/2 where the TLS handshake agrees on it, else HTTP/1.1.
    #[default]
    Negotiated,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone, over plain connections without asking first.
    Http2PriorKnowledge,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            idle_connections_max: 32,
            idle_connections_total_max: 512,
            idle_timeout: Duration::from_secs(90),
            ca_files: Vec::new(),
            header_bytes_max: 64 * 1024,
            header_fields_max: 100,
            decoded_ratio_max: 200,
            decoded_bytes_free: 1024 * 1024,
            user_agent: concat!("spillgate/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: None,
            protocols: Protocols::default(),
        }
    }
}

impl fmt::Debug for TransportOptions {
    /// Names the proxy by host alone: its userinfo is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportOptions")
            .field("idle_connections_max", &self.idle_connections_max)
            .field("idle_connections_total_max", &self.idle_connections_total_max)
            .field("idle_timeout", &self.idle_timeout)
            .field("ca_files", &self.ca_files)
            .field("header_bytes_max", &self.header_bytes_max)
            .field("header_fields_max", &self.header_fields_max)
            .field("decoded_ratio_max", &self.decoded_ratio_max)
            .field("decoded_bytes_free", &self.decoded_bytes_free)
            .field("user_agent", &self.user_agent)
            .field("proxy", &self.proxy.as_ref().and_then(Url::host_str))
            .field("protocols", &self.protocols)
            .finish()
    }
}

/// Why a transport cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportSetupError {
    /// A file of certificate authorities cannot be read, or holds none.
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The TLS settings do not fit together.
    Tls(rustls::Error),
    /// The proxy's URL cannot be used.
    Proxy(reqwest::Error),
    /// The client cannot be built.
    Client(reqwest::Error),
}

impl fmt::Display for TransportSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaFile { path, .. } => {
                write!(f, "cannot use the certificate authorities in {}", path.display())
            }
            Self::Tls(_) => f.write_str("cannot set up TLS"),
            Self::Proxy(_) => f.write_str("cannot use the proxy's URL"),
            Self::Client(_) => f.write_str("cannot build the HTTP client"),
        }
    }
}

impl StdError for TransportSetupError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::CaFile { source, .. } => Some(source.as_ref()),
            Self::Tls(source) => Some(source),
            Self::Proxy(source) | Self::Client(source) => Some(source),
        }
    }
}
