//! Answer bodies: streamed, paced, and ended the way the fault asks for.
//!
//! Bodies are made piece by piece, so that two hundred megabytes cost no more than one piece. A
//! body hands its request's ticket to the wire with its last piece, since only the wire knows when
//! that piece is written. Lengths are promised by header alone, since faults promise wrong ones.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use super::book::Ticket;
use super::wire::{Cut, Wire};

/// What a body is made of and how it ends.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) source: Source,
    pub(super) pace: Option<Pace>,
    pub(super) end: End,
}

/// Where a body's bytes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Filler, the alphabet again and again, between two fixed parts.
    Text { lead: Bytes, filler: u64, tail: Bytes },
    /// This many zeros, gzip-encoded.
    Gzip { zeros: u64 },
}

/// A body in pieces: this many bytes, then a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) bytes: u64,
    pub(super) every: Duration,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Finish,
    Stall,
    Cut(Cut),
}

/// A body on its way out.
#[derive(Debug)]
pub(super) struct Payload {
    stream: Stream,
    pacing: Option<Pacing>,
    end: End,
    ended: bool,
    ticket: Option<Ticket>,
    wire: Arc<Wire>,
}

#[derive(Debug)]
enum Stream {
    Text { lead: Bytes, filler: u64, offset: usize, tail: Bytes },
    Gzip { encoder: Option<Box<GzEncoder<Vec<u8>>>>, zeros: u64 },
}

#[derive(Debug)]
struct Pacing {
    pace: Pace,
    burst_left: u64,
    next: Pin<Box<Sleep>>,
}

impl Content {
    /// A body that is at hand as a whole.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::text(bytes, 0, "")
    }

    pub(super) fn text(lead: impl Into<Bytes>, filler: u64, tail: &'static str) -> Self {
        let tail = Bytes::from_static(tail.as_bytes());
        let source = Source::Text { lead: lead.into(), filler, tail };
        Self { source, pace: None, end: End::Finish }
    }

    pub(super) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Length, where it is known beforehand.
    pub(super) fn len(&self) -> Option<u64> {
        match &self.source {
            Source::Text { lead, filler, tail } => {
                Some(lead.len() as u64 + filler + tail.len() as u64)
            }
            Source::Gzip { .. } => None,
        }
    }
}

impl Payload {
    pub(super) fn new(content: Content, wire: Arc<Wire>, ticket: Option<Ticket>) -> Self {
        let stream = match content.source {
            Source::Text { lead, filler, tail } => Stream::Text { lead, filler, offset: 0, tail },
            Source::Gzip { zeros } => {
                let encoder = GzEncoder::new(Vec::new(), Compression::fast());
                Stream::Gzip { encoder: Some(Box::new(encoder)), zeros }
            }
        };
        let pacing = content.pace.map(|pace| Pacing {
            pace,
            burst_left: pace.bytes,
            next: Box::pin(tokio::time::sleep(pace.every)),
        });
        let mut payload = Self { stream, pacing, end: content.end, ended: false, ticket, wire };
        if payload.stream.is_empty() && payload.end == End::Finish {
            payload.finish();
        }
        payload
    }

    fn finish(&mut self) {
        self.ended = true;
        if let Some(ticket) = self.ticket.take() {
            self.wire.finish(ticket);
        }
    }

    /// Ends a body that has no more bytes.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.end {
            End::Finish => {
                if !self.ended {
                    self.finish();
                }
                Poll::Ready(None)
            }
            End::Stall => Poll::Pending,
            End::Cut(cut) => {
                if !self.ended {
                    self.finish();
                    self.wire.cut_when_flushed(cut);
                    // The connection is polled again, so that it flushes and meets the cut.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.stream.is_empty() {
            return this.poll_end(cx);
        }
        let piece_max = match &mut this.pacing {
            Some(pacing) => ready!(pacing.poll_allowance(cx)),
            None => PIECE_MAX,
        };
        let piece = this.stream.next(piece_max);
        if let Some(pacing) = &mut this.pacing {
            pacing.burst_left = pacing.burst_left.saturating_sub(piece.len() as u64);
        }
        if this.stream.is_empty() && this.end == End::Finish {
            this.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.end == End::Finish
    }
}

impl Stream {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text { lead, filler, tail, .. } => {
                lead.is_empty() && *filler == 0 && tail.is_empty()
            }
            Self::Gzip { encoder, .. } => encoder.is_none(),
        }
    }

    fn next(&mut self, piece_max: usize) -> Bytes {
        match self {
            Self::Text { lead, filler, offset, tail } => {
                if !lead.is_empty() {
                    return lead.split_to(lead.len().min(piece_max));
                }
                if *filler == 0 {
                    return tail.split_to(tail.len().min(piece_max));
                }
                let left = usize::try_from(*filler).unwrap_or(usize::MAX);
                let len = left.min(piece_max).min(FILLER.len() - *offset);
                let piece = FILLER.slice(*offset..*offset + len);
                *filler -= len as u64;
                *offset = (*offset + len) % FILLER.len();
                piece
            }
            Self::Gzip { encoder, zeros } => deflate(encoder, zeros),
        }
    }
}

impl Pacing {
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if self.burst_left == 0 {
            ready!(self.next.as_mut().poll(cx));
            self.next.as_mut().reset(Instant::now() + self.pace.every);
            self.burst_left = self.pace.bytes;
        }
        let burst = usize::try_from(self.burst_left).unwrap_or(usize::MAX);
        Poll::Ready(burst.min(PIECE_MAX))
    }
}

/// Encodes zeros until there is something to send.
fn deflate(encoder: &mut Option<Box<GzEncoder<Vec<u8>>>>, zeros: &mut u64) -> Bytes {
    static ZEROS: [u8; PIECE_MAX] = [0; PIECE_MAX];
    while let Some(open) = encoder {
        let len = usize::try_from(*zeros).unwrap_or(usize::MAX).min(ZEROS.len());
        if len == 0 {
            // Writing to memory does not fail.
            let rest = encoder.take().and_then(|open| open.finish().ok());
            return rest.unwrap_or_default().into();
        }
        let _ = open.write_all(ZEROS.get(..len).unwrap_or_default());
        *zeros -= len as u64;
        if !open.get_ref().is_empty() {
            return std::mem::take(open.get_mut()).into();
        }
    }
    Bytes::new()
}

/// The alphabet, as often as fits a piece.
static FILLER: LazyLock<Bytes> =
    LazyLock::new(|| (b'a'..=b'z').cycle().take(PIECE_MAX / 26 * 26).collect::<Vec<_>>().into());

/// The most bytes made at a time.
const PIECE_MAX: usize = 32 * 1024;
