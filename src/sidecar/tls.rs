//! TLS towards clients: with the certificate that is given, for both versions of HTTP.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What accepts handshakes with a certificate chain and its key, of PEM files.
pub(super) fn acceptor((cert, key): &(PathBuf, PathBuf)) -> io::Result<TlsAcceptor> {
    let chain =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|cause| unusable(cert, &cause))?;
    if chain.is_empty() {
        return Err(unusable(cert, &"there is no certificate in it"));
    }
    let key_of_chain = PrivateKeyDer::from_pem_file(key).map_err(|cause| unusable(key, &cause))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    let config = config.map_err(|cause| unusable(cert, &cause))?.with_no_client_auth();
    let config = config.with_single_cert(chain, key_of_chain);
    let mut config = config.map_err(|cause| {
        if matches!(cause, rustls::Error::InconsistentKeys(_)) {
            return unusable(key, &"it does not belong to the certificate");
        }
        unusable(cert, &cause)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(file: &Path, cause: &dyn std::fmt::Display) -> io::Error {
    let text = format!("cannot use {}: {cause}", file.display());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
