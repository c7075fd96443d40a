//! The kernel asked by netlink: single questions, and dumps that are whole or nothing.
//!
//! A dump that the kernel refuses, tears or cuts short must never look like an empty one. So strict checking is switched on
//! (without it the kernel passes over what it does not understand in a request, a foreign namespace above all), the code in
//! the closing message is read, and the marks that it sets on what changed under it (`NLM_F_DUMP_INTR`) or was filtered
//! (`NLM_F_DUMP_FILTERED`) count. Both are lost in the usual crates, which is why the loop is here.

use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkMessage, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::model::node_evidence::{Dump, not_understood};

/// How often a dump is begun that was torn.
pub const ATTEMPTS: usize = 5;
/// The kernel answers at once, or never.
const PATIENCE: Duration = Duration::from_secs(10);
/// A whole dump; a million routes take less than two seconds.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes of a dump: a million routes have 80 MB.
const LARGEST: usize = 512 << 20;
/// The kernel puts at most 32 kB into a datagram.
const DATAGRAM: usize = 64 << 10;

/// The way to the kernel.
pub trait Wire {
    /// Sends one request.
    ///
    /// # Errors
    /// The socket's.
    fn send(&mut self, request: &[u8]) -> Result<()>;

    /// Waits for one datagram of the kernel's. Its length, which is more than `into` has where it did not fit.
    ///
    /// # Errors
    /// The socket's.
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<usize>;
}

/// A socket to the kernel, for the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct KernelSocket(Socket);

impl KernelSocket {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel's; of one that is older than 4.20 too, which knows no strict checking.
    pub fn open() -> Result<KernelSocket> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_netlink_get_strict_chk(true)?;
        // Words beside the number of an error; nothing depends on them.
        let _ = socket.set_ext_ack(true);
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(KernelSocket(socket))
    }
}

impl Wire for KernelSocket {
    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.0.send_to(request, &SocketAddr::new(0, 0), 0).map(drop)
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> Result<usize> {
        let truncated = i32::try_from(RecvFlags::TRUNC.bits()).unwrap_or_default();
        loop {
            into.clear();
            into.reserve(DATAGRAM);
            let (length, from) = self.0.recv_from(into, truncated)?;
            // Any process may send to this socket; only the kernel has port 0.
            if from.port_number() == 0 {
                return Ok(length);
            }
        }
    }
}

/// Why something was not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotAnswered {
    /// The kernel's number, where it is the kernel's answer.
    pub errno: Option<i32>,
    /// What the kernel says beside its number.
    pub said: Option<String>,
    pub why: String,
}

impl NotAnswered {
    fn of(why: impl Into<String>) -> NotAnswered {
        NotAnswered { errno: None, said: None, why: why.into() }
    }

    fn kernels(errno: i32, said: Option<String>) -> NotAnswered {
        let number = Error::from_raw_os_error(errno).to_string();
        let why = said.as_ref().map_or_else(|| number.clone(), |said| format!("{number}: {said}"));
        NotAnswered { errno: Some(errno), said, why }
    }

    /// Whether a right is missing.
    pub fn is_forbidden(&self) -> bool {
        let of = |errno: Errno| self.errno == Some(errno.raw_os_error());
        of(Errno::PERM) || of(Errno::ACCESS)
    }
}

/// What a dump gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelList<T> {
    /// Every entry that was had and understood.
    pub had: Vec<T>,
    /// Why these are not all; nobody may argue from what such a list lacks.
    pub failure: Option<NotAnswered>,
}

impl<T> KernelList<T> {
    /// The same of each entry, as far as it is wanted.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> KernelList<U> {
        KernelList { had: self.had.into_iter().map(make).collect(), failure: self.failure }
    }

    /// For the evidence.
    pub fn dumped(self) -> Dump<Vec<T>> {
        Dump::of(self.had, self.failure.map(|refusal| refusal.why.into()))
    }
}

/// How an attempt ended.
enum Ended {
    /// Torn: another one may succeed.
    Torn(String),
    Refused(NotAnswered),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        match error.raw_os_error() {
            // The kernel had more to say than the socket could hold, and threw it away.
            Some(errno) if errno == Errno::NOBUFS.raw_os_error() => Ended::Torn("answers were lost".to_owned()),
            _ if error.kind() == ErrorKind::WouldBlock => Ended::Refused(NotAnswered::of("the kernel did not answer")),
            _ => Ended::Refused(NotAnswered::of(error.to_string())),
        }
    }
}

