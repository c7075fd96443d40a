//! Reads what Calico keeps in etcd, all of it at one revision.
//!
//! The first read is linearizable and fixes the revision; every other one is pinned to it. A prefix is streamed where the
//! server can (`etcd_stream`), else it is read in bounded ranges ([`ranges`]). Keys go to a [`Sink`] as they
//! arrive and are never kept, in no particular order. A prefix that the user may not read makes its input
//! *forbidden*, and the others are read all the same: unknown is not absent. Anything else that goes wrong
//! fails the whole read: half of a datastore proves nothing.

use std::collections::{BTreeMap, VecDeque};

use etcd_client::{GetOptions, GetResponse, ResponseHeader};
use tokio::task::JoinSet;

use super::etcd_ranges::{self as ranges, INPUTS, PageMeasure, Span, Wanted, wanted};
use super::etcd_stream::{self as streams, Arrival};
use super::etcd_term;
use crate::connect::etcd::{Connection, Stored};
use crate::connect::trouble::{Trouble, TroubleKind};
use crate::decode::Kv;
use crate::decode::keys::ENDPOINTS;
use crate::error::Error;
use crate::model::snapshot::EtcdFacts;
use crate::model::{Input, InputState};

pub use crate::connect::etcd::Pin;

/// How often a read starts over when etcd is compacted under it.
const RESTARTS: u32 = 3;

/// How often in turn a stream may break without having brought a key.
const BARREN: u32 = 3;

/// As long as no key was read; fits after "cannot".
const DOING: &str = "read from etcd";

/// Takes the keys of a read.
pub trait Sink: Send {
    /// One key, borrowed for the moment.
    fn kv(&mut self, kv: Kv<'_>);

    /// The read starts over at another revision: forget everything.
    fn restart(&mut self);

    /// Where the endpoints can be cut into ranges of about so many keys, once the blocks have told who is where. Empty
    /// when nobody knows: it is a question of speed only.
    fn endpoint_boundaries(&mut self, _keys: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// A page has arrived; `keys` is what was read since the (re)start. For a spinner.
    fn page(&mut self, _keys: u64) {}
}

/// What to read and how.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Reads in flight.
    pub concurrency: usize,
    /// For the sake of others' writes: one read in flight whatever `concurrency` says, short ranges, no streams.
    pub gentle: bool,
    /// Streams, where the server has them.
    pub streams: bool,
    /// Only these inputs; empty: all that come from etcd.
    pub inputs: Vec<Input>,
    /// Read at this moment instead of now: then a compaction cannot be cured by starting over.
    pub pin: Option<Pin>,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        let concurrency = crate::connect::settings::CONCURRENCY;
        ReadOptions { concurrency, gentle: false, streams: true, inputs: Vec::new(), pin: None }
    }
}

/// What was read.
#[derive(Clone, Debug)]
pub struct EtcdRead {
    pub facts: EtcdFacts,
    /// The state of each input asked for, with the reason where it is not complete.
    pub inputs: Vec<(Input, InputState, String)>,
    /// How many keys were read.
    pub keys: u64,
}

/// Why there is nothing.
#[derive(Debug)]
pub enum ReadError {
    /// Compacted again and again while we read.
    Compacted(Error),
    /// etcd is there and refuses us: it does not let us in, or not one of the prefixes may be read.
    Forbidden(Error),
    Failed(Error),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Error {
        match error {
            ReadError::Compacted(e) | ReadError::Forbidden(e) | ReadError::Failed(e) => e,
        }
    }
}

impl From<Trouble> for ReadError {
    fn from(trouble: Trouble) -> ReadError {
        match trouble.kind {
            TroubleKind::Compacted => ReadError::Compacted(trouble.error),
            _ if trouble.is_refusal() => ReadError::Forbidden(trouble.error),
            _ => ReadError::Failed(trouble.error),
        }
    }
}

