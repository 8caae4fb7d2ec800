//! A body that is cut on its way in.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use spillgate_actors::phases::Phase;
use spillgate_actors::transport::{BodyStream, TransportError};
use spillgate_core::advice::ErrorKind;

/// How a cut body goes on behind the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// As a connection that broke.
    Broken,
    /// Never.
    Silent,
}

/// A body of which half of the first piece is let through.
pub(super) struct CutBody {
    /// Held while the cut is silent, as the connection of a stalled body is.
    body: Option<BodyStream>,
    cut: Cut,
    is_cut: bool,
}

impl CutBody {
    /// Cuts a body.
    pub(super) fn new(body: BodyStream, cut: Cut) -> Self {
        Self { body: Some(body), cut, is_cut: false }
    }

    fn end(&mut self) -> Poll<Option<Result<Bytes, TransportError>>> {
        match self.cut {
            // Nobody wakes it: whoever waits has a timer of its own.
            Cut::Silent => Poll::Pending,
            Cut::Broken => Poll::Ready(self.body.take().map(|_| {
                let broken = TransportError::sent(ErrorKind::HttpResponseIncomplete);
                Err(broken.during(Phase::Read).caused_by(Planted))
            })),
        }
    }
}

impl Stream for CutBody {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.is_cut {
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            let next = ready!(body.as_mut().poll_next(cx));
            let Some(Ok(mut piece)) = next else {
                // It ended, or broke by itself, before there was a byte to lose.
                this.body = None;
                return Poll::Ready(next);
            };
            if piece.is_empty() {
                continue;
            }
            this.is_cut = true;
            piece.truncate(piece.len() / 2);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        this.end()
    }
}

/// The cause of an injected error.
#[derive(Debug)]
pub(super) struct Planted;

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("injected by chaos")
    }
}

impl StdError for Planted {}