/// A conversation with the kernel. A socket on which something went wrong is not used again: what was left unread in it would
/// be taken for the next answer.
pub struct Talk<W, O> {
    open: O,
    wire: Option<W>,
    buffer: Vec<u8>,
    sequence: u32,
}

/// A conversation about the network namespace of the thread that holds it.
pub type Kernel = Talk<KernelSocket, fn() -> Result<KernelSocket>>;

/// Begins one.
pub fn kernel() -> Kernel {
    Talk::new(KernelSocket::open)
}

impl<W: Wire, O: FnMut() -> Result<W>> Talk<W, O> {
    /// Opens its sockets by `open`, when it needs one.
    pub fn new(open: O) -> Talk<W, O> {
        Talk { open, wire: None, buffer: Vec::new(), sequence: 0 }
    }

    /// Everything that the kernel lists, or what was had of it and why that is not all: what the kernel refused, what stayed
    /// torn, an entry that is not understood. `kind` is the type of the messages that are meant; `read` makes something of
    /// the body of each, or passes it over.
    pub fn dump<T>(
        &mut self,
        request: &RouteNetlinkMessage,
        kind: u16,
        mut read: impl FnMut(&[u8]) -> std::result::Result<Option<T>, String>,
    ) -> KernelList<T> {
        let mut listed = KernelList { had: Vec::new(), failure: None };
        let whole = |talk: &mut Self| {
            let (mut all, mut bad, mut why) = (0usize, 0usize, None);
            listed.had.clear();
            let mut each = |body: &[u8]| {
                all += 1;
                match read(body) {
                    Ok(entry) => listed.had.extend(entry),
                    Err(cause) => {
                        bad += 1;
                        why.get_or_insert(cause);
                    }
                }
                Ok(())
            };
            talk.attempt(request, NLM_F_DUMP, kind, &mut each)?;
            Ok(why.map(|why| NotAnswered::of(not_understood(bad, all, &why))))
        };
        let ended = self.again(whole);
        listed.failure = ended.unwrap_or_else(Some);
        listed
    }

    /// The answer to one question.
    ///
    /// # Errors
    /// The kernel's own, with its number, and what is no answer.
    pub fn ask<T>(
        &mut self,
        request: &RouteNetlinkMessage,
        kind: u16,
        mut read: impl FnMut(&[u8]) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, NotAnswered> {
        let one = |talk: &mut Self| {
            let mut answer = None;
            let mut each = |body: &[u8]| {
                answer = Some(read(body)?);
                Ok(())
            };
            talk.attempt(request, 0, kind, &mut each)?;
            answer.ok_or_else(|| Ended::Refused(NotAnswered::of("the kernel's answer says nothing")))
        };
        self.again(one)
    }

    fn again<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> std::result::Result<T, Ended>,
    ) -> std::result::Result<T, NotAnswered> {
        let mut torn = String::new();
        for _ in 0..ATTEMPTS {
            match attempt(self) {
                Ok(done) => return Ok(done),
                // A number closes the answer: nothing is left behind it.
                Err(Ended::Refused(refusal)) if refusal.errno.is_some() => return Err(refusal),
                Err(Ended::Refused(refusal)) => {
                    self.wire = None;
                    return Err(refusal);
                }
                Err(Ended::Torn(why)) => {
                    self.wire = None;
                    torn = why;
                }
            }
        }
        Err(NotAnswered::of(format!("{torn}, {ATTEMPTS} times")))
    }

    fn attempt(
        &mut self,
        request: &RouteNetlinkMessage,
        flags: u16,
        kind: u16,
        each: &mut dyn FnMut(&[u8]) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), Ended> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(request.clone());
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => none.insert((self.open)()?),
        };
        wire.send(&bytes)?;
        let mut answer = KernelAnswer { sequence: self.sequence, kind, is_dump: flags & NLM_F_DUMP != 0 };
        let (until, mut total) = (Instant::now() + LONGEST, 0usize);
        loop {
            let length = match wire.receive(&mut self.buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted && Instant::now() < until => continue,
                received => received?,
            };
            if length > self.buffer.len() {
                let why = format!("an answer of {length} bytes was cut off at {}", self.buffer.len());
                return Err(Ended::Refused(NotAnswered::of(why)));
            }
            total = total.saturating_add(length);
            if answer.take(&self.buffer, each)? {
                return Ok(());
            }
            if total > LARGEST || Instant::now() >= until {
                let why = format!("the answer does not end: {total} bytes so far");
                return Err(Ended::Refused(NotAnswered::of(why)));
            }
        }
    }
}

