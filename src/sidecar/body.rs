//! The body of an answer on its way to a client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use spillgate_actors::body::BodyReader;
use spillgate_actors::error::Error;

use crate::sidecar::stream::SharedReader;
use crate::sidecar::trailers::Behind;

/// Where the bytes come from.
pub(super) enum OutBody {
    /// They are here.
    Whole(Bytes),
    /// From the upstream, for this client alone, with what comes behind it.
    Own(BodyReader, Arc<Behind>),
    /// From an answer that others read, too.
    Shared(SharedReader),
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let chunk = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Own(reader, behind) => match ready!(Pin::new(reader).poll_next(cx)) {
                None => {
                    return Poll::Ready(behind.take().map(|fields| Ok(Frame::trailers(fields))));
                }
                chunk => Poll::Ready(chunk),
            },
            Self::Shared(reader) => Pin::new(reader).poll_next(cx),
        };
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Own(..) | Self::Shared(_) => SizeHint::default(),
        }
    }
}
