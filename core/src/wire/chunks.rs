//! A body in chunks, with its extensions and the fields behind it.

use super::fields::Fields;
use super::{Fault, is_text, is_token, skip};

/// Reads the body.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    place: Place,
    /// Of the chunk that is read.
    size: u64,
    trailers: Fields,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    SizeBegin,
    Size,
    Extension,
    Quoted,
    Escaped,
    SizeEnd,
    Data,
    DataEnd,
    DataLineEnd,
    Trailers,
}

impl Chunks {
    /// Reads at least one byte: what is left, and whether it was the body's last.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a [u8], bool), Fault> {
        match self.place {
            Place::Trailers => return self.trailers.step(bytes),
            Place::Data => {
                let after = skip(&mut self.size, bytes);
                if self.size == 0 {
                    self.place = Place::DataEnd;
                }
                return Ok((after, false));
            }
            Place::SizeBegin
            | Place::Size
            | Place::Extension
            | Place::Quoted
            | Place::Escaped
            | Place::SizeEnd
            | Place::DataEnd
            | Place::DataLineEnd => {}
        }
        let Some((byte, after)) = bytes.split_first() else { return Ok((bytes, false)) };
        self.place = self.follow(*byte)?;
        Ok((after, false))
    }

    /// The place after a byte of what is between the data.
    fn follow(&mut self, byte: u8) -> Result<Place, Fault> {
        match (self.place, byte) {
            (Place::SizeBegin | Place::Size, byte) if byte.is_ascii_hexdigit() => {
                self.size = larger(self.size, byte)?;
                Ok(Place::Size)
            }
            (Place::Size, b';') | (Place::Quoted, b'"') => Ok(Place::Extension),
            (Place::Extension, b'"') => Ok(Place::Quoted),
            (Place::Quoted, b'\\') => Ok(Place::Escaped),
            (Place::Quoted | Place::Escaped, byte) if is_text(byte) => Ok(Place::Quoted),
            (Place::Extension, byte) if is_of_extension(byte) => Ok(Place::Extension),
            (Place::Size | Place::Extension, b'\r') => Ok(Place::SizeEnd),
            (Place::SizeEnd, b'\n') if self.size == 0 => Ok(Place::Trailers),
            (Place::SizeEnd, b'\n') => Ok(Place::Data),
            (Place::DataEnd, b'\r') => Ok(Place::DataLineEnd),
            (Place::DataLineEnd, b'\n') => Ok(Place::SizeBegin),
            (Place::SizeEnd | Place::DataLineEnd, _) | (_, b'\r' | b'\n') => Err(Fault::LineEnd),
            (
                Place::SizeBegin
                | Place::Size
                | Place::Extension
                | Place::Quoted
                | Place::Escaped
                | Place::Data
                | Place::DataEnd
                | Place::Trailers,
                _,
            ) => Err(Fault::Chunk),
        }
    }
}

/// A size and one more digit; there are readers who count in 63 bits.
fn larger(size: u64, byte: u8) -> Result<u64, Fault> {
    let digit = char::from(byte).to_digit(16).map(u64::from);
    let larger = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
    larger.filter(|size| i64::try_from(*size).is_ok()).ok_or(Fault::Chunk)
}

/// What extensions are made of, beside what is quoted.
fn is_of_extension(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b';' | b'=' | b' ' | b'\t')
}
