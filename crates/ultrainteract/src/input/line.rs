//! One line of a text file, however long.

use std::io::{BufRead, Read, Result};

use crate::formats::MAX_LINE_BYTES;

/// The byte order mark of UTF-8, which some editors put before the first line.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The result of [`next_line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextLine {
    /// Nothing: the file is at its end.
    None,
    /// A line.
    Whole,
    /// A line of so many bytes, more than [`MAX_LINE_BYTES`]. It was passed over; the first ones were kept.
    TooLong(u64),
}

/// Bytes of a record that is too long that are kept, to know it again.
pub(crate) const KEPT_BYTES: usize = 1 << 10;

/// Appends the next line to `bytes`, without the line feed.
pub(crate) fn next_line(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> Result<NextLine> {
    let start = bytes.len();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if input.take(limit).read_until(b'\n', bytes)? == 0 {
        return Ok(NextLine::None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.len() - start <= MAX_LINE_BYTES {
        return Ok(NextLine::Whole);
    }
    let mut length = (bytes.len() - start) as u64;
    bytes.truncate(start + KEPT_BYTES);
    bytes.shrink_to(start + KEPT_BYTES);
    let skipped = input.skip_until(b'\n')? as u64;
    // Without the line feed, which the last line of a file may lack.
    length += skipped.saturating_sub(1);
    Ok(NextLine::TooLong(length))
}
