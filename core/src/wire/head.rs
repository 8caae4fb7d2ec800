//! A request's head: its line and its fields, and from them what follows.

use super::fields::Fields;
use super::word::Known;
use super::{Fault, is_token, run};

/// Reads a head, and an empty line before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    place: Place,
    tunnel: Known,
    is_old: bool,
    fields: Fields,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The next head.
    Nothing,
    /// A body of so many bytes.
    Length(u64),
    /// A body in chunks.
    Chunks,
    /// No HTTP any more.
    Tunnel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Begin,
    EmptyLine,
    AfterEmptyLine,
    Method,
    TargetBegin,
    Target,
    Version(usize),
    LineEnd,
    Fields,
}

impl Head {
    /// Whether nothing of it has come, or an empty line alone.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.place, Place::Begin | Place::AfterEmptyLine)
    }

    /// Reads at least one byte: what is left, and what follows if it is the head's last.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a [u8], Option<Rest>), Fault> {
        if self.place == Place::Fields {
            let (after, ended) = self.fields.step(bytes)?;
            return if ended { Ok((after, Some(self.rest()?))) } else { Ok((after, None)) };
        }
        if self.place == Place::Target
            && let Some((_, after)) = run(bytes, is_of_target)
        {
            return Ok((after, None));
        }
        let Some((byte, after)) = bytes.split_first() else { return Ok((bytes, None)) };
        self.place = self.follow(*byte)?;
        Ok((after, None))
    }

    /// The place after a byte of the request line.
    fn follow(&mut self, byte: u8) -> Result<Place, Fault> {
        match (self.place, byte) {
            (Place::Begin, b'\r') => Ok(Place::EmptyLine),
            (Place::EmptyLine, b'\n') => Ok(Place::AfterEmptyLine),
            (Place::Begin | Place::AfterEmptyLine | Place::Method, byte) if is_token(byte) => {
                self.tunnel.go_on(&[byte], TUNNEL, <[u8]>::eq);
                Ok(Place::Method)
            }
            (Place::Method, b' ') => Ok(Place::TargetBegin),
            (Place::TargetBegin | Place::Target, byte) if is_of_target(byte) => Ok(Place::Target),
            (Place::Target, b' ') => Ok(Place::Version(0)),
            (Place::Version(count), byte) if VERSION.get(count) == Some(&byte) => {
                Ok(Place::Version(count + 1))
            }
            (Place::Version(count), b'0' | b'1') if count == VERSION.len() => {
                self.is_old = byte == b'0';
                Ok(Place::Version(count + 1))
            }
            (Place::Version(count), b'\r') if count > VERSION.len() => Ok(Place::LineEnd),
            (Place::LineEnd, b'\n') => Ok(Place::Fields),
            (Place::EmptyLine | Place::LineEnd, _) | (_, b'\r' | b'\n') => Err(Fault::LineEnd),
            (
                Place::Begin
                | Place::AfterEmptyLine
                | Place::Method
                | Place::TargetBegin
                | Place::Target
                | Place::Version(_)
                | Place::Fields,
                _,
            ) => Err(Fault::RequestLine),
        }
    }

    /// What follows, by the fields that say so.
    fn rest(&self) -> Result<Rest, Fault> {
        let (length, coded) = (self.fields.length(), self.fields.is_coded());
        if self.tunnel.is(TUNNEL) {
            let bodiless = length.is_none() && !coded;
            return if bodiless { Ok(Rest::Tunnel) } else { Err(Fault::Body) };
        }
        match length {
            Some(_) if coded => Err(Fault::BothLengths),
            Some(length) => Ok(Rest::Length(length)),
            None if coded && self.is_old => Err(Fault::Coding),
            None if coded => Ok(Rest::Chunks),
            None => Ok(Rest::Nothing),
        }
    }
}

/// A byte of a request's target. What is not ASCII is no blank to anybody.
fn is_of_target(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// The method after whose head nothing is a request; in another case it is one that nobody knows.
const TUNNEL: &[u8] = b"CONNECT";
/// What all versions that are read here begin with; 0 or 1 follows.
const VERSION: &[u8] = b"HTTP/1.";
