//! Whether the bytes of a connection can be read in one way only.
//!
//! Two readers of one connection that disagree where a request ends see different requests, and what
//! one of them takes for a body the other serves. So what comes in over HTTP/1 is read here before
//! the engine has it, by the letter of RFC 9112 and without its leniences: whatever any reader is
//! known to take in another way is a [`Flaw`], and nothing after a flaw is read at all. The rest is
//! an engine's business: nothing is kept but a place and some counters, and no byte is copied.

mod chunks;
mod fields;
mod head;
pub mod patience;
mod word;

use self::chunks::Chunks;
use self::head::{Head, Rest};

/// Reads one connection, as its bytes come.
#[derive(Debug, Clone)]
pub struct Framing {
    state: State,
    heads: u64,
}

#[derive(Debug, Clone)]
enum State {
    /// So many bytes are those with which HTTP/2 begins.
    Preface(usize),
    Head(Head),
    Length(u64),
    Chunks(Chunks),
    Opaque(Stage),
    Flawed(Flaw),
}

/// What comes next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another request, of which no byte has come.
    Between,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Frames of HTTP/2, which are not read here.
    Frames,
    /// Anything: behind a head of `CONNECT` nothing is a request.
    Tunnel,
}

/// Why a connection is read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// How many of the bytes that were read last are without fault.
    pub at: usize,
    /// Whether it is in a body: its head was without fault.
    pub in_body: bool,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a request, as far as its ends are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request line: its parts, the blanks between them, or its version.
    RequestLine,
    /// A line that does not end in CR LF, or a CR elsewhere.
    LineEnd,
    /// A line that goes on in the next one.
    Folded,
    /// A field's name, or a blank before its colon.
    FieldName,
    /// A control character in a value.
    FieldValue,
    /// A length that is none, or more than one.
    Length,
    /// A coding other than `chunked`, more than one, or one in HTTP/1.0.
    Coding,
    /// A length and a coding.
    BothLengths,
    /// A body where there can be none.
    Body,
    /// A chunk's size, its extensions, or what ends it.
    Chunk,
}

impl Framing {
    /// The begin of a connection.
    pub fn new() -> Self {
        Self { state: State::Preface(0), heads: 0 }
    }

    /// Reads what came; after a flaw it is nothing any more.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.step(rest) {
                Ok(after) => rest = after,
                Err(fault) => {
                    let at = bytes.len() - rest.len();
                    return Err(self.stop(at, fault));
                }
            }
        }
        Ok(())
    }

    /// What comes next.
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Preface(0) => Stage::Between,
            State::Head(head) if head.is_empty() => Stage::Between,
            State::Flawed(flaw) if flaw.in_body => Stage::Body,
            State::Preface(_) | State::Head(_) | State::Flawed(_) => Stage::Head,
            State::Length(_) | State::Chunks(_) => Stage::Body,
            State::Opaque(stage) => *stage,
        }
    }

    /// How many heads have come whole.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Reads at least one byte of some; what is left of them. A fault is in the first byte.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        match &mut self.state {
            State::Preface(came) => {
                let expected = PREFACE.get(*came..).unwrap_or_default();
                let alike = expected.iter().zip(bytes).take_while(|(one, other)| one == other);
                let alike = alike.count();
                *came += alike;
                if *came == PREFACE.len() {
                    self.state = State::Opaque(Stage::Frames);
                } else if alike == 0 {
                    self.state = State::Head(read_again(*came)?);
                }
                Ok(bytes.get(alike..).unwrap_or_default())
            }
            State::Head(head) => {
                let (after, rest) = head.step(bytes)?;
                if let Some(rest) = rest {
                    self.heads += 1;
                    self.state = follow(rest);
                }
                Ok(after)
            }
            State::Length(left) => {
                let after = skip(left, bytes);
                if *left == 0 {
                    self.state = State::Head(Head::default());
                }
                Ok(after)
            }
            State::Chunks(chunks) => {
                let (after, ended) = chunks.step(bytes)?;
                if ended {
                    self.state = State::Head(Head::default());
                }
                Ok(after)
            }
            State::Opaque(_) => Ok(&[]),
            State::Flawed(flaw) => Err(flaw.fault),
        }
    }

    fn stop(&mut self, at: usize, fault: Fault) -> Flaw {
        let in_body = self.stage() == Stage::Body;
        let flaw = Flaw { at, in_body, fault };
        self.state = State::Flawed(flaw);
        flaw
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

fn follow(rest: Rest) -> State {
    match rest {
        Rest::Nothing | Rest::Length(0) => State::Head(Head::default()),
        Rest::Length(length) => State::Length(length),
        Rest::Chunks => State::Chunks(Chunks::default()),
        Rest::Tunnel => State::Opaque(Stage::Tunnel),
    }
}

/// A head of which so many bytes were taken for the begin of HTTP/2.
fn read_again(came: usize) -> Result<Head, Fault> {
    let mut head = Head::default();
    let mut bytes = PREFACE.get(..came).unwrap_or_default();
    while !bytes.is_empty() {
        bytes = head.step(bytes)?.0;
    }
    Ok(head)
}

/// Leaves out as many bytes as are left to leave out.
fn skip<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= here as u64;
    bytes.get(here..).unwrap_or_default()
}

/// The bytes of one kind that come first, if any do, and the rest.
fn run(bytes: &[u8], kind: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| !kind(*byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(end).filter(|(first, _)| !first.is_empty())
}

/// A character of a name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    let others = matches!(
        byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    );
    byte.is_ascii_alphanumeric() || others
}

/// A character of a value (RFC 9110 section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// What a connection of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests;