/// What is waited for.
struct KernelAnswer {
    sequence: u32,
    kind: u16,
    is_dump: bool,
}

impl KernelAnswer {
    /// Takes one datagram; whether the answer is complete.
    fn take(
        &mut self,
        datagram: &[u8],
        each: &mut dyn FnMut(&[u8]) -> std::result::Result<(), String>,
    ) -> std::result::Result<bool, Ended> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let cut = |e| Ended::Refused(NotAnswered::of(format!("an answer is damaged: {e}")));
            let message = NetlinkBuffer::new_checked(rest).map_err(cut)?;
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
            if message.sequence_number() == self.sequence && self.one(&message, each)? {
                return Ok(true);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }

    fn one(
        &mut self,
        message: &NetlinkBuffer<&[u8]>,
        each: &mut dyn FnMut(&[u8]) -> std::result::Result<(), String>,
    ) -> std::result::Result<bool, Ended> {
        let (flags, body) = (message.flags(), message.payload());
        if flags & NLM_F_DUMP_INTR != 0 {
            return Err(Ended::Torn("it was changed while it was read".to_owned()));
        }
        match message.message_type() {
            NLMSG_NOOP => Ok(false),
            NLMSG_OVERRUN => Err(Ended::Torn("answers were lost".to_owned())),
            // Nobody asked for less than all. Every route has this mark, since those that the kernel keeps for itself are not
            // listed under strict checking; of the whole list the closing message alone tells.
            NLMSG_DONE if flags & NLM_F_DUMP_FILTERED != 0 && closed(body, flags, 4)? => {
                Err(Ended::Refused(NotAnswered::of("the kernel listed only a part")))
            }
            NLMSG_DONE => closed(body, flags, 4),
            NLMSG_ERROR => {
                // Behind the code stands the request, its head alone or all of it.
                let head = body.get(4..8).and_then(|head| <[u8; 4]>::try_from(head).ok()).map(u32::from_ne_bytes);
                let whole = head.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                let request = if flags & NLM_F_CAPPED != 0 { 16 } else { whole.next_multiple_of(4) };
                match closed(body, flags, 4usize.saturating_add(request))? {
                    true if self.is_dump => {
                        Err(Ended::Refused(NotAnswered::of("the kernel agreed and listed nothing")))
                    }
                    closed => Ok(closed),
                }
            }
            kind if kind == self.kind => {
                let bad = |why| Ended::Refused(NotAnswered::of(format!("the answer is not understood: {why}")));
                each(body).map_err(bad)?;
                Ok(!self.is_dump)
            }
            _ => Ok(false),
        }
    }
}

/// What a closing message says: done, or the number of an error, and words at `words` behind it.
fn closed(body: &[u8], flags: u16, words: usize) -> std::result::Result<bool, Ended> {
    let code = body.get(..4).and_then(|code| <[u8; 4]>::try_from(code).ok()).map(i32::from_ne_bytes);
    let Some(code) = code else {
        return Err(Ended::Refused(NotAnswered::of("the answer does not say how it ended")));
    };
    let errno = code.saturating_neg();
    if code == 0 {
        return Ok(true);
    }
    if [Errno::INTR, Errno::AGAIN, Errno::NOBUFS].map(Errno::raw_os_error).contains(&errno) {
        return Err(Ended::Torn(Error::from_raw_os_error(errno).to_string()));
    }
    let words = if flags & NLM_F_ACK_TLVS != 0 { body.get(words..) } else { None };
    Err(Ended::Refused(NotAnswered::kernels(errno, words.and_then(said))))
}

/// `NLMSGERR_ATTR_MSG` of an extended acknowledgement.
fn said(attributes: &[u8]) -> Option<String> {
    let text = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == 1)?;
    let text = text.value().split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests;
