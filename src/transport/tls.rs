//! TLS as this library wants it: 1.2 and up, the system's roots and the operator's own, and a
//! session store that notices when a handshake begins.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use spillgate_actors::phases::Mark;

use super::current::note_connecting;
use super::options::{Protocols, TransportOptions, TransportSetupError};

/// The TLS settings of a transport. Reads the root certificates, which takes some milliseconds.
pub(super) fn client_config(
    options: &TransportOptions,
) -> Result<ClientConfig, TransportSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TransportSetupError::Tls)?
        .with_root_certificates(roots(&options.ca_files)?)
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(NotingSessionStore {
        sessions: ClientSessionMemoryCache::new(SESSIONS_MAX),
    }));
    let protocols: &[&[u8]] = match options.protocols {
        Protocols::Negotiated => &[b"h2", b"http/1.1"],
        Protocols::Http1 => &[b"http/1.1"],
        Protocols::Http2PriorKnowledge => &[b"h2"],
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The system's roots (or those of `SSL_CERT_FILE`) and those of the given files.
///
/// None at all is no error here: plain http still works, and a handshake says what is missing.
fn roots(ca_files: &[PathBuf]) -> Result<RootCertStore, TransportSetupError> {
    let mut store = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a root certificate of the system cannot be used");
    }
    store.add_parsable_certificates(native.certs);
    for path in ca_files {
        add_file(&mut store, path)
            .map_err(|source| TransportSetupError::CaFile { path: path.clone(), source })?;
    }
    Ok(store)
}

fn add_file(
    store: &mut RootCertStore,
    path: &PathBuf,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let before = store.len();
    for certificate in CertificateDer::pem_file_iter(path)? {
        store.add(certificate?)?;
    }
    if store.len() == before {
        return Err("the file holds no certificate".into());
    }
    Ok(())
}

/// Keeps sessions in memory, and notes the first question for one: a handshake begins with it.
#[derive(Debug)]
struct NotingSessionStore {
    sessions: ClientSessionMemoryCache,
}

impl ClientSessionStore for NotingSessionStore {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        note_connecting(Mark::TlsBegin);
        self.sessions.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        note_connecting(Mark::TlsBegin);
        self.sessions.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.sessions.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        self.sessions.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        note_connecting(Mark::TlsBegin);
        self.sessions.take_tls13_ticket(server_name)
    }
}

/// Servers whose sessions are kept for a faster handshake; rustls' own default.
const SESSIONS_MAX: usize = 256;
