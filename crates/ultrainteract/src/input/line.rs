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
    /// More than [`MAX_LINE_BYTES`] without an end; the rest of the line is still there.
    TooLong,
}

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
    Ok(if bytes.len() - start > MAX_LINE_BYTES {
        NextLine::TooLong
    } else {
        NextLine::Whole
    })
}
