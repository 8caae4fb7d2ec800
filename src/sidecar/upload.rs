//! A request's body on its way in, which may not keep its upstream waiting.
//!
//! It holds a slot of the upstream as long as it comes. Only time in which somebody wants more of it
//! counts, so a client is not blamed for a slow upstream, and it is the same over either version of
//! HTTP.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::wire::patience::{Patience, Terms};
use spillgate_actors::request_body::Body as RequestBody;
use spillgate_actors::transport::TransportError;
use tokio::time::Instant;

use crate::sidecar::alarm::Alarm;
use crate::sidecar::trailers::Behind;

/// The body of a client's request.
pub(super) struct Upload {
    incoming: Incoming,
    patience: Patience,
    late: Alarm,
}

/// Why a body breaks off.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The connection ended, or what came was no body.
    Broken(hyper::Error),
    /// It came too slowly.
    TooSlow,
}

impl Upload {
    /// Wraps a body that has to come at a rate.
    pub(super) fn new(incoming: Incoming, terms: Terms) -> Self {
        Self { incoming, patience: Patience::new(terms), late: Alarm::default() }
    }

    /// The same for the upstream's request.
    pub(super) fn pass_on(self, behind: Arc<Behind>) -> RequestBody {
        if self.is_end_stream() {
            return RequestBody::Empty;
        }
        RequestBody::Stream(Box::pin(Pieces { upload: self, behind }))
    }

    /// Waits for more of it, until there has been too little.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.patience.wait(Instant::now().into_std()).into();
        self.late.set(until);
        self.late.poll(cx)
    }
}

/// Its bytes alone; what comes behind them is left where the upstream's side finds it.
struct Pieces {
    upload: Upload,
    behind: Arc<Behind>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.upload).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(cause)) => {
                    let failure = TransportError::sent(ErrorKind::RequestBody).caused_by(cause);
                    return Poll::Ready(Some(Err(failure)));
                }
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                Err(other) => {
                    if let Ok(fields) = other.into_trailers() {
                        self.behind.leave(fields);
                    }
                }
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.patience.moved(Instant::now().into_std(), bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Broken)));
        }
        ready!(self.poll_late(cx));
        Poll::Ready(Some(Err(UploadError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("the client's body broke off"),
            Self::TooSlow => f.write_str("the client's body came too slowly"),
        }
    }
}

impl StdError for UploadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Broken(cause) => Some(cause),
            Self::TooSlow => None,
        }
    }
}