/// Reads the inputs asked for into `sink`.
///
/// # Errors
/// See [`ReadError`]. What the sink holds then is to be thrown away.
pub async fn read(connection: &Connection, options: &ReadOptions, sink: &mut dyn Sink) -> Result<EtcdRead, ReadError> {
    let mut restarts = 0;
    loop {
        match Attempt::new(connection, options, sink).run().await {
            Err(ReadError::Compacted(_)) if restarts < RESTARTS && options.pin.is_none() => {
                restarts += 1;
                sink.restart();
            }
            read => return read,
        }
    }
}

/// One attempt at one revision.
struct Attempt<'a> {
    connection: &'a Connection,
    options: &'a ReadOptions,
    sink: &'a mut dyn Sink,
    todo: VecDeque<Span>,
    /// By prefix or key, so that the same rights give the same words.
    forbidden: BTreeMap<&'static str, (Input, Error)>,
    facts: EtcdFacts,
    /// How many have arrived.
    keys: u64,
    /// The server has streams, as far as anybody knows.
    streams: bool,
    /// Streams in turn that broke without a key.
    barren: u32,
}

impl<'a> Attempt<'a> {
    fn new(connection: &'a Connection, options: &'a ReadOptions, sink: &'a mut dyn Sink) -> Attempt<'a> {
        let pace = |wanted: Wanted| if options.gentle { wanted.gently() } else { wanted };
        let todo = wanted().filter(|w| options.wants(w.input)).map(|w| ranges::opening(&pace(w))).collect();
        let facts = EtcdFacts { endpoints: connection.endpoints(), ..EtcdFacts::default() };
        let streams = options.streams && !options.gentle;
        Attempt { connection, options, sink, todo, forbidden: BTreeMap::new(), facts, keys: 0, streams, barren: 0 }
    }

    async fn run(mut self) -> Result<EtcdRead, ReadError> {
        let pin = match self.options.pin {
            Some(pin) => pin,
            None => self.fix_revision().await?,
        };
        self.facts.revision = pin.revision;
        self.facts.cluster_id = pin.cluster_id;
        // A set, because that ends its task when we fail. With a pin of the caller's an earlier read has learned it.
        let mut aside = JoinSet::new();
        let ask = self.options.pin.is_none();
        let _ = ask.then(|| aside.spawn(super::etcd_oldest::oldest_revision(self.connection.clone(), pin.revision)));
        self.read_rest(pin).await?;
        self.facts.compact_revision = aside.join_next().await.and_then(Result::ok).flatten();
        let inputs = self.coverage();
        Ok(EtcdRead { facts: self.facts, inputs, keys: self.keys })
    }

    /// Reads the first piece that may be read, without a revision: the answer's is the one for all others.
    async fn fix_revision(&mut self) -> Result<Pin, ReadError> {
        while let Some(span) = self.todo.pop_front() {
            let (span, answer) = page(self.connection.clone(), span, None).await;
            match answer {
                Ok(answer) => {
                    let header = header(&answer, &span)?;
                    self.facts.member_id = header.member_id();
                    self.facts.raft_term = etcd_term::vouched(self.connection, header).await.term;
                    let pin = Pin { revision: header.revision(), cluster_id: header.cluster_id() };
                    self.plan_rest(&span, &answer)?;
                    self.deliver(&answer);
                    return Ok(pin);
                }
                Err(trouble) if trouble.kind == TroubleKind::Forbidden => self.forbid(&span, trouble.error),
                // It is about the server, not about the key that happens to be the first.
                Err(trouble) => return Err(trouble.while_doing(DOING).into()),
            }
        }
        match self.forbidden.pop_first() {
            Some((_, (_, error))) => {
                Err(ReadError::Forbidden(Error { doing: "read anything of Calico's from etcd".to_owned(), ..error }))
            }
            None => Err(ReadError::Failed(Error::own("read from etcd: nothing was asked for"))),
        }
    }

    /// Everything else, some of it in flight. While one piece is decoded the next ones are already on their way.
    async fn read_rest(&mut self, pin: Pin) -> Result<(), ReadError> {
        let most = if self.options.gentle { 1 } else { self.options.concurrency.max(1) };
        let mut flight = JoinSet::new();
        loop {
            while flight.len() < most && self.send(&mut flight, pin) {}
            let Some(landed) = flight.join_next().await else { return Ok(()) };
            match landed.map_err(|e| ReadError::Failed(Error::own("read from etcd").cause(e)))? {
                Arrival::Page(span, Ok(answer)) => {
                    self.note_member(&answer);
                    self.plan_rest(&span, &answer)?;
                    // Before the decoding, so that the server has something to do meanwhile.
                    self.send(&mut flight, pin);
                    self.deliver(&answer);
                }
                Arrival::Chunk(streamed, answer) => {
                    self.note_member(&answer);
                    flight.spawn(streamed.next());
                    self.barren = if answer.kvs().is_empty() { self.barren } else { 0 };
                    self.deliver(&answer);
                }
                Arrival::End => {}
                Arrival::CannotStream(span) => {
                    self.streams = false;
                    self.todo.push_front(span);
                }
                Arrival::Broken(rest, trouble) => self.go_on(rest, trouble)?,
                Arrival::Page(span, Err(trouble)) if trouble.kind == TroubleKind::Forbidden => {
                    self.forbid(&span, trouble.error);
                }
                Arrival::Page(_, Err(trouble)) => return Err(trouble.into()),
            }
        }
    }

    /// Sends the next piece on its way, if there is one.
    fn send(&mut self, flight: &mut JoinSet<Arrival>, pin: Pin) -> bool {
        let Some(span) = self.next_span() else { return false };
        let connection = self.connection.clone();
        match self.streams && span.opening {
            true => flight.spawn(streams::begin(connection, span, pin)),
            false => flight.spawn(async move {
                let (span, answer) = page(connection, span, Some(pin)).await;
                Arrival::Page(span, answer)
            }),
        };
        true
    }

    /// Endpoints that are not streamed are cut as late as this: by now the blocks have told the namespaces.
    fn next_span(&mut self) -> Option<Span> {
        let span = self.todo.pop_front()?;
        if self.streams || !span.opening || span.wanted.key != ENDPOINTS {
            return Some(span);
        }
        let cuts = self.sink.endpoint_boundaries(span.wanted.in_range());
        let pieces = ranges::cut(span, &cuts);
        pieces.into_iter().rev().for_each(|piece| self.todo.push_front(piece));
        self.todo.pop_front()
    }

    /// With a pin of the caller's no earlier answer has told.
    fn note_member(&mut self, answer: &GetResponse) {
        if let (0, Some(header)) = (self.facts.member_id, answer.header()) {
            self.facts.member_id = header.member_id();
        }
    }

    /// A stream broke: what has not come is asked for again, by pages where a chunk was too large.
    fn go_on(&mut self, rest: Span, trouble: Trouble) -> Result<(), ReadError> {
        self.barren += 1;
        match trouble.kind {
            TroubleKind::Forbidden => self.forbid(&rest, trouble.error),
            TroubleKind::TooLarge => self.todo.push_front(Span { opening: false, ..rest }),
            _ if trouble.again() && self.barren <= BARREN => self.todo.push_front(rest),
            _ => return Err(trouble.into()),
        }
        Ok(())
    }

    /// What is left of the span goes to the front: the span is finished before another one is begun.
    fn plan_rest(&mut self, span: &Span, answer: &GetResponse) -> Result<(), ReadError> {
        let Some(last) = answer.kvs().last().filter(|_| answer.more() && !span.end.is_empty()) else {
            return Ok(());
        };
        let last_key = last.key();
        if last_key < span.start.as_slice() || last_key >= span.end.as_slice() {
            let error = Error::input(format!("read {}: an answer out of its range", span.wanted.input.word()));
            return Err(ReadError::Failed(error.at(span.wanted.key)));
        }
        let keys = answer.kvs().len() as i64;
        let page = PageMeasure { last_key, keys, bytes: size(answer), count: answer.count() };
        for piece in ranges::rest(span, &page).into_iter().rev() {
            self.todo.push_front(piece);
        }
        Ok(())
    }

    fn deliver(&mut self, answer: &GetResponse) {
        for kv in answer.kvs() {
            self.sink.kv(Kv {
                key: kv.key(),
                value: kv.value(),
                create_revision: kv.create_revision(),
                mod_revision: kv.mod_revision(),
                version: kv.version(),
            });
        }
        self.keys += answer.kvs().len() as u64;
        self.sink.page(self.keys);
    }

    /// The other pieces of this prefix are refused as well.
    fn forbid(&mut self, span: &Span, error: Error) {
        let wanted = span.wanted;
        self.todo.retain(|piece| piece.wanted != wanted);
        self.forbidden.entry(wanted.key).or_insert((wanted.input, error));
    }

    fn coverage(&self) -> Vec<(Input, InputState, String)> {
        let state = |input: Input| {
            let mut refused = self.forbidden.iter().filter(|(_, (i, _))| *i == input);
            let Some((_, (_, error))) = refused.next() else { return (input, InputState::Complete, String::new()) };
            let mut detail = crate::error::chain(error);
            for (key, _) in refused {
                detail.push_str("; the same for ");
                detail.push_str(key);
            }
            (input, InputState::Forbidden, detail)
        };
        INPUTS.into_iter().filter(|i| self.options.wants(*i)).map(state).collect()
    }
}

impl ReadOptions {
    fn wants(&self, input: Input) -> bool {
        self.inputs.is_empty() || self.inputs.contains(&input)
    }
}

/// One page; asks for less where it would be too much at once.
async fn page(connection: Connection, mut span: Span, pin: Option<Pin>) -> (Span, Result<GetResponse, Trouble>) {
    let doing = span.wanted.doing();
    loop {
        let mut options = GetOptions::new();
        if !span.end.is_empty() {
            options = options.with_range(span.end.clone()).with_limit(span.limit);
        }
        if let Some(pin) = pin {
            options = options.with_revision(pin.revision);
        }
        let answer = connection
            .call(&doing, |mut kv| {
                let (key, options) = (span.start.clone(), options.clone());
                async move { kv.get(key, Some(options)).await }
            })
            .await;
        match answer {
            Err(trouble) if trouble.kind == TroubleKind::TooLarge && span.limit > 1 => {
                span.limit = (span.limit / 8).max(1)
            }
            Err(trouble) => return (span, Err(trouble)),
            Ok(answer) => {
                let checked = match (header(&answer, &span), pin) {
                    (Err(trouble), _) => Err(trouble),
                    (Ok(header), Some(pin)) => pin.check(header, &doing),
                    (Ok(_), None) => Ok(()),
                };
                return (span, checked.map(|()| answer));
            }
        }
    }
}

fn header<'a>(answer: &'a GetResponse, span: &Span) -> Result<&'a ResponseHeader, Trouble> {
    let none = || Error::input(span.wanted.doing()).cause("an answer without a header");
    answer.header().ok_or_else(|| Trouble::other(none()))
}

/// A key that was read alone, as the decoders want it.
pub fn kv<'a>(key: &'a [u8], stored: &'a Stored) -> Kv<'a> {
    let Stored { value, create_revision, mod_revision, version } = stored;
    Kv { key, value, create_revision: *create_revision, mod_revision: *mod_revision, version: *version }
}

fn size(answer: &GetResponse) -> i64 {
    answer.kvs().iter().map(|kv| (kv.key().len() + kv.value().len()) as i64).sum()
}
