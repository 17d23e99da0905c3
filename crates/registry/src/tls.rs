//! TLS of the registry itself: a certificate from files, or one that it makes for itself and keeps. A renewed one is read
//! at SIGHUP: connections that are open go on with the one they began with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use seamesh_client::Fingerprint;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Where the registry's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSettings {
    /// Two PEM files: the certificate with what vouches for it, and its key.
    Files {
        /// The certificate, the registry's own first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// One that signs itself, made at first start and kept in the data directory. Clients know it by its fingerprint.
    SelfMade,
}

/// Why TLS cannot be spoken. Each text names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written, or holds something else.
    #[error("{path}: {what}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key are not usable, or do not belong together.
    #[error("the certificate is not usable: {0}")]
    Unusable(#[from] rustls::Error),
    /// The signal that tells of a renewed certificate cannot be waited for.
    #[error("SIGHUP cannot be waited for: {0}")]
    Signal(std::io::Error),
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// What connections are made safe with: the certificate as it was read last.
pub(crate) type Acceptor = watch::Receiver<TlsAcceptor>;

/// The certificate, where it is, and how it is read again.
pub(crate) struct Tls {
    /// The SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    files: Files,
    acceptor: watch::Sender<TlsAcceptor>,
    /// Tells of a renewed certificate; `None`: it is our own, and SIGHUP ends the process as it always does.
    renewed: Option<Signal>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Reads, or makes, the certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(
        settings: &TlsSettings,
        data: &Path,
        listen: SocketAddr,
    ) -> Result<Self, TlsError> {
        seamesh_client::install_crypto();
        let (certificate, key) = match settings {
            TlsSettings::Files { certificate, key } => (certificate.clone(), key.clone()),
            TlsSettings::SelfMade => self_made(data, listen)?,
        };
        let is_elsewhere = matches!(settings, TlsSettings::Files { .. });
        let renewed = is_elsewhere.then(|| signal(SignalKind::hangup()));
        let files = Files { certificate, key };
        let (acceptor, fingerprint) = files.read()?;
        Ok(Self {
            fingerprint,
            files,
            acceptor: watch::channel(acceptor).0,
            renewed: renewed.transpose().map_err(TlsError::Signal)?,
        })
    }

    /// What takes connections.
    pub(crate) fn acceptor(&self) -> Acceptor {
        self.acceptor.subscribe()
    }

    /// Reads the certificate again at each SIGHUP. One that cannot be used changes nothing, and the log says why.
    pub(crate) async fn keep_renewing(mut self) {
        let Some(mut renewed) = self.renewed.take() else {
            return;
        };
        while renewed.recv().await.is_some() {
            match self.files.read() {
                Ok((acceptor, fingerprint)) => {
                    self.acceptor.send_replace(acceptor);
                    tracing::info!(%fingerprint, "the certificate was read again");
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate cannot be read again; going on with the one before");
                }
            }
        }
    }
}

impl Files {
    fn read(&self) -> Result<(TlsAcceptor, Fingerprint), TlsError> {
        let Self { certificate, key } = self;
        let unreadable = |path: &Path, error: rustls::pki_types::pem::Error| TlsError::File {
            path: path.to_owned(),
            what: error.to_string(),
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(|e| unreadable(certificate, e))?;
        let Some(first) = chain.first() else {
            let what = "no certificate in it".to_owned();
            let path = certificate.clone();
            return Err(TlsError::File { path, what });
        };
        let fingerprint = Fingerprint::of(first);
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, e))?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // What is served is HTTP/1.1, WebSockets over it included.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((TlsAcceptor::from(Arc::new(config)), fingerprint))
    }
}

/// The files of the certificate that signs itself, made when one is missing.
fn self_made(data: &Path, listen: SocketAddr) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (data.join("tls.crt"), data.join("tls.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let names = [
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let own = (!listen.ip().is_unspecified()).then(|| listen.ip().to_string());
    let own = own.filter(|own| !names.contains(own));
    let made =
        rcgen::generate_simple_self_signed(names.into_iter().chain(own).collect::<Vec<_>>())?;
    // The key first: a certificate without it would look whole.
    write(&key, &made.signing_key.serialize_pem())?;
    write(&certificate, &made.cert.pem())?;
    Ok((certificate, key))
}

fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let temporary = path.with_extension("new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| TlsError::File {
        path: path.to_owned(),
        what: error.to_string(),
    })
}
