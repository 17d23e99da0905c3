//! One TLS configuration for HTTP and WebSocket: whom to trust.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::ConfigVerifierExt;

use crate::error::ClientError;

/// Makes ring the process's crypto provider. Called by every constructor here; calling it again does nothing.
pub fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was first: then there is one, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The SHA-256 of a certificate: `SHA256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate, given as DER.
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA256: and 64 hexadecimal digits, as the registry prints it")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Colons between the digits, as `openssl x509 -fingerprint -sha256` writes them, and any case are taken.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("SHA256:").unwrap_or(text);
        let mut digits = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let mut next = || digits.next().flatten().ok_or(FingerprintError);
            *byte = u8::try_from(next()? * 16 + next()?).map_err(|_| FingerprintError)?;
        }
        match digits.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(FingerprintError),
        }
    }
}

/// By what a registry is known, beyond the machine's own certificate store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The one certificate it shows. Nothing else counts then: no name, no date, no authority.
    pub fingerprint: Option<Fingerprint>,
    /// PEM file of the authorities that count instead of the machine's.
    pub ca_file: Option<PathBuf>,
}

static TRUST: OnceLock<Trust> = OnceLock::new();

impl Trust {
    /// What every client of a registry in this process goes by from now on. The first call counts.
    pub fn install(self) {
        // A second call would come from a second main.
        let _ = TRUST.set(self);
    }

    /// What clients go by that were not told otherwise.
    pub fn installed() -> Self {
        TRUST.get().cloned().unwrap_or_default()
    }

    /// The TLS configuration; without TLS one that trusts nothing (reading the machine's store costs tens of
    /// milliseconds).
    ///
    /// # Errors
    /// [`ClientError::Tls`] for a file that holds no certificates, or a machine without usable ones.
    pub(crate) fn client_config(&self, is_tls: bool) -> Result<ClientConfig, ClientError> {
        install_crypto();
        let builder = ClientConfig::builder();
        if !is_tls {
            return Ok(builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth());
        }
        if let Some(fingerprint) = self.fingerprint {
            let provider = rustls::crypto::ring::default_provider();
            let pinned = Pinned {
                fingerprint,
                algorithms: provider.signature_verification_algorithms,
            };
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(pinned))
                .with_no_client_auth());
        }
        match &self.ca_file {
            Some(path) => Ok(builder
                .with_root_certificates(authorities(path)?)
                .with_no_client_auth()),
            None => {
                ClientConfig::with_platform_verifier().map_err(|e| ClientError::Tls(e.to_string()))
            }
        }
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, ClientError> {
    let failed = |what: String| ClientError::Tls(format!("{}: {what}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|e| failed(e.to_string()))?;
        store.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if store.is_empty() {
        return Err(failed("no certificate in it".to_owned()));
    }
    Ok(store)
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        let what = format!("it shows the certificate {shown}, not {}", self.fingerprint);
        Err(rustls::Error::General(what))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Why the other end is not trusted, if that is what an error says.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    let chain = std::iter::successors(Some(error), |error| (**error).source());
    match chain.filter_map(tls_error).next()? {
        rustls::Error::InvalidCertificate(what) => {
            Some(format!("its certificate is not trusted here: {what}"))
        }
        rustls::Error::General(what) => Some(what.clone()),
        _ => None,
    }
}

/// The TLS error that an error is, or wraps as IO errors do: those name what is behind their content as their source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<io::Error>()?.get_ref()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed_and_as_openssl_prints_it() {
        let fingerprint = Fingerprint::of(b"abc");
        let text = fingerprint.to_string();
        assert!(text.starts_with("SHA256:ba7816bf"), "{text}");
        assert_eq!(text.parse(), Ok(fingerprint));
        let digits = text.trim_start_matches("SHA256:").to_uppercase();
        let pairs: Vec<_> = digits
            .as_bytes()
            .chunks(2)
            .map(|p| std::str::from_utf8(p).unwrap())
            .collect();
        assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
        for bad in [
            "",
            "SHA256:",
            &text[..70],
            &format!("{text}0"),
            "SHA1:00",
            &text.replace('b', "x"),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }
}
