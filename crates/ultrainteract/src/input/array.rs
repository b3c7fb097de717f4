//! The elements of a file that is one JSON array, without the file in memory.

use std::io::BufRead;
use std::path::Path;

use super::Place;
use super::line::KEPT_BYTES;
use super::source::{Batch, RawRecord, rest_not_read};
use crate::formats::MAX_LINE_BYTES;
use crate::{Error, Result};

/// Cuts an array into the bytes of its elements. Only brackets, strings and commas are looked at;
/// whether an element is JSON is for its parser to say.
pub(crate) struct ArrayElements<R> {
    input: R,
    element: u64,
    state: State,
    /// Bytes of text so far.
    read: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening bracket.
    Start,
    /// Inside the array.
    Inside,
    /// After the closing bracket.
    Closed,
    /// At the end of a file that has none.
    CutOff,
}

impl<R: BufRead> ArrayElements<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            element: 0,
            state: State::Start,
            read: 0,
        }
    }

    /// Adds elements until the batch has this many bytes or the array ends.
    pub fn fill(&mut self, path: &Path, batch_bytes: usize, batch: &mut Batch) -> Result<()> {
        while batch.bytes.len() < batch_bytes && self.next(path, batch)? {}
        Ok(())
    }

    /// Adds the next element to the batch; false at the end of the file.
    fn next(&mut self, path: &Path, batch: &mut Batch) -> Result<bool> {
        let start = batch.bytes.len();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        // Bytes of an element that is too long that are not kept.
        let mut passed_over = 0;
        let place = Place::Element(self.element + 1);
        loop {
            let buffer = self
                .input
                .fill_buf()
                .map_err(|error| rest_not_read(self.read, path, place, error))?;
            if buffer.is_empty() && self.state == State::Closed {
                return Ok(false);
            }
            if buffer.is_empty() {
                let cut_off = &batch.bytes[start..];
                let whole = depth == 0 && !in_string && passed_over == 0;
                if !whole || cut_off.trim_ascii().is_empty() {
                    let bytes = passed_over + cut_off.len() as u64;
                    batch.bytes.truncate(start);
                    return Err(Error::ArrayNotClosed { bytes }.at(path, place));
                }
                // Only the bracket is missing; the next call says so.
                self.state = State::CutOff;
                self.element += 1;
                let record = RawRecord::whole(start..batch.bytes.len());
                batch.records.push((place, record));
                return Ok(true);
            }
            // The number of bytes looked at, and whether an element ended there.
            let (mut used, mut ended, mut after) = (0, false, false);
            for &byte in buffer {
                used += 1;
                let keep = match (self.state, byte) {
                    (State::Start, b'[') => {
                        self.state = State::Inside;
                        false
                    }
                    // White space or a byte-order mark: what else is there has been looked at.
                    (State::Start, _) => false,
                    (State::Closed, byte) if byte.is_ascii_whitespace() => false,
                    (State::Closed | State::CutOff, _) => {
                        after = true;
                        break;
                    }
                    (State::Inside, _) if in_string => {
                        in_string = escaped || byte != b'"';
                        escaped = byte == b'\\' && !escaped;
                        true
                    }
                    (State::Inside, b',' | b']') if depth == 0 => {
                        if byte == b']' {
                            self.state = State::Closed;
                        }
                        ended = true;
                        false
                    }
                    (State::Inside, byte) => {
                        match byte {
                            b'"' => in_string = true,
                            b'{' | b'[' => depth += 1,
                            b'}' | b']' => depth = depth.saturating_sub(1),
                            _ => {}
                        }
                        true
                    }
                };
                if keep {
                    batch.bytes.push(byte);
                }
                if ended {
                    break;
                }
            }
            if after {
                let unread = 1 + (buffer.len() - used) as u64;
                let seen = buffer.len();
                self.input.consume(seen);
                let rest = std::io::copy(&mut self.input, &mut std::io::sink());
                let bytes = unread + rest.unwrap_or(0);
                return Err(Error::AfterArray { bytes }.at(path, place));
            }
            self.input.consume(used);
            self.read += used as u64;
            let kept = batch.bytes.len() - start;
            if kept > MAX_LINE_BYTES || (passed_over > 0 && kept > KEPT_BYTES) {
                passed_over += (kept - KEPT_BYTES) as u64;
                batch.bytes.truncate(start + KEPT_BYTES);
                batch.bytes.shrink_to(start + KEPT_BYTES);
            }
            if !ended {
                continue;
            }
            if batch.bytes[start..].trim_ascii().is_empty() {
                batch.bytes.truncate(start);
                if self.state == State::Closed && self.element == 0 {
                    continue; // an empty array; what follows must be white space
                }
                self.element += 1;
                let nothing = RawRecord {
                    bytes: start..start,
                    fault: Some(Error::EmptyElement),
                };
                batch.records.push((place, nothing));
                return Ok(true);
            }
            self.element += 1;
            let bytes = start..batch.bytes.len();
            let fault = (passed_over > 0).then(|| Error::RecordTooLong {
                bytes: passed_over + bytes.len() as u64,
                limit: MAX_LINE_BYTES,
            });
            batch.records.push((place, RawRecord { bytes, fault }));
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<String>> {
        let mut array = ArrayElements::new(text.as_bytes());
        let mut batch = Batch::default();
        let file = Path::new("x.json");
        array.fill(file, usize::MAX, &mut batch)?;
        let records = batch.records.into_iter();
        let text = |(place, record): (Place, RawRecord)| match record.fault {
            Some(fault) => Err(fault.at(file, place)),
            None => {
                let text = String::from_utf8_lossy(&batch.bytes[record.bytes]);
                Ok(text.trim().to_string())
            }
        };
        records.map(text).collect()
    }

    #[test]
    fn elements_are_cut_at_the_commas_between_them() {
        let text = r#" [ {"a": "],\"[{", "b": [1, 2]} , 3,
            "x" ] "#;
        let cut = elements(text).expect("an array");
        assert_eq!(cut, [r#"{"a": "],\"[{", "b": [1, 2]}"#, "3", "\"x\""]);
        assert_eq!(elements("[]\n").expect("an array"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_array_is_named_by_element() {
        for (text, said) in [
            (
                "[1, {\"a\": 2",
                "element 2 of x.json: the array is not closed, and its last 8 bytes are no whole element",
            ),
            (
                "[1, 2",
                "element 3 of x.json: the array is not closed, and its last 0 bytes",
            ),
            (
                "[1,,2]",
                "element 2 of x.json: there is nothing between two commas",
            ),
            (
                "[1] 2 and more",
                "element 2 of x.json: there is text after the array, 10 bytes that",
            ),
            ("[1,]", "element 2 of x.json: there is nothing"),
        ] {
            let error = elements(text).expect_err(text).to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
