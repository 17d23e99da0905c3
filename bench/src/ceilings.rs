//! What this machine can do at best, now: the numbers beside which ours are read.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::measure::{median, us};

const ROUND_TRIPS: usize = 2_000;
const MESSAGE: usize = 100;
const STREAM_BYTES: usize = 200_000_000;
const SYNCS: usize = 300;
const CPU_LOOPS: usize = 20_000_000;
const TRANSACTIONS: usize = 1_000;
/// The load has 32 connections: so many commands share a transaction.
const ROWS: usize = 32;

/// Round trip of 100 B between two threads: raw UDP, Unix socket, QUIC stream; medians in microseconds.
pub(crate) fn round_trips() -> Result<BTreeMap<&'static str, f64>> {
    Ok(BTreeMap::from([
        ("udp_echo_p50_us", udp_echo()?),
        ("unix_echo_p50_us", unix_echo()?),
        ("quinn_echo_p50_us", quinn_run(Load::Echo)?),
    ]))
}

/// One way through one QUIC stream, MB/s.
pub(crate) fn throughput() -> Result<BTreeMap<&'static str, f64>> {
    Ok(BTreeMap::from([
        ("quinn_1k_mb_s", quinn_run(Load::Stream { write: 1024 })?),
        (
            "quinn_16k_mb_s",
            quinn_run(Load::Stream { write: 16 * 1024 })?,
        ),
    ]))
}

/// What the disk under `folder` gives: syncs of a grown file per second, and rows per second into a plain SQLite table
/// with as many rows in a transaction as the registry puts there under load.
pub(crate) fn disk(folder: &Path) -> Result<BTreeMap<&'static str, f64>> {
    Ok(BTreeMap::from([
        ("fsync_per_s", syncs(folder)?),
        ("sqlite_insert_per_s", inserts(folder)?),
    ]))
}

/// Steps of a fixed calculation that one processor does in a second: it tells a machine that is busy or throttled.
pub(crate) fn cpu_loops_per_s() -> f64 {
    let start = Instant::now();
    let mut state = 1u64;
    for _ in 0..CPU_LOOPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    std::hint::black_box(state);
    CPU_LOOPS as f64 / start.elapsed().as_secs_f64()
}

fn syncs(folder: &Path) -> Result<f64> {
    let mut file = std::fs::File::create(folder.join("ceiling.syncs"))?;
    let start = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(SYNCS as f64 / start.elapsed().as_secs_f64())
}

fn inserts(folder: &Path) -> Result<f64> {
    let mut connection = rusqlite::Connection::open(folder.join("ceiling.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection
        .execute_batch("CREATE TABLE tasks (n INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")?;
    let body = "x".repeat(300);
    let start = Instant::now();
    for transaction in 0..TRANSACTIONS {
        let batch = connection.transaction()?;
        let mut insert = batch.prepare_cached("INSERT INTO tasks (id, body) VALUES (?1, ?2)")?;
        for row in 0..ROWS {
            insert.execute((format!("{transaction:016x}{row:016x}"), &body))?;
        }
        drop(insert);
        batch.commit()?;
    }
    Ok((TRANSACTIONS * ROWS) as f64 / start.elapsed().as_secs_f64())
}

fn udp_echo() -> Result<f64> {
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(server.local_addr()?)?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..ROUND_TRIPS {
            let (length, from) = server.recv_from(&mut buffer)?;
            server.send_to(&buffer[..length], from)?;
        }
        Ok(())
    });
    let mut buffer = [7; MESSAGE];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        client.send(&buffer)?;
        client.recv(&mut buffer)?;
        times.push(us(start.elapsed()));
    }
    echo.join()
        .map_err(|_| anyhow::anyhow!("the echo thread panicked"))??;
    Ok(median(&times))
}

fn unix_echo() -> Result<f64> {
    let (mut client, mut server) = UnixStream::pair()?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; MESSAGE];
        for _ in 0..ROUND_TRIPS {
            server.read_exact(&mut buffer)?;
            server.write_all(&buffer)?;
        }
        Ok(())
    });
    let mut buffer = [7; MESSAGE];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        client.write_all(&buffer)?;
        client.read_exact(&mut buffer)?;
        times.push(us(start.elapsed()));
    }
    echo.join()
        .map_err(|_| anyhow::anyhow!("the echo thread panicked"))??;
    Ok(median(&times))
}

#[derive(Clone, Copy)]
enum Load {
    /// Round trips of [`MESSAGE`] bytes: median in microseconds.
    Echo,
    /// [`STREAM_BYTES`] one way in writes of this size: MB/s.
    Stream { write: usize },
}

/// Client and server on a thread each, as two sidecars would be.
fn quinn_run(load: Load) -> Result<f64> {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let server = quinn::ServerConfig::with_single_cert(vec![certificate.clone()], private.into())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let client = quinn::ClientConfig::with_root_certificates(Arc::new(roots))?;

    let (address_tx, address_rx) = std::sync::mpsc::channel();
    let serving = thread::spawn(move || -> Result<()> {
        runtime()?.block_on(async {
            let endpoint = quinn::Endpoint::server(server, "127.0.0.1:0".parse()?)?;
            address_tx.send(endpoint.local_addr()?)?;
            let connection = endpoint.accept().await.context("endpoint closed")?.await?;
            serve(&connection, load).await?;
            connection.closed().await;
            Ok(())
        })
    });
    let address = address_rx.recv()?;
    let value = runtime()?.block_on(async {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
        endpoint.set_default_client_config(client);
        let connection = endpoint.connect(address, "localhost")?.await?;
        let value = drive(&connection, load).await?;
        connection.close(0u32.into(), b"done");
        endpoint.wait_idle().await;
        anyhow::Ok(value)
    })?;
    serving
        .join()
        .map_err(|_| anyhow::anyhow!("the server thread panicked"))??;
    Ok(value)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

async fn serve(connection: &quinn::Connection, load: Load) -> Result<()> {
    let (mut send, mut receive) = connection.accept_bi().await?;
    match load {
        Load::Echo => {
            let mut buffer = [0; MESSAGE];
            while receive.read_exact(&mut buffer).await.is_ok() {
                send.write_all(&buffer).await?;
            }
        }
        Load::Stream { .. } => {
            while receive.read_chunk(usize::MAX, true).await?.is_some() {}
            send.write_all(b"all").await?;
            send.finish()?;
        }
    }
    Ok(())
}

async fn drive(connection: &quinn::Connection, load: Load) -> Result<f64> {
    let (mut send, mut receive) = connection.open_bi().await?;
    match load {
        Load::Echo => {
            let mut buffer = [7; MESSAGE];
            let mut times = Vec::with_capacity(ROUND_TRIPS);
            for _ in 0..ROUND_TRIPS {
                let start = Instant::now();
                send.write_all(&buffer).await?;
                receive.read_exact(&mut buffer).await?;
                times.push(us(start.elapsed()));
            }
            send.finish()?;
            Ok(median(&times))
        }
        Load::Stream { write } => {
            let piece = vec![7; write];
            let start = Instant::now();
            for _ in 0..STREAM_BYTES / write {
                send.write_all(&piece).await?;
            }
            send.finish()?;
            receive.read_to_end(16).await?;
            Ok(STREAM_BYTES as f64 / 1e6 / start.elapsed().as_secs_f64())
        }
    }
}
