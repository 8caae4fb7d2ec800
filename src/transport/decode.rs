//! Takes a content coding off a body, and counts what goes in and what comes out: 261 KB of gzip
//! can hold 268 MB.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use spillgate_actors::phases::Phase;
use spillgate_actors::transport::{BodyStream, TransportError};
use spillgate_core::advice::ErrorKind;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::head::Coding;
use super::options::TransportOptions;

/// How much a body may grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    ratio_max: u64,
    bytes_free: u64,
}

impl Growth {
    /// The limits of a transport.
    pub(super) fn new(options: &TransportOptions) -> Self {
        Self { ratio_max: options.decoded_ratio_max, bytes_free: options.decoded_bytes_free }
    }

    fn allows(self, encoded: u64, decoded: u64) -> bool {
        decoded <= self.bytes_free || decoded <= encoded.saturating_mul(self.ratio_max)
    }
}

/// Takes one coding off a body.
pub(super) fn decode(body: BodyStream, coding: Coding, growth: Growth) -> BodyStream {
    let encoded = Encoded { body, chunk: Bytes::new(), taken: 0, failure: None, is_over: false };
    let decoder = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(encoded);
            decoder.multiple_members(true);
            Decoder::Gzip(Box::new(decoder))
        }
        Coding::Brotli => Decoder::Brotli(Box::new(BrotliDecoder::new(encoded))),
        Coding::Deflate => Decoder::Deflate(Box::new(ZlibDecoder::new(encoded))),
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
            let mut decoder = ZstdDecoder::with_params(encoded, &[window]);
            decoder.multiple_members(true);
            Decoder::Zstd(Box::new(decoder))
        }
    };
    Box::pin(Decoded { decoder, buffer: BytesMut::new(), given: 0, stage: Stage::Start, growth })
}

struct Decoded {
    decoder: Decoder,
    buffer: BytesMut,
    given: u64,
    stage: Stage,
    growth: Growth,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// An empty body is a whole one, whatever coding its head names.
    Start,
    Coding,
    /// The coding is at its end; the body must be too, and the connection waits for its last frame.
    Draining,
    Over,
}

impl Stream for Decoded {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.poll_item(cx));
        if !matches!(item, Some(Ok(_))) {
            self.stage = Stage::Over;
        }
        Poll::Ready(item)
    }
}

impl Decoded {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            match self.stage {
                Stage::Over => return Poll::Ready(None),
                Stage::Start | Stage::Draining => {
                    let rest = match ready!(self.decoder.encoded().poll_chunk(cx)) {
                        Ok(rest) => rest,
                        Err(error) => return Poll::Ready(Some(Err(self.failure(error)))),
                    };
                    match (self.stage, rest) {
                        (Stage::Start, Rest::Some) => self.stage = Stage::Coding,
                        (_, Rest::None) => return Poll::Ready(None),
                        (_, Rest::Some) => {
                            let surplus = io::Error::other("bytes after the end of the coding");
                            return Poll::Ready(Some(Err(self.failure(surplus))));
                        }
                    }
                }
                Stage::Coding => {
                    if let Some(item) = ready!(self.poll_coding(cx)) {
                        return Poll::Ready(Some(item));
                    }
                    self.stage = Stage::Draining;
                }
            }
        }
    }

    fn poll_coding(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        self.buffer.reserve(CHUNK_BYTES);
        match ready!(poll_read_buf(Pin::new(&mut self.decoder), cx, &mut self.buffer)) {
            Ok(0) => Poll::Ready(None),
            Ok(count) => {
                self.given = self.given.saturating_add(count as u64);
                let encoded = self.decoder.encoded().taken;
                if !self.growth.allows(encoded, self.given) {
                    let error = TransportError::sent(ErrorKind::HttpResponseBodySize);
                    return Poll::Ready(Some(Err(error.during(Phase::Read))));
                }
                Poll::Ready(Some(Ok(self.buffer.split().freeze())))
            }
            Err(error) => Poll::Ready(Some(Err(self.failure(error)))),
        }
    }

    /// The connection's own failure if there was one, else the coding's.
    fn failure(&mut self, error: io::Error) -> TransportError {
        let of_coding = || {
            let broken = TransportError::sent(ErrorKind::HttpResponseContentCoding);
            broken.during(Phase::Read).caused_by(error)
        };
        self.decoder.encoded().failure.take().unwrap_or_else(of_coding)
    }
}

/// The encoded body as a reader; an error of the body is kept beside, for it is not the coding's.
struct Encoded {
    body: BodyStream,
    chunk: Bytes,
    taken: u64,
    failure: Option<TransportError>,
    is_over: bool,
}

enum Rest {
    Some,
    None,
}

impl Encoded {
    /// Waits until there are bytes, or the body is over.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Rest>> {
        while self.chunk.is_empty() && !self.is_over {
            match ready!(self.body.as_mut().poll_next(cx)) {
                None => self.is_over = true,
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => {
                    self.is_over = true;
                    self.failure = Some(error);
                    return Poll::Ready(Err(io::Error::other("the body broke off")));
                }
            }
        }
        Poll::Ready(Ok(if self.chunk.is_empty() { Rest::None } else { Rest::Some }))
    }
}

impl AsyncRead for Encoded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = available.len().min(buffer.remaining());
        buffer.put_slice(available.get(..count).unwrap_or_default());
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Encoded {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_chunk(cx))?;
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.chunk.advance(count);
        self.taken = self.taken.saturating_add(count as u64);
    }
}

/// One decoder of many; boxed because their states differ much in size.
enum Decoder {
    Gzip(Box<GzipDecoder<Encoded>>),
    Brotli(Box<BrotliDecoder<Encoded>>),
    Deflate(Box<ZlibDecoder<Encoded>>),
    Zstd(Box<ZstdDecoder<Encoded>>),
}

impl Decoder {
    fn encoded(&mut self) -> &mut Encoded {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl AsyncRead for Decoder {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Gzip(decoder) => Pin::new(decoder).poll_read(cx, buffer),
            Self::Brotli(decoder) => Pin::new(decoder).poll_read(cx, buffer),
            Self::Deflate(decoder) => Pin::new(decoder).poll_read(cx, buffer),
            Self::Zstd(decoder) => Pin::new(decoder).poll_read(cx, buffer),
        }
    }
}

/// Decoded bytes given on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// RFC 9659: a content coding's window is 8 MiB at most.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
