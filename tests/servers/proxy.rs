//! A TCP proxy that loses what it is told to lose.
//!
//! It counts bytes each way, cuts connections, refuses new ones, slows answers
//! down, swallows everything, and, for the outcome nobody knows, lets one chosen
//! request through and cuts before its answer arrives ([`Proxy::lose_answer`]).
//! Plain gRPC is recognised frame by frame (`http2.rs`); TLS is opaque to it.
//!
//! One thread accepts, two carry each connection. All state is behind one
//! mutex; whoever changes it wakes the others.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::http2::{Reader, Request, answers};

/// What the proxy does after a trap has sprung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A new connection works.
    Reconnect,
    /// Nothing connects any more.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Refusing,
    Blackhole,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Request,
    Answer,
    /// Nothing: the answer, and all else, is held until [`Proxy::open`].
    Held,
}

struct Trap {
    request: Request,
    lost: Lost,
    then: Then,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// The stream whose answer must not arrive; `Some(None)` when opaque.
    doomed: Option<(Option<u32>, Then)>,
    opaque: bool,
    /// How many of the two directions are over.
    ended: u8,
}

struct State {
    mode: Mode,
    /// Whether the acceptor has its listener.
    listening: bool,
    delay: Duration,
    trap: Option<Trap>,
    sprung: u64,
    connections: HashMap<u64, Connection>,
}

struct Shared {
    upstream: String,
    port: u16,
    state: Mutex<State>,
    changed: Condvar,
    to_server: AtomicU64,
    to_client: AtomicU64,
    accepted: AtomicU64,
}

/// See the head of this file.
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    /// Forwards a free loopback port to `upstream` (`host:port`).
    pub fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            port: listener.local_addr().expect("its number").port(),
            state: Mutex::new(State {
                mode: Mode::Open,
                listening: true,
                delay: Duration::ZERO,
                trap: None,
                sprung: 0,
                connections: HashMap::new(),
            }),
            changed: Condvar::new(),
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        });
        let acceptor = Arc::clone(&shared);
        std::thread::spawn(move || acceptor.accept(listener));
        Proxy { shared }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    /// Bytes that clients sent.
    pub fn bytes_to_server(&self) -> u64 {
        self.shared.to_server.load(Ordering::SeqCst)
    }

    /// Bytes that the server sent.
    pub fn bytes_to_client(&self) -> u64 {
        self.shared.to_client.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Ends every connection now; new ones are welcome.
    pub fn cut(&self) {
        self.shared.lock().cut_all();
        self.shared.changed.notify_all();
    }

    /// New connections are refused (nothing listens); open ones go on.
    pub fn refuse(&self) {
        self.shared.set_mode(Mode::Refusing);
        self.shared.wake_acceptor();
        let mut state = self.shared.lock();
        while state.listening {
            state = self.shared.wait(state);
        }
    }

    /// Connections are accepted and nothing moves any more, in any direction,
    /// until [`Proxy::open`].
    pub fn blackhole(&self) {
        self.shared.set_mode(Mode::Blackhole);
    }

    /// Back to normal after [`Proxy::refuse`] or [`Proxy::blackhole`]; what the
    /// black hole held is delivered.
    pub fn open(&self) {
        self.shared.set_mode(Mode::Open);
        let mut state = self.shared.lock();
        while !state.listening {
            state = self.shared.wait(state);
        }
    }

    /// Everything the server sends waits this long.
    pub fn delay(&self, by: Duration) {
        self.shared.lock().delay = by;
    }

    /// The next request is executed, its answer swallowed, its connection cut.
    pub fn cut_after_next_response(&self) {
        self.lose_answer(Request::Any, Then::Reconnect);
    }

    /// Once: this request is executed, its answer swallowed, all connections
    /// cut. The client cannot know whether it happened.
    pub fn lose_answer(&self, request: Request, then: Then) {
        self.set_trap(request, Lost::Answer, then);
    }

    /// Once: this request is cut before the server sees it. To the client it
    /// looks the same as [`Proxy::lose_answer`].
    pub fn lose_request(&self, request: Request, then: Then) {
        self.set_trap(request, Lost::Request, then);
    }

    /// Once: this request is executed, and from then on nothing moves until
    /// [`Proxy::open`]: the client waits for an answer that exists.
    pub fn hold_answer(&self, request: Request) {
        self.set_trap(request, Lost::Held, Then::Reconnect);
    }

    /// How many of these traps have done their work.
    pub fn sprung(&self) -> u64 {
        self.shared.lock().sprung
    }

    fn set_trap(&self, request: Request, lost: Lost, then: Then) {
        let trap = Trap { request, lost, then };
        self.shared.lock().trap = Some(trap);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set_mode(Mode::Closed);
        self.shared.lock().cut_all();
        self.shared.wake_acceptor();
    }
}

impl State {
    fn cut_all(&mut self) {
        for (_, connection) in self.connections.drain() {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|e| e.into_inner())
    }

    fn set_mode(&self, mode: Mode) {
        self.lock().mode = mode;
        self.changed.notify_all();
    }

