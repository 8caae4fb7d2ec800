//! The socket beneath hyper, where faults happen that hyper would not allow.
//!
//! A fault is planned on the [`Wire`] by the handler or the body and carried out by [`FaultIo`],
//! which hyper reads and writes through. The same place retires requests: hyper hands over a body's
//! end, the wire waits for the write that carries it, and the ticket is completed just before.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::book::Ticket;
use super::pulse::Line;

/// What one connection's handlers and its IO share.
#[derive(Debug)]
pub(super) struct Wire {
    line: Line,
    state: Mutex<WireState>,
}

/// How the drill ends a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// With a TCP RST.
    Reset,
    /// With an ordinary FIN, but without a goodbye in HTTP or TLS.
    Close,
}

/// The drill's IO over a plain or a TLS stream.
#[derive(Debug)]
pub(super) struct FaultIo<S> {
    stream: S,
    wire: Arc<Wire>,
}

/// A TCP stream that can be looked at while it is being read and written.
#[derive(Clone, Debug)]
pub(super) struct Socket(pub(super) Arc<TcpStream>);

#[derive(Debug, Default)]
struct WireState {
    finishing: Vec<Ticket>,
    plan: Plan,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Plan {
    #[default]
    Carry,
    CutWhenFlushed(Cut),
    Dead,
}

impl Wire {
    pub(super) fn new(line: Line) -> Self {
        Self { line, state: Mutex::default() }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Completes the request just before the next write, which carries the end of its answer.
    pub(super) fn finish(&self, ticket: Ticket) {
        self.state().finishing.push(ticket);
    }

    /// Ends the connection at once; nothing more is written.
    pub(super) fn cut(&self, cut: Cut) {
        self.kill(cut);
        self.wake();
    }

    /// Ends the connection when all that was given to it so far has been written.
    pub(super) fn cut_when_flushed(&self, cut: Cut) {
        self.state().plan = Plan::CutWhenFlushed(cut);
        self.wake();
    }

    fn kill(&self, cut: Cut) {
        if cut == Cut::Reset {
            self.line.close_by_reset();
        }
        let finishing = {
            let mut state = self.state();
            state.plan = Plan::Dead;
            std::mem::take(&mut state.finishing)
        };
        finishing.into_iter().for_each(Ticket::complete);
    }

    fn wake(&self) {
        let reader = self.state().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.state().plan {
            Plan::Carry | Plan::CutWhenFlushed(_) => Ok(()),
            Plan::Dead => Err(dead()),
        }
    }

    /// How many of `len` bytes may be written; completes the requests that end with them.
    fn before_write(&self, len: usize) -> io::Result<usize> {
        let finishing = {
            let mut state = self.state();
            if state.plan == Plan::Dead {
                return Err(dead());
            }
            if state.finishing.is_empty() {
                return Ok(len);
            }
            if len > LAST_WRITE_MAX {
                return Ok(len - LAST_WRITE_MAX / 2);
            }
            std::mem::take(&mut state.finishing)
        };
        finishing.into_iter().for_each(Ticket::complete);
        Ok(len)
    }

    fn after_flush(&self) -> io::Result<()> {
        let plan = self.state().plan;
        match plan {
            Plan::Carry => Ok(()),
            Plan::CutWhenFlushed(cut) => {
                self.kill(cut);
                Err(dead())
            }
            Plan::Dead => Err(dead()),
        }
    }

    fn remember_reader(&self, waker: &Waker) {
        let mut state = self.state();
        match &mut state.reader {
            Some(known) => known.clone_from(waker),
            None => state.reader = Some(waker.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> FaultIo<S> {
    pub(super) fn new(stream: S, wire: Arc<Wire>) -> Self {
        Self { stream, wire }
    }
}

impl<S> Drop for FaultIo<S> {
    fn drop(&mut self) {
        // Ends that were never written: their clients went away.
        let unwritten = std::mem::take(&mut self.wire.state().finishing);
        drop(unwritten);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.check()?;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() {
            this.wire.remember_reader(cx.waker());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let allowed = this.wire.before_write(bytes.len())?;
        let bytes = bytes.get(..allowed).unwrap_or(bytes);
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.check()?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        Poll::Ready(this.wire.after_flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.check()?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(Shutdown::Write))
    }
}

fn dead() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the drill")
}

/// The largest write that may carry the end of an answer. Bytes of a bigger one that do not carry
/// the end go first, so that a slow reader's request stays in flight until nearly all is written.
const LAST_WRITE_MAX: usize = 32 * 1024;
