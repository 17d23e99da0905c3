//! `seamesh sidecar`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use seamesh_client::{Credential, RegistryUrl};
use seamesh_sidecar::{Options, Told};

use crate::serving;

/// Options of `seamesh sidecar`.
#[derive(Debug, Args)]
#[command(
    after_help = "It serves its agent at once and waits for a registry that is away. When it serves, one line \
    `ready {json}` on standard output names the socket; then lines `registry {json}` tell when the registry is reached and when \
    it is not."
)]
pub(crate) struct SidecarArgs {
    /// The registry's address.
    #[arg(
        long,
        env = "SEAMESH_REGISTRY",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    registry: RegistryUrl,
    /// API key that names this sidecar. Best given by the environment: a command line is seen by others.
    #[arg(
        long,
        env = "SEAMESH_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    #[arg(required_unless_present = "device_token")]
    api_key: Option<String>,
    /// Device token from pairing, instead of an API key.
    #[arg(
        long,
        env = "SEAMESH_DEVICE_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    device_token: Option<String>,
    /// File with this sidecar's identity, as `seamesh pair` makes it.
    #[arg(long, env = "SEAMESH_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Link with peers that show no identity: old sidecars, and those with an API key alone. The registry's word is then
    /// all that stands for them.
    #[arg(long, env = "SEAMESH_ALLOW_UNIDENTIFIED")]
    allow_unidentified: bool,
    /// Unix socket for the agent; its directory is made private.
    #[arg(long, env = "SEAMESH_SOCKET", value_name = "PATH")]
    socket: PathBuf,
    /// Address of the UDP socket that all links share [default: any port; loopback for a local registry].
    #[arg(long, env = "SEAMESH_UDP", value_name = "ADDR")]
    udp: Option<SocketAddr>,
    /// Link by way of the registry's TURN server alone, so that peers learn no address of this host. Without one no link
    /// opens, and work goes through the queue.
    #[arg(long, env = "SEAMESH_RELAY_ONLY")]
    relay_only: bool,
    /// Private socket by which a test cuts and delays links and moves the clock. For tests only, and only with a registry
    /// on this machine.
    #[arg(long, value_name = "SOCKET")]
    test_control: Option<PathBuf>,
}

/// Says it on standard output, in lines that `seamesh run` reads.
fn say(told: Told) {
    match told {
        Told::Ready(ready) => serving::say_ready(&ready),
        Told::Registry(news) => serving::say_line("registry", &news),
    }
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// Why it cannot start.
pub(crate) fn run(args: SidecarArgs) -> Result<()> {
    serving::log_to_stderr();
    let credential = match (args.api_key, args.device_token) {
        (Some(key), _) => Credential::ApiKey(key),
        (None, Some(token)) => Credential::DeviceToken(token),
        (None, None) => Credential::None,
    };
    let options = Options {
        registry: args.registry,
        credential,
        identity: args.identity,
        allow_unidentified: args.allow_unidentified,
        socket: args.socket,
        udp: args.udp,
        relay_only: args.relay_only,
        test_control: args.test_control,
    };
    // One thread: docs/adr/0001.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let ended = serving::asked_to_end()?;
        Ok(seamesh_sidecar::run(options, say, ended).await?)
    })
}
