//! The answer's body on its way in.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body;
use spillgate_actors::phases::{Mark, PhaseMarks};
use spillgate_actors::transport::{Trailers, TransportError};

use super::errors;

/// The bytes of a body as they came over the connection.
pub(super) struct RawBody<B> {
    body: B,
    announced: Option<u64>,
    received: u64,
    trailers: Option<Arc<dyn Trailers>>,
}

impl<B: Body> RawBody<B> {
    /// Wraps a body; its announced length is the connection's, not a header's.
    pub(super) fn new(body: B) -> Self {
        let announced = body.size_hint().exact();
        Self { body, announced, received: 0, trailers: None }
    }

    /// The same, telling what comes behind it.
    #[cfg(feature = "sidecar")]
    pub(super) fn with_trailers(mut self, trailers: Option<Arc<dyn Trailers>>) -> Self {
        self.trailers = trailers;
        self
    }

    /// Whether it is known that no byte will come.
    pub(super) fn is_empty(&self) -> bool {
        self.announced == Some(0) || self.body.is_end_stream()
    }
}

impl<B> Stream for RawBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: SafeCause,
{
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let is_short = self.announced.is_some_and(|length| self.received < length);
                    return Poll::Ready(Some(Err(errors::of_body(
                        error.without_address(),
                        is_short,
                    ))));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.received = self.received.saturating_add(data.len() as u64);
                        return Poll::Ready(Some(Ok(data)));
                    }
                    // Trailers carry nothing that most callers are offered.
                    Err(frame) => {
                        if let (Some(trailers), Ok(fields)) =
                            (&self.trailers, frame.into_trailers())
                        {
                            trailers.of_answer(Some(fields));
                        }
                    }
                },
            }
        }
    }
}

/// A cause that can be told without the address, which may hold secrets.
pub(super) trait SafeCause: StdError + Send + Sync + Sized + 'static {
    /// The same without the address.
    fn without_address(self) -> Self;
}

impl SafeCause for reqwest::Error {
    fn without_address(self) -> Self {
        self.without_url()
    }
}

#[cfg(feature = "sidecar")]
impl SafeCause for hyper::Error {
    fn without_address(self) -> Self {
        self
    }
}

/// A body that notes when reading ends, well, badly or because nobody wants it any more.
pub(super) struct NotingRead<S> {
    /// Taken away at the end, so that what it holds is let go at once.
    body: Option<S>,
    marks: Arc<PhaseMarks>,
}

impl<S> NotingRead<S> {
    /// Wraps a body.
    pub(super) fn new(body: S, marks: Arc<PhaseMarks>) -> Self {
        Self { body: Some(body), marks }
    }
}

impl<S> Stream for NotingRead<S>
where
    S: Stream<Item = Result<Bytes, TransportError>> + Unpin,
{
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let item = ready!(Pin::new(body).poll_next(cx));
        if !matches!(item, Some(Ok(_))) {
            self.body = None;
            self.marks.note(Mark::ReadEnd);
        }
        Poll::Ready(item)
    }
}

impl<S> Drop for NotingRead<S> {
    fn drop(&mut self) {
        self.marks.note(Mark::ReadEnd);
    }
}
