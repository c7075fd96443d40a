//! Loads a saved datastore into an etcd: `load ENDPOINT FILE`.
//!
//! The file has one JSON object a line, `{"key":"…","value":"…"}`; what is not UTF-8 stands as `key_base64` or
//! `value_base64`; gzip if its name ends in `.gz`. Keys that exist are overwritten, others are left alone, so give
//! it an etcd that may be thrown away. Waits up to 30 s for etcd to come up.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use etcd_client::{Client, ConnectOptions, Txn, TxnOp};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

const PATIENCE: Duration = Duration::from_secs(30);
/// Within etcd's limit of 128 operations a transaction.
const AT_ONCE: usize = 100;

#[derive(Deserialize)]
struct Line {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(said) => {
            let _ = writeln!(stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<String, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(endpoint), Some(file), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: load ENDPOINT FILE".into());
    };
    let pairs = read(&file).map_err(|e| format!("{file}: {e}"))?;
    let mut client = connect(&endpoint).await.map_err(|e| format!("{endpoint}: {e}"))?;
    for some in pairs.chunks(AT_ONCE) {
        let puts: Vec<TxnOp> = some.iter().map(|(key, value)| TxnOp::put(key.clone(), value.clone(), None)).collect();
        client.txn(Txn::new().and_then(puts)).await?;
    }
    Ok(format!("{} keys loaded from {file}", pairs.len()))
}

type Pair = (Vec<u8>, Vec<u8>);

fn read(file: &str) -> Result<Vec<Pair>, Box<dyn Error>> {
    let opened = File::open(file)?;
    let plain: Box<dyn Read> = match file.ends_with(".gz") {
        true => Box::new(MultiGzDecoder::new(opened)),
        false => Box::new(opened),
    };
    let mut pairs = Vec::new();
    for (number, line) in BufReader::new(plain).lines().enumerate() {
        pairs.push(pair(&line?).map_err(|e| format!("line {}: {e}", number + 1))?);
    }
    Ok(pairs)
}

fn pair(line: &str) -> Result<Pair, Box<dyn Error>> {
    let line: Line = serde_json::from_str(line)?;
    Ok((bytes(line.key, line.key_base64)?, bytes(line.value, line.value_base64)?))
}

fn bytes(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, Box<dyn Error>> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => Ok(STANDARD.decode(base64)?),
        _ => Err("key and value are wanted, each once".into()),
    }
}

/// Connecting says nothing about whether somebody answers: read something.
async fn connect(endpoint: &str) -> Result<Client, etcd_client::Error> {
    let options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(1)).with_timeout(PATIENCE);
    let mut client = Client::connect([endpoint], Some(options)).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.get("ready", None).await {
            Ok(_) => return Ok(client),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
