//! One error type for all edges: what we were doing, to which endpoint or key, the cause, one hint; and whose fault it is.
//!
//! Never put a secret into any of the four parts: they are printed and may be stored.

use std::error::Error as StdError;
use std::fmt;

/// Whose fault an error is. Said where it arises, by the constructor; the exit code is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The command line is wrong or contradicts itself: usage.
    User,
    /// A setting that stands elsewhere: a variable, a configuration file, a certificate.
    Configuration,
    /// Something outside did not do what we asked of it, or is damaged: etcd, Kubernetes, a file, the history, a stream.
    Input,
    /// What should never be: ours.
    Own,
}

/// What could not be done. There is none without a [`Fault`].
#[derive(Debug)]
pub struct Error {
    pub fault: Fault,
    /// Fits after "cannot": `read the blocks`, `open the history`.
    pub doing: String,
    /// Endpoint, key or file; empty when there is none.
    pub at: String,
    pub cause: Option<Box<dyn StdError + Send + Sync>>,
    /// What to try or to look at; empty when we have no idea.
    pub hint: String,
}

impl Error {
    /// [`Fault::User`], while doing `doing` (fits after "cannot").
    pub fn user(doing: impl Into<String>) -> Error {
        Error::of(Fault::User, doing.into())
    }

    /// [`Fault::Configuration`]. Name the file or variable, or the flags that go in its place.
    pub fn configuration(doing: impl Into<String>) -> Error {
        Error::of(Fault::Configuration, doing.into())
    }

    /// [`Fault::Input`].
    pub fn input(doing: impl Into<String>) -> Error {
        Error::of(Fault::Input, doing.into())
    }

    /// [`Fault::Own`].
    pub fn own(doing: impl Into<String>) -> Error {
        Error::of(Fault::Own, doing.into())
    }

    fn of(fault: Fault, doing: String) -> Error {
        Error { fault, doing, at: String::new(), cause: None, hint: String::new() }
    }

    /// Names the endpoint, key or file.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Error {
        self.at = at.into();
        self
    }

    /// Adds what went wrong below.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.cause = Some(cause.into());
        self
    }

    /// The same error told once more, its chain as text: for an error that is kept and met again.
    pub fn again(&self) -> Error {
        let cause = self.cause.as_deref().map(|c| chain(c).into());
        Error { fault: self.fault, doing: self.doing.clone(), at: self.at.clone(), cause, hint: self.hint.clone() }
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if !self.at.is_empty() {
            write!(f, " ({})", self.at)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|c| c as &(dyn StdError + 'static))
    }
}

/// The whole chain in one line, each cause once: libraries repeat their causes in their own text.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_everything_once() {
        let below = Error::input("reach it").cause("connection refused");
        let error = Error::input("read the blocks").at("https://10.0.0.1:2379").cause(below);
        assert_eq!(
            chain(&error),
            "cannot read the blocks (https://10.0.0.1:2379): cannot reach it: connection refused"
        );
    }
}
