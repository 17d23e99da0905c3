//! One TLS configuration for HTTP and WebSocket.

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;

use crate::error::ClientError;

/// Makes ring the process's crypto provider. Called by every constructor here; calling it again does nothing.
pub fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was first: then there is one, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// How to trust a server: the machine's certificate store with TLS, nothing at all without (reading the store costs
/// tens of milliseconds).
pub(crate) fn client_config(is_tls: bool) -> Result<ClientConfig, ClientError> {
    install_crypto();
    if is_tls {
        return ClientConfig::with_platform_verifier().map_err(|e| ClientError::Tls(e.to_string()));
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}
