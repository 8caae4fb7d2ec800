//! A body that is read as it comes, and whose end is said in so many words.
//!
//! A channel that closes is no end: a panic or a shutdown may have cut its sender off, and half a
//! body must never look like a whole one. So the last part says how the body ended, and there is
//! always room for it, however slow the reader.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use spillgate_core::advice::ErrorKind;
use tokio::sync::mpsc;

use crate::error::Error;

/// The rest of a body, chunk by chunk; dropping it gives up and frees the slot.
pub struct BodyReader {
    parts: mpsc::Receiver<Part>,
    is_over: bool,
}

/// The other end of a [`BodyReader`].
pub(crate) struct BodyWriter {
    parts: mpsc::Sender<Part>,
    last: Option<mpsc::OwnedPermit<Part>>,
}

/// The reader has gone.
#[derive(Debug)]
pub(crate) struct Gone;

enum Part {
    Chunk(Bytes),
    Failed(Error),
    End,
}

/// Both ends of a body.
pub(crate) fn pipe() -> (BodyWriter, BodyReader) {
    let (sender, parts) = mpsc::channel(CHUNKS_MAX + 1);
    let last = sender.clone().try_reserve_owned().ok();
    (BodyWriter { parts: sender, last }, BodyReader { parts, is_over: false })
}

impl BodyWriter {
    /// Resolves when the reader has gone.
    pub(crate) async fn closed(&self) {
        self.parts.closed().await;
    }

    /// Hands over a chunk, once the reader has room for it.
    pub(crate) async fn chunk(&self, chunk: Bytes) -> Result<(), Gone> {
        self.parts.send(Part::Chunk(chunk)).await.map_err(|_| Gone)
    }

    /// Says how the body ended.
    pub(crate) fn end(self, result: Result<(), Error>) {
        if let Some(last) = self.last {
            last.send(result.map_or_else(Part::Failed, |()| Part::End));
        }
    }
}

impl BodyReader {
    /// A body that is there already.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let (writer, reader) = pipe();
        if !bytes.is_empty() {
            let _ = writer.parts.try_send(Part::Chunk(bytes));
        }
        writer.end(Ok(()));
        reader
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(cx));
        self.is_over = !matches!(part, Some(Part::Chunk(_)));
        Poll::Ready(match part {
            Some(Part::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Part::Failed(error)) => Some(Err(error)),
            Some(Part::End) => None,
            None => {
                let kind = ErrorKind::HttpResponseIncomplete;
                Some(Err(Error::new(kind, "the body was cut off before its end")))
            }
        })
    }
}

impl Stream for BodyReader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Chunks of a body that may wait for a slow reader.
const CHUNKS_MAX: usize = 8;
