//! Files that an editor or a shell wrote otherwise than the program that printed them: their first bytes tell.

/// How such a file is mended.
pub const HINT: &str = "save it as UTF-8 without a byte order mark, as in: iconv -f UTF-16 -t UTF-8 FILE > NEW; PowerShell: … | \
    Out-File -Encoding ascii FILE";

/// What these bytes are, where they begin with a byte order mark.
pub fn marked(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16, as PowerShell's > writes it, and not UTF-8"),
        [0xef, 0xbb, 0xbf, ..] => Some("it begins with a byte order mark"),
        _ => None,
    }
}
