//! The body of a request, as a caller gives it.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use spillgate_core::advice::ErrorKind;

use crate::transport::{BodyStream, TransportError};

/// The body of a request.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// Whole; can be sent again.
    Bytes(Bytes),
    /// In pieces, read once; the first of them are kept, so that it can be sent again while they are
    /// all that was sent.
    Stream(BodyStream),
}

impl Body {
    /// A body in pieces; an error of the stream is the caller's own, and no fault of the upstream.
    pub fn stream<E>(pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let pieces = pieces.map(|piece| {
            piece.map_err(|cause| {
                let failure = TransportError::sent(ErrorKind::RequestBody);
                TransportError { source: Some(cause.into().into()), ..failure }
            })
        });
        Self::Stream(Box::pin(pieces))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}
