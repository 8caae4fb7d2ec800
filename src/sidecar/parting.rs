//! How a connection ends without losing what its client has sent.
//!
//! hyper closes an idle connection of HTTP/1.1 at once when it is told to end, and a request that
//! came but was not read yet is lost with it. So it is told nothing: the connection's next read gives
//! what has come, and the end only when nothing has. One that has not asked anything yet was let in a
//! moment ago, and has a while to ask.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Sleep;

use crate::sidecar::presence::{Presence, Present};

/// What is known of one connection while it is served.
pub(super) struct Parting {
    leaving: AtomicBool,
    presence: Presence,
    /// Requests so far.
    begun: AtomicU64,
    framed: AtomicBool,
    told: Notify,
}

/// A body that keeps something until it has gone out.
pub(super) struct Held<B, K> {
    body: B,
    _kept: K,
}

/// A connection that ends between requests once it is to.
pub(super) struct PartingIo<T> {
    inner: T,
    parting: Arc<Parting>,
    /// Requests that had begun when it last read.
    begun: u64,
    /// Whether a part of the next request has come.
    heard: bool,
    /// Whether bytes were written and not flushed.
    unflushed: bool,
    /// Bytes of the preface of HTTP/2 that have come; `None` if something else has.
    preface: Option<usize>,
    first_until: Option<Pin<Box<Sleep>>>,
}

impl Parting {
    /// For a connection whose requests are counted there.
    pub(super) fn new(presence: Presence) -> Self {
        let (leaving, begun) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { leaving, presence, begun, framed: AtomicBool::new(false), told: Notify::new() }
    }

    /// Counts a request, which is answered until what is returned is dropped.
    pub(super) fn begin(&self) -> Present {
        let present = self.presence.enter();
        self.begun.fetch_add(1, Ordering::AcqRel);
        present
    }

    /// Ends the connection at the next opportunity, which whoever serves it must poll for.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Waits until it turns out to speak HTTP/2, which has a way of its own to end.
    pub(super) async fn is_framed(&self) {
        while !self.framed.load(Ordering::Acquire) {
            self.told.notified().await;
        }
    }

    /// Whether the connection is to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    fn frame(&self) {
        self.framed.store(true, Ordering::Release);
        self.told.notify_one();
    }
}

impl<B, K> Held<B, K> {
    /// A body that keeps `kept` until it has gone out.
    pub(super) fn new(body: B, kept: K) -> Self {
        Self { body, _kept: kept }
    }
}

impl<B: Body + Unpin, K: Unpin> Body for Held<B, K> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<T> PartingIo<T> {
    /// Wraps a connection before anything was read from it.
    pub(super) fn new(inner: T, parting: Arc<Parting>) -> Self {
        let (begun, preface, first_until) = (0, Some(0), None);
        Self { inner, parting, begun, heard: false, unflushed: false, preface, first_until }
    }

    /// Looks at what came.
    fn hear(&mut self, bytes: &[u8]) {
        self.heard = true;
        let Some(known) = self.preface else { return };
        let rest = PREFACE.get(known..).unwrap_or_default();
        let both = rest.len().min(bytes.len());
        if rest.get(..both) != bytes.get(..both) {
            self.preface = None;
            return;
        }
        self.preface = Some(known + both);
        if both == rest.len() {
            self.preface = None;
            self.parting.frame();
        }
    }

    /// Whether this is the moment to end, when nothing has come.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let parting = &self.parting;
        let busy = !parting.presence.is_idle();
        if !parting.is_leaving() || busy || self.unflushed || self.heard {
            return false;
        }
        if parting.framed.load(Ordering::Acquire) {
            return false;
        }
        if self.begun > 0 {
            return true;
        }
        let until = self.first_until.get_or_insert_with(|| Box::pin(tokio::time::sleep(FIRST_MAX)));
        until.as_mut().poll(cx).is_ready()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PartingIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begun = self.parting.begun.load(Ordering::Acquire);
        if begun != self.begun {
            (self.begun, self.heard) = (begun, false);
        }
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, into);
        if read.is_pending() {
            return if self.is_over(cx) { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let bytes = into.filled().get(before..).unwrap_or_default();
        // What comes while a request is answered is its body.
        if !bytes.is_empty() && self.parting.presence.is_idle() {
            self.hear(bytes);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PartingIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// How long a connection that has asked nothing has to ask, once it is to end.
const FIRST_MAX: Duration = Duration::from_secs(1);
