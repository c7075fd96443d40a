//! A connection that did not come about, in the system's own few words.

use std::error::Error as StdError;
use std::io;

/// How hyper's connector begins; below it stands what the system said.
const CONNECTOR: &str = "tcp connect error";

/// `connection refused`; `None` when the connection failed for another reason, or came about and broke.
pub fn unreached(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut connects = false;
    let mut said = None;
    let mut next = Some(error);
    while let Some(cause) = next {
        connects |= cause.to_string().starts_with(CONNECTOR);
        said = cause.downcast_ref::<io::Error>().or(said);
        next = cause.source();
    }
    let text = said.filter(|said| connects && said.raw_os_error().is_some())?.to_string();
    // The number says nothing to those who do not know it, and nothing new to those who do.
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(std::iter::once(first).chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_refused_connection_is_told_in_two_words_and_what_broke_later_is_not() {
        let refused = || io::Error::from_raw_os_error(111);
        let connect = |cause: io::Error| Error::own("reach it").cause(Connector(cause));
        assert_eq!(unreached(&connect(refused())).as_deref(), Some("connection refused"));
        assert_eq!(unreached(&Error::own("reach it").cause(refused())), None, "not by the connector");
        assert_eq!(unreached(&connect(io::Error::other("frozen"))), None, "not the system's");
    }

    #[derive(Debug)]
    struct Connector(io::Error);

    impl std::fmt::Display for Connector {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(CONNECTOR)
        }
    }

    impl StdError for Connector {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
}
