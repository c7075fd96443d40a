//! An HTTP/1.1 server in this process that answers as a test says: one thread a connection, on a free loopback port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What somebody asks for.
pub struct Asked {
    /// With its query.
    pub path: String,
    /// As they came.
    pub headers: Vec<String>,
}

/// What the server does about one request.
pub enum Answer {
    Whole {
        code: u16,
        kind: &'static str,
        /// Beside the type and the length of the body.
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The answer begins and the connection is cut.
    Cut,
    /// Nothing, until the client goes away.
    Hang,
    /// The connection is closed without a word.
    HangUp,
}

pub struct Http {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Http {
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Http {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let (answer, opened) = (Arc::new(answer), open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.lock().unwrap().push(stream.try_clone().unwrap());
                let answer = answer.clone();
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Http { port, open }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Cuts every connection that is open.
    pub fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

/// Requests of one connection, until something breaks.
fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> Answer) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = || {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line.trim_end().to_owned())
        };
        let path = line()?.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            match line()? {
                empty if empty.is_empty() => break,
                header => headers.push(header),
            }
        }
        match answer(&Asked { path, headers }) {
            Answer::Whole { code, kind, headers, body } => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {code} X\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).ok()?;
            }
            Answer::Cut => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"kind\"";
                stream.write_all(head.as_bytes()).ok()?;
                return hang_up(&stream);
            }
            Answer::Hang => {
                let _ = lines.read(&mut [0]);
                return hang_up(&stream);
            }
            Answer::HangUp => return hang_up(&stream),
        }
    }
}

/// Another handle of the connection is kept, so dropping this one closes nothing.
fn hang_up(stream: &TcpStream) -> Option<()> {
    stream.shutdown(Shutdown::Both).ok()
}