    /// accept(2) has no other way to learn that it is over.
    fn wake_acceptor(&self) {
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }

    fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        let mut next = 0;
        loop {
            let mut state = self.lock();
            while state.mode == Mode::Refusing {
                listener = None;
                state.listening = false;
                self.changed.notify_all();
                state = self.wait(state);
            }
            if state.mode == Mode::Closed {
                return;
            }
            let listener = listener
                .get_or_insert_with(|| TcpListener::bind(("127.0.0.1", self.port)).expect("the proxy's port again"));
            state.listening = true;
            self.changed.notify_all();
            drop(state);
            let Ok((client, _)) = listener.accept() else {
                continue;
            };
            if matches!(self.lock().mode, Mode::Refusing | Mode::Closed) {
                continue;
            }
            self.accepted.fetch_add(1, Ordering::SeqCst);
            next += 1;
            Arc::clone(&self).carry(next, client);
        }
    }

    fn carry(self: Arc<Self>, id: u64, client: TcpStream) {
        // Without an upstream the client sees a closed connection.
        let Ok(server) = TcpStream::connect(&self.upstream) else {
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let copy = |s: &TcpStream| s.try_clone().expect("a socket's second handle");
        let connection =
            Connection { client: copy(&client), server: copy(&server), doomed: None, opaque: false, ended: 0 };
        self.lock().connections.insert(id, connection);
        let (back, to_client, from_server) = (Arc::clone(&self), copy(&client), copy(&server));
        std::thread::spawn(move || back.pump_answers(id, from_server, to_client));
        std::thread::spawn(move || self.pump_requests(id, client, server));
    }

    fn pump_requests(&self, id: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut reader = Reader::of_client();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(size @ 1..) = from.read(&mut buffer) {
            self.to_server.fetch_add(size as u64, Ordering::SeqCst);
            let bytes = &buffer[..size];
            if !self.passes_request(id, &mut reader, bytes) || to.write_all(bytes).is_err() {
                break;
            }
        }
        self.end(id, &to);
    }

    fn pump_answers(&self, id: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut reader = Reader::of_server();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(size @ 1..) = from.read(&mut buffer) {
            self.to_client.fetch_add(size as u64, Ordering::SeqCst);
            let delay = self.lock().delay;
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            let bytes = &buffer[..size];
            match self.passes_answer(id, &mut reader, bytes) {
                Some(true) if to.write_all(bytes).is_ok() => {}
                Some(false) => {} // swallowed
                _ => break,
            }
        }
        self.end(id, &to);
    }

    /// One side is done: the other hears it. The connection goes when both are.
    fn end(&self, id: u64, to: &TcpStream) {
        let _ = to.shutdown(Shutdown::Write);
        let mut state = self.lock();
        if let Some(connection) = state.connections.get_mut(&id) {
            connection.ended += 1;
            if connection.ended == 2 {
                state.connections.remove(&id);
            }
        }
    }

    /// Waits while nothing may move; `None` when the connection was cut.
    fn gate(&self, id: u64) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while state.mode == Mode::Blackhole && state.connections.contains_key(&id) {
            state = self.wait(state);
        }
        state.connections.contains_key(&id).then_some(state)
    }

    /// False: do not forward, the connection is over.
    fn passes_request(&self, id: u64, reader: &mut Reader, bytes: &[u8]) -> bool {
        let frames = reader.feed(bytes);
        let Some(mut state) = self.gate(id) else {
            return false;
        };
        if let Some(connection) = state.connections.get_mut(&id) {
            connection.opaque = reader.is_opaque();
        }
        let Some(trap) = &state.trap else { return true };
        let Some(stream) = trap.request.found(reader, &frames) else {
            return true;
        };
        let (lost, then) = (trap.lost, trap.then);
        state.trap = None;
        if lost == Lost::Request {
            self.spring(state, then);
            return false;
        }
        if lost == Lost::Held {
            state.sprung += 1;
            state.mode = Mode::Blackhole;
            return true;
        }
        if let Some(connection) = state.connections.get_mut(&id) {
            connection.doomed = Some((stream, then));
        }
        true
    }

    /// `Some(false)`: swallow; `None`: the connection is over.
    fn passes_answer(&self, id: u64, reader: &mut Reader, bytes: &[u8]) -> Option<bool> {
        let mut state = self.gate(id)?;
        let connection = state.connections.get_mut(&id)?;
        if connection.opaque {
            *reader = Reader::Opaque;
        }
        let frames = reader.feed(bytes);
        let Some((stream, then)) = connection.doomed else {
            return Some(true);
        };
        let arrived = match stream {
            Some(stream) => frames.iter().any(|frame| answers(frame, stream)),
            None => true,
        };
        if !arrived {
            return Some(false);
        }
        self.spring(state, then);
        None
    }

    fn spring(&self, mut state: MutexGuard<'_, State>, then: Then) {
        state.sprung += 1;
        state.cut_all();
        if then == Then::Refuse {
            state.mode = Mode::Refusing;
        }
        drop(state);
        self.changed.notify_all();
        if then == Then::Refuse {
            self.wake_acceptor();
        }
    }
}
