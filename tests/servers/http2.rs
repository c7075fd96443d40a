//! Just enough HTTP/2 for the proxy to recognise a request on its way and the
//! answer to exactly that request: frame boundaries, stream numbers, the body's
//! bytes, and the `:path` of a gRPC call.
//!
//! A connection that does not open with HTTP/2's preface (TLS, HTTP/1.1) is
//! opaque: then any bytes count as a request, and any as its answer.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// One frame's header and as much of its payload as a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What one direction of a connection carries.
#[derive(Debug)]
pub enum Reader {
    /// Client to server, before the preface is complete.
    Preface(Vec<u8>),
    Frames(Vec<u8>),
    Opaque,
}

impl Reader {
    /// For the bytes of the client.
    pub fn of_client() -> Reader {
        Reader::Preface(Vec::new())
    }

    /// For the bytes of the server, which has no preface.
    pub fn of_server() -> Reader {
        Reader::Frames(Vec::new())
    }

    pub fn is_opaque(&self) -> bool {
        matches!(self, Reader::Opaque)
    }

    /// Takes the next bytes and returns the frames that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        if let Reader::Preface(seen) = self {
            seen.extend_from_slice(bytes);
            let compared = seen.len().min(PREFACE.len());
            if seen[..compared] != PREFACE[..compared] {
                *self = Reader::Opaque;
            } else if seen.len() >= PREFACE.len() {
                let rest = seen.split_off(PREFACE.len());
                *self = Reader::Frames(Vec::new());
                return self.feed(&rest);
            }
            return Vec::new();
        }
        let Reader::Frames(pending) = self else {
            return Vec::new();
        };
        pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some((frame, size)) = first_frame(pending) {
            frames.push(frame);
            pending.drain(..size);
        }
        frames
    }
}

/// RFC 9113, 4.1: length (3 bytes), type, flags, stream (4 bytes), payload.
fn first_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let header = bytes.get(..9)?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    let frame = Frame { kind: header[3], stream: stream & 0x7fff_ffff, payload: bytes.get(9..9 + length)?.to_vec() };
    Some((frame, 9 + length))
}

/// Which request is meant.
#[derive(Debug, Clone)]
pub enum Request {
    /// The next one that has a body.
    Any,
    /// A gRPC method by its path, `/etcdserverpb.KV/Txn`.
    Grpc(&'static str),
    /// The next one whose body has these bytes within one frame.
    Containing(Vec<u8>),
}

/// etcd's transaction: what a release is.
pub const TXN: Request = Request::Grpc("/etcdserverpb.KV/Txn");
/// etcd's read.
pub const RANGE: Request = Request::Grpc("/etcdserverpb.KV/Range");
/// The same in chunks, etcd 3.7's.
pub const RANGE_STREAM: Request = Request::Grpc("/etcdserverpb.KV/RangeStream");

impl Request {
    /// The stream of this request if these frames have it; `Some(None)` on an
    /// opaque connection, where only [`Request::Any`] is found.
    pub fn found(&self, reader: &Reader, frames: &[Frame]) -> Option<Option<u32>> {
        match (reader.is_opaque(), self) {
            (true, Request::Any) => Some(None),
            (true, _) => None,
            (false, _) => {
                let frame = frames.iter().find(|frame| self.is_in(frame))?;
                Some(Some(frame.stream))
            }
        }
    }

    /// Whether this frame of the client belongs to it.
    pub fn is_in(&self, frame: &Frame) -> bool {
        match self {
            Request::Any => frame.kind == DATA && !frame.payload.is_empty(),
            Request::Grpc(path) => frame.kind == HEADERS && has(&frame.payload, &path_field(path)),
            Request::Containing(bytes) => frame.kind == DATA && has(&frame.payload, bytes),
        }
    }
}

/// Whether this frame of the server answers the request of that stream. The
/// first header frame of a gRPC answer leaves when the call has been executed.
pub fn answers(frame: &Frame, stream: u32) -> bool {
    frame.stream == stream && (frame.kind == HEADERS || frame.kind == DATA)
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// A path with its length before it, so that `Range` is not found in `RangeStream`.
fn path_field(path: &str) -> Vec<u8> {
    let coded = huffman(path);
    let length = u8::try_from(coded.len()).ok().filter(|length| *length < 0x7f).expect("a path of a few bytes");
    [&[0x80 | length], coded.as_slice()].concat()
}

/// RFC 7541, appendix B, for the characters of a gRPC path. Our client always
/// sends the path as a literal in this coding, never by table index.
fn huffman(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u64, 0u32);
    for c in path.chars() {
        let (code, length) = huffman_code(c);
        bits = (bits << length) | code;
        count += length;
        while count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        // The padding is ones.
        let padding = 8 - count;
        bytes.push(((bits << padding) | ((1 << padding) - 1)) as u8);
    }
    bytes
}

fn huffman_code(c: char) -> (u64, u32) {
    let at = |from: char| u64::from(u32::from(c) - u32::from(from));
    match c {
        '0'..='2' => (at('0'), 5),
        'a' => (0x3, 5),
        'c' => (0x4, 5),
        'e' => (0x5, 5),
        'i' => (0x6, 5),
        'o' => (0x7, 5),
        's'..='t' => (0x8 + at('s'), 5),
        '.' => (0x17, 6),
        '/' => (0x18, 6),
        '3'..='9' => (0x19 + at('3'), 6),
        'A' => (0x21, 6),
        '_' => (0x22, 6),
        'b' => (0x23, 6),
        'd' => (0x24, 6),
        'f'..='h' => (0x25 + at('f'), 6),
        'l'..='n' => (0x28 + at('l'), 6),
        'p' => (0x2b, 6),
        'r' => (0x2c, 6),
        'u' => (0x2d, 6),
        'B'..='W' => (0x5d + at('B'), 7),
        'Y' => (0x73, 7),
        'j'..='k' => (0x74 + at('j'), 7),
        'q' => (0x76, 7),
        'v'..='z' => (0x77 + at('v'), 7),
        'X' => (0xfc, 8),
        'Z' => (0xfd, 8),
        _ => panic!("{c:?} in a gRPC path"),
    }
}
