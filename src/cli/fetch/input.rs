//! Where URLs come from: the arguments, then the lines of a file or of standard input.
//!
//! A thread reads, so that fetching begins before the input ends and a slow terminal holds nothing
//! up. A line that is no URL is an entry like any other: it gets its row.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use tokio::sync::mpsc;

use crate::cli::failure::Failure;

/// One URL to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Counts arguments, then lines, from 0; blank lines and comments count.
    pub(crate) index: u64,
    pub(crate) place: Place,
    /// The URL as given, or the text that stood in its place.
    pub(crate) url: String,
    /// Why it cannot be a URL, if that is known already.
    pub(crate) fault: Option<String>,
}

/// Where a URL stood, from 1, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Argument(u64),
    Line(u64),
}

/// A file or standard input, opened.
pub(crate) struct Lines {
    name: String,
    reader: Box<dyn BufRead + Send>,
    /// How many entries there are, where that can be known beforehand.
    total: Option<u64>,
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            let reader = Box::new(BufReader::new(io::stdin()));
            return Ok(Self { name: "standard input".to_owned(), reader, total: None });
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| unreadable(&name, &error))?;
        if metadata.is_dir() {
            return Err(unreadable(&name, &io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let total = if metadata.is_file() {
            Some(count(path).map_err(|error| unreadable(&name, &error))?)
        } else {
            None
        };
        Ok(Self { name, reader: Box::new(BufReader::new(file)), total })
    }

    /// How many entries there are, where that can be known beforehand.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }
}

/// Starts to read; the channel ends with the input, or with the failure to read it.
pub(crate) fn start(
    urls: Vec<String>,
    lines: Option<Lines>,
) -> Result<mpsc::Receiver<Result<Entry, Failure>>, Failure> {
    let (sender, entries) = mpsc::channel(ENTRIES_MAX);
    let read = move || {
        let mut index = 0;
        for url in urls {
            let place = Place::Argument(index + 1);
            let entry = Entry { index, place, url, fault: None };
            if sender.blocking_send(Ok(entry)).is_err() {
                return;
            }
            index += 1;
        }
        let Some(Lines { name, reader, .. }) = lines else { return };
        let ended = each_entry(reader, index, |entry| sender.blocking_send(Ok(entry)).is_ok());
        if let Err(error) = ended {
            let _ = sender.blocking_send(Err(unreadable(&name, &error)));
        }
    };
    let thread = std::thread::Builder::new().name("spillgate-input".to_owned()).spawn(read);
    thread.map(|_| entries).map_err(|error| Failure::bug(format!("cannot start a thread: {error}")))
}

fn count(path: &Path) -> io::Result<u64> {
    let mut entries = 0;
    each_entry(BufReader::new(File::open(path)?), 0, |_| {
        entries += 1;
        true
    })?;
    Ok(entries)
}

/// Reads entry by entry, until the input ends or `take` wants no more.
fn each_entry(
    mut reader: impl BufRead,
    first: u64,
    mut take: impl FnMut(Entry) -> bool,
) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 0_u64.. {
        line.clear();
        let length = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        let is_cut = length as u64 == LINE_MAX && line.last() != Some(&b'\n');
        if is_cut {
            skip_line(&mut reader)?;
        }
        if number == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        let text = line.trim_ascii();
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        let fault = match std::str::from_utf8(text) {
            _ if is_cut => Some(format!("the line is longer than {LINE_MAX} bytes")),
            Ok(_) => None,
            Err(error) => {
                Some(format!("the line is not UTF-8 from byte {} on", error.valid_up_to()))
            }
        };
        let fault = fault.map(|fault| format!("{fault}; expected a URL"));
        // A line that is no URL is shown only as far as one would be.
        let shown = if is_cut { text.get(..SHOWN_MAX).unwrap_or(text) } else { text };
        let url = String::from_utf8_lossy(shown).into_owned();
        let entry = Entry { index: first + number, place: Place::Line(number + 1), url, fault };
        if !take(entry) {
            return Ok(());
        }
    }
    Ok(())
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
            let length = buffer.len();
            if length == 0 {
                return Ok(());
            }
            reader.consume(length);
            continue;
        };
        reader.consume(end + 1);
        return Ok(());
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("--input {name}: cannot be read: {error}"))
        .hint("it holds one URL a line; `-` is standard input")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// Entries read ahead of those accepted.
const ENTRIES_MAX: usize = 64;
/// The longest line that is looked at; the longest URL that is sent is an eighth of it.
const LINE_MAX: u64 = 64 * 1024;
/// What is shown of a longer line.
const SHOWN_MAX: usize = 256;
/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8]) -> Vec<(u64, String, bool)> {
        let mut entries = Vec::new();
        each_entry(input, 0, |entry| {
            entries.push((entry.index, entry.url, entry.fault.is_some()));
            true
        })
        .unwrap();
        entries
    }

    #[test]
    fn blank_lines_and_comments_count_but_are_no_entries() {
        let read = check(b"\xEF\xBB\xBFhttp://a/\r\n\n# no\n  http://b/  \n\t\nhttp://c/");
        let expected = [(0, "http://a/"), (3, "http://b/"), (5, "http://c/")];
        assert_eq!(read, expected.map(|(index, url)| (index, url.to_owned(), false)));
    }

    #[test]
    fn lines_that_are_no_text_or_too_long_are_entries_with_a_fault() {
        let mut input = b"http://\xFF/\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', 200_000));
        input.extend(b"\nhttp://a/\n");
        let read = check(&input);
        assert_eq!(read.len(), 3);
        assert_eq!((read[0].0, read[0].2), (0, true));
        assert_eq!((read[1].0, read[1].1.len(), read[1].2), (1, SHOWN_MAX, true));
        assert_eq!(read[2], (2, "http://a/".to_owned(), false));
    }
}
