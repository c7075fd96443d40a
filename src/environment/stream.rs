//! Files that people name and that are read as a stream, whatever their size: also a pipe (`<(zcat x.gz)`), and `-` for standard
//! input. Who waits for one that gives nothing is told what he waits for.

use std::fs::{File, Metadata};
use std::io::{Error, Read, Result, Stdin};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// So long nobody wonders.
const MOMENT: Duration = Duration::from_secs(2);

type Tell = Box<dyn Fn(&str) + Send + Sync>;

static TELL: OnceLock<Tell> = OnceLock::new();

/// Whom a wait is told; the first one counts.
pub fn tell_waits(tell: impl Fn(&str) + Send + Sync + 'static) {
    TELL.get_or_init(|| Box::new(tell));
}

/// Whether standard input is meant.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether it gives what it has but once: standard input, a pipe. `/dev/null` has the same for everybody: nothing.
pub fn is_read_once(path: &Path) -> bool {
    let about = |path| std::fs::metadata(path).is_ok_and(|about: Metadata| !about.is_file() && !about.is_dir());
    is_standard_input(path) || (path != Path::new("/dev/null") && about(path))
}

/// How such a file is called.
pub fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// What such a file is, in a word or two.
pub fn what(path: &Path) -> &'static str {
    const ITS_NAMES: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    match std::fs::metadata(path) {
        _ if is_standard_input(path) || ITS_NAMES.iter().any(|name| path == Path::new(name)) => "standard input",
        Ok(about) if !about.is_file() => "the pipe",
        _ => "the file",
    }
}

/// What is read bit by bit.
pub struct Stream {
    input: Box<dyn Read + Send>,
    waiting: Option<Waiting>,
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let read = self.input.read(bytes);
        drop(self.waiting.take());
        read
    }
}

/// Standard input, for the one flag that names it.
///
/// # Errors
/// Another one has read it already.
pub(super) fn standard_input() -> Result<Stdin> {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    match IS_TAKEN.swap(true, Ordering::Relaxed) {
        true => Err(Error::other("another flag has read standard input already: one alone can be -")),
        false => Ok(std::io::stdin()),
    }
}

/// Opens it. A pipe is waited for until somebody writes to it.
///
/// # Errors
/// As the file system's, and a standard input that was read already.
pub fn open(path: &Path) -> Result<Stream> {
    let waiting = Some(Waiting::on(path));
    let input: Box<dyn Read + Send> = match is_standard_input(path) {
        true => Box::new(standard_input()?),
        false => Box::new(File::open(path)?),
    };
    Ok(Stream { input, waiting })
}

/// Whether it could be opened, without waiting for anybody: a pipe is there, and no more is asked of it.
///
/// # Errors
/// As the file system's.
pub fn may_be_opened(path: &Path) -> Result<()> {
    if is_standard_input(path) || !std::fs::metadata(path)?.is_file() {
        return Ok(());
    }
    File::open(path).map(drop)
}

/// While it lives a wait is told after a moment; nothing of a regular file, which is never waited for.
pub struct Waiting {
    /// Gone with it, which its thread hears.
    _alive: Option<Sender<()>>,
}

impl Waiting {
    /// For what is opened and read next.
    pub fn on(path: &Path) -> Waiting {
        if !is_standard_input(path) && std::fs::metadata(path).is_ok_and(|about| about.is_file() || about.is_dir()) {
            return Waiting { _alive: None };
        }
        Waiting::told(format!("{}, which has given nothing yet", name(path)))
    }

    /// For a program that the user's configuration names.
    pub fn on_program(what: &str) -> Waiting {
        Waiting::told(format!("{what} to end"))
    }

    fn told(what: String) -> Waiting {
        let (alive, gone) = mpsc::channel();
        let tell = move || {
            let over = gone.recv_timeout(MOMENT) == Err(RecvTimeoutError::Timeout);
            if let Some(tell) = TELL.get().filter(|_| over) {
                tell(&format!("waiting for {what}; Ctrl-C ends this"));
            }
        };
        // Where no thread can be had nobody is told, and the file is read all the same.
        let told = std::thread::Builder::new().name("waiting".to_owned()).spawn(tell);
        Waiting { _alive: told.is_ok().then_some(alive) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_never_waited_for_and_an_absent_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "four").unwrap();
        assert!(Waiting::on(&file)._alive.is_none() && Waiting::on(Path::new("-"))._alive.is_some());
        let mut text = String::new();
        open(&file).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), name(Path::new("-")).as_str()), ("four", "standard input"));
        may_be_opened(&file).unwrap();
        may_be_opened(Path::new("-")).unwrap();
        let absent = folder.path().join("absent");
        let once = [Path::new("-"), Path::new("/dev/zero")].map(is_read_once);
        let again = [&file, folder.path(), &absent, Path::new("/dev/null")].map(is_read_once);
        assert_eq!((once, again), ([true; 2], [false; 4]));
        assert!(open(&absent).is_err() && may_be_opened(&absent).is_err());
    }
}
