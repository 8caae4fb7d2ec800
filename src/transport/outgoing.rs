//! The request's body on its way out, wrapped so that its phases are seen.
//!
//! hyper asks a body whether it is at its end at the moment it picks the request up, and not
//! before; so a request that never found a connection has no `WriteBegin`, and was never sent.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use spillgate_actors::phases::{Mark, PhaseMarks};
use spillgate_actors::transport::{BodyStream, OutboundBody, Trailers, TransportError};
use spillgate_core::advice::ErrorKind;

/// A request's body that notes when it is first asked for and when its last byte is taken.
pub(super) struct NotingBody {
    rest: Rest,
    marks: Arc<PhaseMarks>,
    trailers: Option<Arc<dyn Trailers>>,
}

enum Rest {
    Nothing,
    Whole(Bytes),
    /// reqwest wants a body to be `Sync`; the lock is never taken by two.
    Pieces(Mutex<BodyStream>),
}

impl NotingBody {
    /// Wraps a body.
    pub(super) fn new(body: OutboundBody, marks: Arc<PhaseMarks>) -> Self {
        let rest = match body {
            OutboundBody::Empty => Rest::Nothing,
            OutboundBody::Bytes(bytes) if bytes.is_empty() => Rest::Nothing,
            OutboundBody::Bytes(bytes) => Rest::Whole(bytes),
            OutboundBody::Stream(pieces) => Rest::Pieces(Mutex::new(pieces)),
        };
        Self { rest, marks, trailers: None }
    }

    /// The same, with what goes behind it.
    #[cfg(feature = "sidecar")]
    pub(super) fn with_trailers(mut self, trailers: Option<Arc<dyn Trailers>>) -> Self {
        self.trailers = trailers;
        self
    }
}

impl Body for NotingBody {
    type Data = Bytes;
    type Error = OutboundFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OutboundFailure>>> {
        self.marks.note(Mark::WriteBegin);
        let next = match &mut self.rest {
            Rest::Nothing => None,
            Rest::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Rest::Pieces(pieces) => {
                let pieces = pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
                let piece = std::task::ready!(poll_piece(pieces, cx));
                if let Some(Ok(piece)) = piece {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                let behind = || self.trailers.take()?.of_request().map(Frame::trailers).map(Ok);
                let failed = |piece: Result<_, _>| piece.map(Frame::data).map_err(OutboundFailure);
                piece.map(failed).or_else(behind)
            }
        };
        self.rest = Rest::Nothing;
        self.marks.note(Mark::WriteEnd);
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.marks.note(Mark::WriteBegin);
        let at_end = matches!(self.rest, Rest::Nothing);
        if at_end {
            self.marks.note(Mark::WriteEnd);
        }
        at_end
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Rest::Pieces(_) => SizeHint::default(),
        }
    }
}

impl Drop for NotingBody {
    /// An answer can come before the body is through, or the connection can break: writing ended.
    fn drop(&mut self) {
        if self.marks.at(Mark::WriteBegin).is_some() {
            self.marks.note(Mark::WriteEnd);
        }
    }
}

/// The next piece of the caller's stream. A panic in it must not end the connection's task: that
/// would look as if the upstream had hung up.
fn poll_piece(
    pieces: &mut BodyStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, TransportError>>> {
    let polled = catch_unwind(AssertUnwindSafe(|| pieces.as_mut().poll_next(cx)));
    polled.unwrap_or_else(|_| {
        let cause = io::Error::other("user code panicked while the request's body was read");
        Poll::Ready(Some(Err(TransportError::sent(ErrorKind::Internal).caused_by(cause))))
    })
}

/// The caller's own stream failed while it was being sent.
pub(super) struct OutboundFailure(pub(super) TransportError);

impl fmt::Debug for OutboundFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutboundFailure").field(&self.0.kind).finish()
    }
}

impl fmt::Display for OutboundFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request's body failed: {}", self.0.kind.name())
    }
}

impl StdError for OutboundFailure {}
