use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::source::node::messages::{self, IpFamily, LinkNames, NEW_LINK, NEW_NSID, NEW_ROUTE};

/// A kernel whose answers are written down. Each socket has its own; what is sent is counted.
#[derive(Default)]
struct Written {
    answers: VecDeque<Result<Vec<u8>>>,
    sequence: u32,
    /// Of the first answer this much does not fit.
    too_much: usize,
}

impl Wire for Written {
    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.sequence = u32::from_ne_bytes(request[8..12].try_into().unwrap());
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> Result<usize> {
        let mut answer = self.answers.pop_front().unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))?;
        // The answers are to whatever was asked, but for those of another question.
        let mut at = 0;
        while let Some(head) = answer.get_mut(at..at + 16) {
            let length = u32::from_ne_bytes(head[..4].try_into().unwrap()) as usize;
            if head[8..12] == [0; 4] {
                head[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
            }
            at += length.max(16).next_multiple_of(4);
        }
        into.clear();
        into.extend_from_slice(&answer);
        Ok(answer.len() + self.too_much)
    }
}

const MULTI: u16 = 2;

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn entry(byte: u8) -> Vec<u8> {
    message(NEW_LINK, MULTI, &[byte])
}

fn done(code: i32, flags: u16) -> Vec<u8> {
    message(NLMSG_DONE, MULTI | flags, &code.to_ne_bytes())
}

/// What a dump says of sockets that answer so, one after the other, and how many were opened.
fn dumped(sockets: Vec<Vec<Result<Vec<u8>>>>) -> (std::result::Result<Vec<u8>, NotAnswered>, usize) {
    let mut opened = 0;
    let mut sockets: VecDeque<Written> =
        sockets.into_iter().map(|answers| Written { answers: answers.into(), ..Written::default() }).collect();
    let mut talk = Talk::new(|| {
        opened += 1;
        Ok(sockets.pop_front().unwrap_or_default())
    });
    let read = talk.dump(&messages::links(None), NEW_LINK, |body| Ok(body.first().copied()));
    drop(talk);
    (read.failure.map_or(Ok(read.had), Err), opened)
}

fn why(answers: Vec<Vec<u8>>) -> String {
    dumped(vec![answers.into_iter().map(Ok).collect()]).0.unwrap_err().why
}

#[test]
fn a_dump_ends_with_done_and_nothing_else() {
    let whole = vec![Ok([entry(1), entry(2)].concat()), Ok([entry(3), done(0, 0)].concat())];
    assert_eq!(dumped(vec![whole]), (Ok(vec![1, 2, 3]), 1));
    assert_eq!(dumped(vec![vec![Ok(done(0, 0))]]), (Ok(Vec::new()), 1), "empty is empty");
    assert_eq!(why(vec![entry(1)]), "the kernel did not answer");
    assert_eq!(why(vec![entry(1), message(NLMSG_DONE, MULTI, &[])]), "the answer does not say how it ended");
    let agreed = message(NLMSG_ERROR, 0, &[0; 20]);
    assert_eq!(why(vec![agreed]), "the kernel agreed and listed nothing");
}

/// The one that looks like an empty list to whoever does not read the code.
#[test]
fn a_refused_dump_is_not_empty() {
    let refused = dumped(vec![vec![Ok(done(-13, 0))]]).0.unwrap_err();
    assert_eq!((refused.errno, refused.why.as_str()), (Some(13), "Permission denied (os error 13)"));
    assert!(refused.is_forbidden());
    // After half of the list too.
    assert_eq!(why(vec![[entry(1), done(-22, 0)].concat()]), "Invalid argument (os error 22)");
    let mut body = (-22i32).to_ne_bytes().to_vec();
    body.extend([16u32.to_ne_bytes().as_slice(), &[0; 12]].concat());
    body.extend([12u16.to_ne_bytes(), 1u16.to_ne_bytes()].concat());
    body.extend(b"no such\0");
    assert_eq!(why(vec![message(NLMSG_ERROR, NLM_F_ACK_TLVS, &body)]), "Invalid argument (os error 22): no such");
    assert_eq!(why(vec![message(NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, &body)]).matches("no such").count(), 1);
}

