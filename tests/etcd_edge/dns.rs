//! A DNS server on loopback that knows some SRV records and nothing else (RFC 1035, RFC 2782; UDP only).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Priority, weight, port, host.
pub type Record = (u16, u16, u16, &'static str);

pub struct Dns {
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Dns {
    /// Answers for these names (without the root's dot); every other name does not exist.
    pub fn start(zone: Vec<(&'static str, Vec<Record>)>) -> Dns {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a loopback port");
        // So that the thread sees its end.
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a read timeout");
        let address = socket.local_addr().expect("its address");
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while !ends.load(Ordering::Relaxed) {
                let Ok((size, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some(answer) = answer(&packet[..size], &zone) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { address, over }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn answer(query: &[u8], zone: &[(&str, Vec<Record>)]) -> Option<Vec<u8>> {
    let (name, end) = question_name(query)?;
    let question = query.get(12..end + 4)?;
    let found = zone.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|(_, records)| records.as_slice());
    let records = found.unwrap_or_default();
    let mut reply = query.get(..2)?.to_vec();
    // An answer, recursion available; code 3: no such name.
    reply.extend([0x81, if found.is_some() { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    reply.extend(question);
    for (priority, weight, port, host) in records {
        let mut data: Vec<u8> = [*priority, *weight, *port].iter().flat_map(|n| n.to_be_bytes()).collect();
        for label in host.split('.') {
            data.push(label.len() as u8);
            data.extend(label.bytes());
        }
        data.push(0);
        // The name is the question's (a pointer to it); SRV, IN, 60 seconds.
        reply.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        reply.extend(data);
    }
    Some(reply)
}

/// The name and where it ends.
fn question_name(query: &[u8]) -> Option<(String, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}
