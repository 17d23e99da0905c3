//! `seamesh registry`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use seamesh_proto::identity::PublicKey;
use seamesh_proto::limits::LOGIN_LINK_TTL_S;
use seamesh_proto::rest::PasswordBody;
use seamesh_registry::{
    IceSettings, KEEP_ENDED_DAYS, Options, OtlpSettings, Ready, TlsSettings, TurnSettings,
};

use crate::access::Access;
use crate::{data, health, serving};

/// Options of `seamesh registry`.
#[derive(Debug, Args)]
#[command(
    after_help = "At first start the data directory gets its keys: token.key signs tokens, admin.key is the \
    administrator's API key, root.key signs the keys of agents. When it serves, one line `ready {json}` on standard output \
    names the address; at the first start a second one is a link by which the first administrator logs in, once."
)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    command: Option<RegistryCommand>,
    /// Address to listen on; port 0 lets the system choose.
    #[arg(
        long,
        env = "SEAMESH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDR"
    )]
    listen: SocketAddr,
    /// Certificate (PEM, with what vouches for it) to speak TLS with; needs --tls-key. A renewed one is read at SIGHUP:
    /// nothing is interrupted.
    #[arg(
        long,
        env = "SEAMESH_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "tls_self_made"
    )]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(
        long,
        env = "SEAMESH_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate made here and kept in the data directory. Clients know it by the fingerprint in the
    /// readiness line: --registry-fingerprint, or SEAMESH_REGISTRY_FINGERPRINT.
    #[arg(long, env = "SEAMESH_TLS_SELF_MADE")]
    tls_self_made: bool,
    /// Listen beyond this machine without TLS: whoever is on the network between reads keys and work. For a network that
    /// is trusted, or behind a proxy that speaks TLS.
    #[arg(long, env = "SEAMESH_INSECURE_HTTP")]
    insecure_http: bool,
    /// Data directory, made when missing [default: ~/.local/share/seamesh/registry].
    #[arg(long, env = "SEAMESH_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Key file {"keys": {"<key>": {"peer_id", "role"}}}, beside the keys made with `seamesh keys`.
    #[arg(long, env = "SEAMESH_API_KEYS", value_name = "FILE")]
    api_keys: Option<PathBuf>,
    /// Public half of a root key that is kept elsewhere (`seamesh root-key`), instead of root.key in the data directory.
    #[arg(long, env = "SEAMESH_ROOT", value_name = "PUBLIC")]
    root: Option<PublicKey>,
    /// Allow tokens in the URL of /ws, for old sidecars only: URLs end up in logs.
    #[arg(long, env = "SEAMESH_COMPAT_URL_TOKEN")]
    compat_url_token: bool,
    /// Days that a task is kept after its end.
    #[arg(long, env = "SEAMESH_KEEP_ENDED", default_value_t = KEEP_ENDED_DAYS, value_name = "DAYS",
        value_parser = clap::value_parser!(u64).range(1..))]
    keep_ended: u64,
    /// Collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318: each tree of tasks is told as one trace.
    /// Headers, and the secrets in them, are taken from OTEL_EXPORTER_OTLP_HEADERS.
    #[arg(long, env = "SEAMESH_OTLP", value_name = "URL")]
    otlp: Option<String>,
    /// Private socket by which a test moves the clock. For tests only, and only on loopback.
    #[arg(long, value_name = "SOCKET")]
    test_control: Option<PathBuf>,
    /// STUN server told to sidecars, `stun:host:port`; may be repeated.
    #[arg(long, env = "SEAMESH_STUN", value_name = "URL", value_delimiter = ',')]
    stun: Vec<String>,
    /// TURN server told to sidecars, `turn:host:port`; needs SEAMESH_TURN_SECRET.
    #[arg(long, env = "SEAMESH_TURN_URL", value_name = "URL")]
    turn_url: Option<String>,
    /// Secret shared with the TURN server. Best given by the environment: a command line is seen by others.
    #[arg(
        long,
        env = "SEAMESH_TURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    turn_secret: Option<String>,
}

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// Set the administrator's password of a running registry; it is read from standard input.
    Password(PasswordArgs),
}

#[derive(Debug, Args)]
struct PasswordArgs {
    #[command(flatten)]
    access: Access,
}

/// Sets the password: the first line of standard input.
async fn password(args: PasswordArgs) -> Result<()> {
    if std::io::stdin().is_terminal() {
        // Nobody may be reading it; the line is read all the same.
        let _ = writeln!(
            std::io::stderr(),
            "Type the new password (it is seen as it is typed), or end this and pipe it in:"
        );
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    args.access
        .registry()?
        .set_password(&PasswordBody { password })
        .await?;
    serving::print("the administrator's password is set; sessions of the old one have ended")
}

/// Says where the first administrator logs in. On standard output, to whoever started the registry, and in no log.
fn say_ready(ready: &Ready) {
    if let Err(error) = health::note(ready) {
        tracing::warn!(
            error = format!("{error:#}"),
            "`seamesh health` will not find this registry"
        );
    }
    serving::say_ready(ready);
    if let Some(link) = &ready.first_login {
        let minutes = LOGIN_LINK_TTL_S / 60;
        let text = format!(
            "log in for the first time, within {minutes} minutes, with this link, which works once: {link}"
        );
        // Whoever started us may have closed its end; `seamesh login` makes another link.
        let _ = serving::print(&text);
    }
}

/// Serves until SIGINT or SIGTERM, or does what the subcommand says.
///
/// # Errors
/// Why it cannot start.
pub(crate) fn run(args: RegistryArgs) -> Result<()> {
    if let Some(RegistryCommand::Password(args)) = args.command {
        return serving::block_on(password(args));
    }
    serving::log_to_stderr();
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsSettings::Files { certificate, key }),
        _ => args.tls_self_made.then_some(TlsSettings::SelfMade),
    };
    if tls.is_none() && !args.listen.ip().is_loopback() {
        if !args.insecure_http {
            bail!(
                "{} can be reached from other machines, and this is plain HTTP: say --tls-self-made or --tls-cert, put a \
                 proxy with TLS in front of a loopback address, or say --insecure-http",
                args.listen
            );
        }
        tracing::warn!(listen = %args.listen, "plain HTTP beyond this machine: keys and work can be read on the way");
    }
    let turn = match (args.turn_url, args.turn_secret) {
        (Some(url), Some(secret)) => Some(TurnSettings { url, secret }),
        (None, None) => None,
        (Some(_), None) => bail!(
            "--turn-url needs the secret shared with the TURN server: set SEAMESH_TURN_SECRET"
        ),
        (None, Some(_)) => bail!("a TURN secret without a server: set --turn-url"),
    };
    let options = Options {
        listen: args.listen,
        data: args.data.unwrap_or_else(data::registry_directory),
        api_keys: args.api_keys,
        root: args.root,
        tls,
        compat_url_token: args.compat_url_token,
        ice: IceSettings {
            stun: args.stun,
            turn,
        },
        keep_ended: Options::days(args.keep_ended),
        otlp: args.otlp.map(|url| OtlpSettings {
            url,
            headers: std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default(),
        }),
        test_control: args.test_control,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let ended = serving::asked_to_end()?;
        Ok(seamesh_registry::run(options, say_ready, ended).await?)
    })
}