#[test]
fn a_torn_dump_is_begun_again_on_another_socket_and_at_last_not_read() {
    let torn = || vec![Ok(message(NEW_LINK, MULTI | NLM_F_DUMP_INTR, &[9])), Ok(done(0, 0))];
    let at_the_end = || vec![Ok([entry(9), done(0, NLM_F_DUMP_INTR)].concat())];
    let whole = || vec![Ok([entry(1), done(0, 0)].concat())];
    assert_eq!(dumped(vec![torn(), at_the_end(), whole()]), (Ok(vec![1]), 3));
    let lost = || vec![Ok(entry(9)), Err(Error::from_raw_os_error(Errno::NOBUFS.raw_os_error()))];
    assert_eq!(dumped(vec![lost(), vec![Ok(message(NLMSG_OVERRUN, 0, &[]))], whole()]), (Ok(vec![1]), 3));
    assert_eq!(dumped(vec![vec![Ok(done(-4, 0))], whole()]), (Ok(vec![1]), 2));
    let (read, opened) = dumped((0..9).map(|_| torn()).collect());
    assert_eq!((read.unwrap_err().why.as_str(), opened), ("it was changed while it was read, 5 times", 5));
}

#[test]
fn a_part_is_not_the_whole() {
    // Linux 6.18 marks so each route of a whole list that is asked for with strict checking, and not its end.
    let marked = message(NEW_LINK, MULTI | NLM_F_DUMP_FILTERED, &[1]);
    assert_eq!(dumped(vec![vec![Ok([marked, done(0, 0)].concat())]]), (Ok(vec![1]), 1));
    assert_eq!(why(vec![[entry(1), done(0, NLM_F_DUMP_FILTERED)].concat()]), "the kernel listed only a part");
    assert!(why(vec![vec![7; 5]]).starts_with("an answer is damaged"));
    let mut cut = entry(1);
    cut.truncate(17);
    cut[0] = 99;
    assert!(why(vec![cut]).starts_with("an answer is damaged"));
    let mut talk = Talk::new(|| {
        Ok(Written { answers: vec![Ok([entry(1), done(0, 0)].concat())].into(), too_much: 8, ..Written::default() })
    });
    let read = talk.dump(&messages::links(None), NEW_LINK, |_| Ok(Some(())));
    assert_eq!(read.failure.unwrap().why, "an answer of 48 bytes was cut off at 40");
    let bad = dumped(vec![vec![Ok(entry(1))]]);
    assert!(bad.0.is_err());
}

/// An entry that is not understood, a refusal in the midst of a list and one that stays torn cost the rest, and no more: what
/// was had forbids releases.
#[test]
fn what_was_had_of_a_list_is_kept_beside_why_it_is_not_all() {
    let listed = |answers: Vec<Vec<u8>>| {
        let mut answers: Option<VecDeque<_>> = Some(answers.into_iter().map(Ok).collect());
        let mut talk = Talk::new(|| Ok(Written { answers: answers.take().unwrap_or_default(), ..Written::default() }));
        talk.dump(&messages::links(None), NEW_LINK, |body| match body.first() {
            Some(7) => Err("banana".to_owned()),
            byte => Ok(byte.copied()),
        })
    };
    let told = |answers| {
        let listed: KernelList<u8> = listed(answers);
        (listed.had.clone(), listed.dumped().failure().map(|why| why.raw().to_owned()))
    };
    let not_understood = Some("2 of 4 entries are not understood: banana".to_owned());
    let bad = vec![[entry(1), entry(7)].concat(), [entry(7), entry(2), done(0, 0)].concat()];
    assert_eq!(told(bad), (vec![1, 2], not_understood));
    let refused = told(vec![[entry(1), done(-13, 0)].concat()]);
    assert_eq!(refused, (vec![1], Some("Permission denied (os error 13)".to_owned())));
    assert_eq!(told(vec![[entry(1), done(0, 0)].concat()]), (vec![1], None));
    assert!(matches!(listed(vec![[entry(7), done(0, 0)].concat()]).dumped(), Dump::NotRead(_)));
}

