//! A registry from start to end.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use seamesh_control::{Command, Control};
use seamesh_identity::token::TokenSigner;
use seamesh_proto::limits::{LOGIN_FAILURES_OVERALL_PER_MINUTE, LOGIN_FAILURES_PER_MINUTE};
use seamesh_proto::rest::Role;
use seamesh_registry_core::{Caller, Config, Core, Input, Op};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::App;
use crate::audit::{Action, Entry};
use crate::clock::Clock;
use crate::core_handle::CoreHandle;
use crate::data_dir::{DataDir, DataDirError};
use crate::devices::Devices;
use crate::driver::{self, Parts};
use crate::http::access;
use crate::http::router::router;
use crate::http::serve::{Addresses, Entrance, serve};
use crate::keyring::{ADMIN_KEY_ID, ADMIN_PEER, Key, Keyring, Origin};
use crate::limiter::{Limiter, Rate};
use crate::metrics::Metrics;
use crate::options::{Options, Ready, RunError};
use crate::otlp::Exporter;
use crate::password::PasswordGate;
use crate::root::Root;
use crate::session::Sessions;
use crate::sockets::Sockets;
use crate::store::{Database, OpenError, Writer, keep_sweeping};
use crate::tls::Tls;
use crate::{key_file, secret};

/// Milliseconds that open requests and sockets have to end once the registry shuts down.
const SHUTDOWN_MS: u64 = 5_000;

/// Runs a registry until `shutdown` resolves. `on_ready` is called once it serves.
///
/// # Errors
/// [`RunError`]: why it did not start.
pub async fn run(
    options: Options,
    on_ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let control = control(&options)?;
    let (stop, stopping) = watch::channel(false);
    let data = DataDir::open(&options.data)?;
    let is_new = data.is_new();
    let tls = options.tls.as_ref();
    let tls = tls.map(|settings| Tls::open(settings, &options.data, options.listen));
    let tls = tls.transpose()?;
    let (app, running) = assemble(&options, &data, stopping)?;
    let router = router(&app)?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| RunError::Listen {
        address: options.listen,
        error,
    })?;
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint.to_string());
    let mut ready = Ready::new(listener.local_addr()?, options.data.clone(), fingerprint);
    if is_new {
        ready.first_login = first_login(&app, &ready.url).await?;
    }
    tokio::spawn(app.clone().keep_ending_keys());
    if let Some(control) = control {
        tokio::spawn(obey(control, app.clock.clone(), app.core.clone()));
    }
    let mut serving = tokio::spawn(serve(
        listener,
        Entrance {
            tls: tls.as_ref().map(Tls::acceptor),
            router,
            addresses: Addresses::new(options.limits.connections_per_address),
        },
        app.stopping.clone(),
    ));
    if let Some(tls) = tls {
        tokio::spawn(tls.keep_renewing());
    }
    tracing::info!(listen = %ready.listen, "the registry serves");
    on_ready(&ready);

    let Running { mut driver, writer } = running;
    let mut result = Ok(());
    let mut shutdown = pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => {}
        _ = &mut driver => result = Err(RunError::CoreStopped),
        // Accepting never ends by itself: this is a panic, and the log has it.
        _ = &mut serving => result = Err(RunError::CoreStopped),
    }
    tracing::info!("the registry shuts down");
    stop.send_replace(true);
    app.sockets.close_all();
    let limit = Duration::from_millis(SHUTDOWN_MS);
    if !serving.is_finished() && timeout(limit, &mut serving).await.is_err() {
        tracing::warn!("some requests did not end in time");
        serving.abort();
    }
    if timeout(limit, app.sockets.all_served()).await.is_err() {
        tracing::warn!("some signaling sockets did not end in time");
    }
    app.core.stop().await;
    if result.is_ok() && timeout(limit, driver).await.is_err() {
        tracing::error!("what was under way did not become durable in time");
    }
    app.writer.close().await;
    wait_for_writer(writer).await;
    result
}

/// The socket of the test that controls this registry, if one does.
fn control(options: &Options) -> Result<Option<Control>, RunError> {
    match &options.test_control {
        Some(_) if !options.listen.ip().is_loopback() => {
            Err(RunError::ControlElsewhere(options.listen))
        }
        Some(path) => Ok(Some(Control::bind(path)?)),
        None => Ok(None),
    }
}

/// Does what a test asks for (docs/adr/0017).
async fn obey(mut control: Control, clock: Clock, core: CoreHandle) {
    while let Some(asked) = control.next().await {
        match asked.command {
            Command::Advance { ms } => {
                clock.advance(ms);
                // The answer to a question that stands behind what is due: that is done then, and durable.
                core.input(Input::Tick).await;
                let caller = Caller {
                    // The constant is a valid id.
                    peer: ADMIN_PEER.parse().expect("a valid id"),
                    role: Role::Admin,
                };
                match core.call(caller, Op::ListAgents, None).await {
                    Ok(_) => asked.done(),
                    Err(problem) => asked.refuse(problem.detail),
                }
            }
            _ => asked.refuse("a registry has no links: ask the sidecar"),
        }
    }
}

