//! A body on its way from an attempt to its reader, chunk by chunk.
//!
//! A channel that closes says nothing of why: a writer that was called back, ended with its thread
//! or had no room left for an error would look like the end of a whole body. So the verdict has a
//! way of its own, and a body without one is an error.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use spillgate_core::advice::ErrorKind;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// The rest of a body, chunk by chunk; dropping it gives up and frees the slot.
pub struct BodyReader {
    chunks: mpsc::Receiver<Bytes>,
    /// Taken away once it is told.
    verdict: Option<oneshot::Receiver<Result<(), Error>>>,
}

/// The other end of a [`BodyReader`].
pub(crate) struct BodyWriter {
    chunks: mpsc::Sender<Bytes>,
    verdict: oneshot::Sender<Result<(), Error>>,
}

/// The reader of a body has dropped it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReaderGone;

/// Both ends of a body of which so many chunks may wait for a slow reader.
pub(crate) fn pipe(chunks_max: usize) -> (BodyWriter, BodyReader) {
    let (sender, chunks) = mpsc::channel(chunks_max);
    let (told, verdict) = oneshot::channel();
    let reader = BodyReader { chunks, verdict: Some(verdict) };
    (BodyWriter { chunks: sender, verdict: told }, reader)
}

impl BodyReader {
    /// The next chunk; `None` at the end of a whole body, and after an error.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        match self.chunks.recv().await {
            Some(chunk) => Some(Ok(chunk)),
            None => self.verdict(),
        }
    }

    /// What the writer left behind.
    fn verdict(&mut self) -> Option<Result<Bytes, Error>> {
        let verdict = self.verdict.take()?.try_recv();
        verdict.unwrap_or_else(|_| Err(lost())).err().map(Err)
    }
}

impl Stream for BodyReader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.chunks.poll_recv(cx));
        Poll::Ready(chunk.map(Ok).or_else(|| self.verdict()))
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").finish_non_exhaustive()
    }
}

impl BodyWriter {
    /// Hands a chunk over, as soon as there is room for it.
    pub(crate) async fn write(&self, chunk: Bytes) -> Result<(), ReaderGone> {
        self.chunks.send(chunk).await.map_err(|_| ReaderGone)
    }

    /// Resolves when the reader has dropped the body.
    pub(crate) async fn reader_gone(&self) -> ReaderGone {
        self.chunks.closed().await;
        ReaderGone
    }

    /// Says how the body ended, behind the chunks that still wait; the reader may not mind.
    pub(crate) fn end(self, verdict: Result<(), Error>) {
        let _ = self.verdict.send(verdict);
    }
}

/// Chunks of a body; a body of one chunk is never copied.
#[derive(Default)]
pub(crate) struct Collected {
    first: Option<Bytes>,
    rest: BytesMut,
}

impl Collected {
    /// Adds a chunk.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        match (&self.first, self.rest.is_empty()) {
            (None, true) => self.first = Some(chunk),
            (first, _) => {
                if let Some(first) = first {
                    self.rest.extend_from_slice(first);
                }
                self.first = None;
                self.rest.extend_from_slice(&chunk);
            }
        }
    }

    /// All of it.
    pub(crate) fn whole(self) -> Bytes {
        self.first.unwrap_or_else(|| self.rest.freeze())
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::ShuttingDown, "the client ended before the body did")
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn verdict_comes_after_the_chunks_and_once() {
        let failure = Error::new(ErrorKind::DeadlineExceeded, "too late");
        let cases = [
            (Some(Ok(())), None),
            (Some(Err(failure)), Some(ErrorKind::DeadlineExceeded)),
            (None, Some(ErrorKind::ShuttingDown)),
        ];
        for (verdict, expected) in cases {
            let (writer, mut reader) = pipe(1);
            writer.write(Bytes::from_static(b"all there was room for")).await.unwrap();
            match verdict {
                Some(verdict) => writer.end(verdict),
                None => drop(writer),
            }
            assert!(reader.chunk().await.unwrap().is_ok());
            assert_eq!(reader.chunk().await.map(|end| end.unwrap_err().kind()), expected);
            assert!(reader.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn writer_learns_that_its_reader_has_gone() {
        let (writer, reader) = pipe(1);
        drop(reader);
        let ReaderGone = writer.reader_gone().await;
        assert!(writer.write(Bytes::new()).await.is_err());
    }
}