#[test]
fn signals_and_what_is_meant_for_others_are_passed_over() {
    let mut others = entry(9);
    others[8..12].copy_from_slice(&77u32.to_ne_bytes());
    let mut others_done = done(0, 0);
    others_done[8..12].copy_from_slice(&77u32.to_ne_bytes());
    let answers = vec![
        Err(ErrorKind::Interrupted.into()),
        Ok([others, others_done].concat()),
        Ok([message(NLMSG_NOOP, 0, &[]), message(NEW_ROUTE, MULTI, &[5]), entry(1), done(0, 0)].concat()),
    ];
    assert_eq!(dumped(vec![answers]), (Ok(vec![1]), 1));
}

#[test]
fn one_question_has_one_answer() {
    let ask = |answer: Vec<u8>| {
        let mut answer = Some(answer);
        let mut talk =
            Talk::new(|| Ok(Written { answers: answer.take().map(Ok).into_iter().collect(), ..Written::default() }));
        talk.ask(&messages::nsid(netlink_packet_route::nsid::NsidAttribute::Pid(1)), NEW_NSID, messages::nsid_of)
    };
    let number = |nsid: i32| {
        [&[0; 4], [8u16.to_ne_bytes(), 1u16.to_ne_bytes()].concat().as_slice(), &nsid.to_ne_bytes()].concat()
    };
    assert_eq!(ask(message(NEW_NSID, 0, &number(7))), Ok(Some(7)));
    assert_eq!(ask(message(NEW_NSID, 0, &number(-1))), Ok(None));
    let errno = |answer| ask(answer).unwrap_err().errno;
    assert_eq!(errno(message(NLMSG_ERROR, 0, &[(-3i32).to_ne_bytes().as_slice(), &[0; 16]].concat())), Some(3));
    assert_eq!(errno(message(NLMSG_ERROR, 0, &[0; 20])), None);
}

proptest! {
    /// Whatever comes from the kernel, or from who says to be it.
    #[test]
    fn any_bytes_are_an_answer_or_none(
        answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
    ) {
        drop(dumped(vec![answers.into_iter().map(Ok).collect()]));
    }

    /// The same in whole messages, so that their bodies are looked at.
    #[test]
    fn any_body_is_an_entry_or_none(body in prop::collection::vec(any::<u8>(), 0..120), small in any::<bool>()) {
        // Small lengths of attributes are what passes for attributes.
        let body: Vec<u8> = if small { body.iter().map(|byte| byte % 24).collect() } else { body };
        let mut names = LinkNames::default();
        drop(messages::link(&body));
        drop(messages::nsid_of(&body));
        for family in [IpFamily::V4, IpFamily::V6] {
            drop(messages::own_address(&body, family, &mut names));
            drop(messages::route(&body, family, &mut names));
            drop(messages::neighbour(&body, family, &mut names));
            let number = if family == IpFamily::V4 { 2 } else { 10 };
            let with_family: Vec<u8> = std::iter::once(number).chain(body.iter().copied()).collect();
            drop(messages::own_address(&with_family, family, &mut names));
            drop(messages::route(&with_family, family, &mut names));
            drop(messages::neighbour(&with_family, family, &mut names));
        }
        drop(dumped(vec![vec![Ok([message(NEW_LINK, MULTI, &body), message(NLMSG_ERROR, NLM_F_ACK_TLVS, &body)].concat())]]));
    }
}
