//! The gate before etcd: it tells of each request before it lets it pass, and holds it as long as the told one takes.
//!
//! Only ipaudit goes through it; Calico writes past it. Answers are not touched (`servers::Proxy` behind it loses those).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::servers::http2::{Frame, RANGE, RANGE_STREAM, Reader, TXN};

/// A request that waits at a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The path.
    Kube(String),
    /// A read of etcd as it is now: it fixes a revision.
    Fixing,
    /// A read at a revision that was fixed before; of several, the first in a transaction tells.
    Pinned,
    /// A transaction that only reads, what is there now.
    Looking,
    /// A transaction with conditions: it writes.
    Writing,
}

pub type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

struct State {
    upstream: String,
    hook: Mutex<Option<Hook>>,
    closed: AtomicBool,
}

pub struct Gate {
    state: Arc<State>,
    port: u16,
}

impl Gate {
    /// Before `upstream`, `host:port`.
    pub fn start(upstream: &str) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = upstream.to_owned();
        let state = Arc::new(State { upstream, hook: Mutex::default(), closed: AtomicBool::new(false) });
        let serving = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(&serving.upstream) else { continue };
                carry(&serving, client, server);
            }
        });
        Gate { state, port }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn tell(&self, hook: Option<Hook>) {
        *self.state.hook.lock().unwrap() = hook;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (answers, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || pump(answers, to_client, |_| {}));
    let state = state.clone();
    std::thread::spawn(move || {
        let (mut reader, mut streams) = (Reader::of_client(), HashMap::new());
        pump(client, server, move |bytes| {
            let frames = reader.feed(bytes);
            let events: Vec<Event> = frames.iter().filter_map(|frame| event(frame, &mut streams)).collect();
            let hook = state.hook.lock().unwrap().clone();
            if let Some(hook) = hook {
                events.iter().for_each(|event| hook(event));
            }
        });
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        see(&buffer[..size]);
        if to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The first frame of a body tells what is asked; `streams` remembers whether a call is a transaction.
fn event(frame: &Frame, streams: &mut HashMap<u32, bool>) -> Option<Event> {
    if [RANGE, RANGE_STREAM, TXN].iter().any(|request| request.is_in(frame)) {
        streams.insert(frame.stream, TXN.is_in(frame));
        return None;
    }
    if frame.kind != 0 || frame.payload.len() < 6 {
        return None;
    }
    let is_transaction = streams.remove(&frame.stream)?;
    // Five bytes of gRPC's own, then the message. A transaction's first field is a condition, if it has any.
    let message = &frame.payload[5..];
    Some(match is_transaction {
        true if message[0] >> 3 == 1 => Event::Writing,
        true if reads_the_past(message) => Event::Pinned,
        true => Event::Looking,
        false if has_revision(message) => Event::Pinned,
        false => Event::Fixing,
    })
}

/// Whether the first operation of a transaction without conditions is a read at a revision that was fixed before: its
/// second field, of which the first is a RangeRequest.
fn reads_the_past(message: &[u8]) -> bool {
    let inside = |message: &[u8], field: u64| -> Option<Vec<u8>> {
        let (tag, rest) = varint(message)?;
        let (size, rest) = varint(rest)?;
        (tag == field << 3 | 2).then(|| rest.get(..size as usize).unwrap_or(rest).to_vec())
    };
    inside(message, 2).and_then(|operation| inside(&operation, 1)).is_some_and(|range| has_revision(&range))
}

/// Whether a RangeRequest has its fourth field.
fn has_revision(mut message: &[u8]) -> bool {
    while let Some((tag, rest)) = varint(message) {
        let (field, wire) = (tag >> 3, tag & 7);
        if field == 4 {
            return true;
        }
        let Some((value, after)) = varint(rest) else { return false };
        message = match wire {
            0 => after,
            _ => after.get(value as usize..).unwrap_or_default(),
        };
    }
    false
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
