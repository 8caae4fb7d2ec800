//! Interim answers (1xx) on their way to a client of HTTP/1.1.
//!
//! hyper's server has no word for them, so they are written between its own writes: never inside
//! one, and never after the head of the final answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use http::{HeaderMap, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};
use spillgate_actors::core::cache::updating::is_hop_by_hop;

use crate::sidecar::opaque::Opaque;

/// Where interim answers of one connection are left.
#[derive(Default)]
pub(super) struct Interims {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The request that is being answered, if its final head has not gone out.
    open: Option<u64>,
    last: u64,
    queue: Vec<u8>,
    waker: Option<Waker>,
}

/// A connection that writes what is left in its [`Interims`].
pub(super) struct InterimIo<T> {
    inner: T,
    interims: Arc<Interims>,
    opaque: Opaque,
    /// Whether all that hyper has handed over went out.
    between: bool,
    /// Whether a part of the queue went out.
    begun: bool,
}

impl Interims {
    /// Begins to take interim answers to a request.
    pub(super) fn open(&self) -> u64 {
        let mut state = self.state();
        state.last += 1;
        state.open = Some(state.last);
        state.last
    }

    /// Takes no more of them: the final answer comes.
    pub(super) fn close(&self) {
        self.state().open = None;
    }

    /// Leaves one, unless the final answer is under way.
    pub(super) fn leave(&self, request: u64, status: StatusCode, headers: &HeaderMap) {
        // 100 was ours to say, and 101 is no interim answer.
        if !matches!(status.as_u16(), 102..=199) {
            return;
        }
        let mut state = self.state();
        if state.open != Some(request) || state.queue.len() > QUEUE_MAX {
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        state
            .queue
            .extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
        for (name, value) in headers.iter().filter(|(name, _)| passes(name.as_str())) {
            state.queue.extend_from_slice(name.as_str().as_bytes());
            state.queue.extend_from_slice(b": ");
            state.queue.extend_from_slice(value.as_bytes());
            state.queue.extend_from_slice(b"\r\n");
        }
        state.queue.extend_from_slice(b"\r\n");
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Write + Unpin> InterimIo<T> {
    /// Wraps a connection.
    pub(super) fn new(inner: T, interims: Arc<Interims>, opaque: Opaque) -> Self {
        Self { inner, interims, opaque, between: true, begun: false }
    }

    /// Writes what is left in the queue, if this is a place for it.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.interims.state();
        if state.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.opaque.is_set() || !self.between && !self.begun {
            // What hyper writes follows the rest of an earlier answer, or is no HTTP: there is no place
            // any more.
            state.queue.clear();
            return Poll::Ready(Ok(()));
        }
        while !state.queue.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &state.queue))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun = true;
            state.queue.drain(..written);
        }
        self.begun = false;
        drop(state);
        // A flush that has to wait goes with the next one.
        let _ = Pin::new(&mut self.inner).poll_flush(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl<T: Read + Write + Unpin> Read for InterimIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.between {
            // A full pipe wakes the task when it drains.
            let _ = self.poll_interims(cx)?;
        }
        let mut state = self.interims.state();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        drop(state);
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<T: Write + Unpin> Write for InterimIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims(cx))?;
        self.between = false;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once it has written all it had.
        self.between = true;
        Pin::new(&mut self.inner).poll_flush(cx)
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
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims(cx))?;
        self.between = false;
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

fn passes(name: &str) -> bool {
    !is_hop_by_hop(name) && name != "content-length"
}

/// Bytes of interim answers that may wait; more are left out, as a proxy may.
const QUEUE_MAX: usize = 64 * 1024;