/// The link by which the first administrator comes in, once. Only the one who started the registry is told.
async fn first_login(app: &App, url: &str) -> Result<Option<String>, RunError> {
    let (code, now) = (
        secret::random_text("").map_err(DataDirError::Random)?,
        app.clock.now(),
    );
    let Some(grant) = access::admin_grant(access::FIRST_LOGIN) else {
        return Ok(None);
    };
    let entry = Entry::by_registry(now, Action::LoginLinkMade, ADMIN_PEER, "at the first start");
    if app.write(None, entry).await.is_err() {
        tracing::error!("no link for the first login: the store does not write");
        return Ok(None);
    }
    let hash = secret::hash(&code);
    app.sessions.insert_code(hash, grant, now);
    Ok(Some(format!("{url}{}", access::link(&code).path)))
}

struct Running {
    driver: tokio::task::JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// Puts the parts together: store, keys, rules, and what requests work with.
fn assemble(
    options: &Options,
    data: &DataDir,
    stopping: watch::Receiver<bool>,
) -> Result<(Arc<App>, Running), RunError> {
    let clock = Clock::start();
    let signer = TokenSigner::new(data.token_secret()?.as_bytes());
    let admin = admin_key(data, &clock)?;
    let root = match options.root {
        Some(public) => Root::elsewhere(public),
        None => Root::here(data.root_key()?),
    };
    let path = data.database();
    let failed = |error: OpenError| RunError::Database {
        path: path.clone(),
        error,
    };
    let database =
        Database::open(&path, data.secret_files(), options.max_database_bytes).map_err(failed)?;
    let loaded = database.load().map_err(|e| failed(e.into()))?;
    let made = database.keys().map_err(|e| failed(e.into()))?;
    let sessions = database
        .sessions(clock.now())
        .map_err(|e| failed(e.into()))?;
    let passwords = database.passwords().map_err(|e| failed(e.into()))?;
    let password = passwords
        .into_iter()
        .find(|(peer, _)| peer.as_str() == ADMIN_PEER);
    let mut keys = made;
    keys.extend(file_keys(options.api_keys.as_deref(), &clock)?);
    keys.push(admin);
    let (writer, writer_thread) = Writer::start(database)?;
    let devices = Arc::new(Devices::new(&loaded.newcomers));
    let (sockets, metrics) = (Arc::new(Sockets::default()), Arc::new(Metrics::default()));
    let reader = writer.reader(&path);
    let seed = secret::random_bytes().map_err(DataDirError::Random)?;
    let (core, driver) = driver::start(Parts {
        core: Core::new(Config { seed }, loaded, clock.now()),
        clock: clock.clone(),
        writer: writer.clone(),
        reader: reader.clone(),
        sockets: sockets.clone(),
        devices: devices.clone(),
        metrics: metrics.clone(),
    });
    tokio::spawn(keep_sweeping(
        writer.clone(),
        clock.clone(),
        options.keep_ended,
        stopping.clone(),
    ));
    if let Some(settings) = &options.otlp {
        let cursor = data.otlp_cursor();
        let exporter = Exporter::new(settings, &cursor, reader.clone(), writer.progress())?;
        tokio::spawn(exporter.run(stopping.clone()));
    }
    let app = App {
        settings: options.told(&root),
        clock,
        signer,
        root,
        keyring: Keyring::new(keys),
        devices,
        sessions: Sessions::new(sessions),
        password: PasswordGate::new(password.map(|(_, password)| password)),
        login_failures: Limiter::new(
            Rate::per_minute(LOGIN_FAILURES_PER_MINUTE),
            Some(Rate::per_minute(LOGIN_FAILURES_OVERALL_PER_MINUTE)),
        ),
        requests: Limiter::new(options.limits.of_identity(), None),
        open_requests: Limiter::new(options.limits.without_credential(), None),
        frames: Limiter::new(options.limits.of_frames(), None),
        limits: options.limits,
        token_file: data.token_file(),
        key_file: options.api_keys.clone(),
        compat_url_token: options.compat_url_token,
        ice: options.ice.clone(),
        core,
        writer,
        reader,
        sockets,
        metrics,
        stopping,
        revoked: watch::channel(0).0,
    };
    let running = Running {
        driver,
        writer: writer_thread,
    };
    Ok((Arc::new(app), running))
}

fn file_keys(path: Option<&Path>, clock: &Clock) -> Result<Vec<Key>, RunError> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    key_file::read(path, clock.now().0).map_err(|error| RunError::Keys {
        path: path.to_owned(),
        error,
    })
}

fn admin_key(data: &DataDir, clock: &Clock) -> Result<Key, RunError> {
    Ok(Key {
        key_id: ADMIN_KEY_ID.to_owned(),
        // The constant is a valid id.
        peer_id: ADMIN_PEER.parse().expect("a valid id"),
        role: seamesh_proto::rest::Role::Admin,
        created_ms: clock.now().0,
        expires: None,
        hash: secret::hash(&data.admin_key()?),
        origin: Origin::AdminFile,
    })
}

/// The writing thread ends once what was queued is written.
async fn wait_for_writer(writer: JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(move || writer.join());
    let limit = Duration::from_millis(SHUTDOWN_MS);
    match timeout(limit, joined).await {
        Ok(Ok(Ok(()))) => {}
        Err(_) => tracing::error!("the store did not close in time"),
        Ok(_) => tracing::error!("the store's thread panicked"),
    }
}
