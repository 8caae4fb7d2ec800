//! A client's connection: what comes in is checked before the engine has it, and nobody may keep it
//! waiting for ever.
//!
//! The engine drops one of two lengths unseen and takes bare line feeds, so it is never shown either
//! (see [`Framing`]). A flaw in a head becomes a byte that the engine must refuse, so that its answer
//! of 400 comes behind those to earlier requests; a flaw in a body is its end before its time. Either
//! way the connection ends there for the engine, and no byte after the flaw is read by anybody.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use spillgate_actors::core::wire::patience::Patience;
use spillgate_actors::core::wire::{Framing, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::sidecar::alarm::Alarm;
use crate::sidecar::bounds::Bounds;
use crate::sidecar::opaque::Opaque;
use crate::sidecar::presence::Presence;

/// A connection whose bytes can be read in one way only.
pub(super) struct Inbound<T> {
    inner: T,
    framing: Framing,
    opaque: Opaque,
    presence: Presence,
    bounds: Bounds,
    /// Whether the engine is told that nothing more comes, behind what it must refuse.
    ended: bool,
    refused: &'static [u8],
    /// Whether all that was written went out.
    flushed: bool,
    /// What is waited for, and until when.
    waiting: Option<Waiting>,
    late: Alarm,
    reader: Patience,
    stalled: Alarm,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The rest of a stage, so many heads after the first.
    Stage(Stage, u64),
    /// The rest of what nobody wants.
    Rest,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Inbound<T> {
    /// Wraps a connection of which nothing has been read.
    pub(super) fn new(inner: T, (opaque, presence): (Opaque, Presence), bounds: Bounds) -> Self {
        Self {
            inner,
            framing: Framing::new(),
            opaque,
            presence,
            bounds,
            ended: false,
            refused: &[],
            flushed: true,
            waiting: None,
            late: Alarm::default(),
            reader: Patience::new(bounds.reading),
            stalled: Alarm::default(),
        }
    }

    /// What comes next, as far as it is known here.
    fn stage(&self) -> Stage {
        if self.opaque.is_set() { Stage::Tunnel } else { self.framing.stage() }
    }

    /// Checks what came behind the first bytes of a buffer, and takes out what must not be seen.
    fn check(&mut self, into: &mut ReadBuf<'_>, before: usize) {
        if self.opaque.is_set() {
            return;
        }
        let came = into.filled().get(before..).unwrap_or_default();
        let Err(flaw) = self.framing.read(came) else { return };
        self.opaque.end();
        into.set_filled(before + flaw.at);
        self.ended = true;
        if !flaw.in_body {
            self.refused = REFUSED;
            self.refuse(into);
        }
    }

    /// Shows the engine what it must refuse, as far as there is room.
    fn refuse(&mut self, into: &mut ReadBuf<'_>) {
        let count = self.refused.len().min(into.remaining());
        let (now, later) = self.refused.split_at_checked(count).unwrap_or_default();
        into.put_slice(now);
        self.refused = later;
    }

    /// Waits for the client, for as long as it may take; an error if it was longer.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stage = self.stage();
        let bound = match stage {
            Stage::Between | Stage::Frames => self.bounds.idle,
            Stage::Head => self.bounds.head,
            // Bodies have bounds of their own, and tunnels that of who opens them.
            Stage::Body | Stage::Tunnel => {
                self.waiting = None;
                return Poll::Pending;
            }
        };
        let awaited = Waiting::Stage(stage, self.framing.heads());
        if self.waiting.replace(awaited) != Some(awaited) {
            self.late.set(Instant::now() + bound);
        }
        loop {
            ready!(self.late.poll(cx));
            if self.presence.is_idle() {
                return Poll::Ready(());
            }
            // The client waits for us.
            self.late.set(Instant::now() + bound);
        }
    }

    /// Ends the connection; a request that has begun is told why, if there is a place for it.
    fn give_up(&mut self, cx: &mut Context<'_>) {
        self.ended = true;
        if self.stage() == Stage::Head && self.flushed {
            // It fits into an empty buffer, or the client does not read either.
            let _ = Pin::new(&mut self.inner).poll_write(cx, TOO_LATE);
        }
    }

    /// What a write came to, with a client that may take none for a while.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending if self.stage() != Stage::Tunnel => {
                let until = self.reader.wait(Instant::now().into_std()).into();
                self.stalled.set(until);
                ready!(self.stalled.poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(bytes)) => {
                self.reader.moved(Instant::now().into_std(), bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
        }
    }

    /// Reads what nobody wants, for a while: a connection that is closed before is reset, and the
    /// last answer may be lost with it.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.stage(), Stage::Between | Stage::Frames | Stage::Tunnel) {
            return Poll::Ready(());
        }
        if self.waiting.replace(Waiting::Rest) != Some(Waiting::Rest) {
            self.late.set(Instant::now() + LINGER);
        }
        loop {
            let mut unwanted = [0; UNWANTED];
            let mut unwanted = ReadBuf::new(&mut unwanted);
            match Pin::new(&mut self.inner).poll_read(cx, &mut unwanted) {
                Poll::Ready(Ok(())) if !unwanted.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.late.poll(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Inbound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            self.refuse(into);
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, into) {
            self.check(into, before);
            return Poll::Ready(read);
        }
        ready!(self.poll_patience(cx));
        self.give_up(cx);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Inbound<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        (self.flushed, self.waiting) = (false, None);
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx).map_ok(|()| 0);
        ready!(self.written(cx, flushed))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx).map_ok(|()| 0);
        ready!(self.written(cx, shut))?;
        self.poll_rest(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        (self.flushed, self.waiting) = (false, None);
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }
}

/// A byte that belongs nowhere in a head, and an end of the head: the engine waits for one.
const REFUSED: &[u8] = b"\0\r\n\r\n";
const TOO_LATE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// How long the rest of what a client sends is read after its last answer.
const LINGER: Duration = Duration::from_secs(2);
const UNWANTED: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn inbound() -> (DuplexStream, Inbound<DuplexStream>, Opaque) {
        let (client, inner) = duplex(1024);
        let (opaque, presence) = (Opaque::default(), Presence::default());
        (client, Inbound::new(inner, (opaque.clone(), presence), Bounds::default()), opaque)
    }

    /// What the engine reads of some bytes, so many at a time.
    async fn seen(bytes: &[u8], at_once: usize) -> Vec<u8> {
        let (mut client, mut inbound, _) = inbound();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let (mut seen, mut buffer) = (Vec::new(), vec![0; at_once]);
        loop {
            let count = inbound.read(&mut buffer).await.unwrap();
            if count == 0 {
                return seen;
            }
            seen.extend_from_slice(&buffer[..count]);
        }
    }

    #[tokio::test]
    async fn engine_sees_all_up_to_a_flaw_and_what_it_must_refuse_however_it_reads() {
        let fine = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
        let chunked = b"P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n".as_slice();
        for (bytes, expected) in [
            (fine.to_vec(), fine.to_vec()),
            ([fine, b"G\nX"].concat(), [fine, b"G", REFUSED].concat()),
            ([fine, b"\nX"].concat(), [fine, REFUSED].concat()),
            ([chunked, b"x\nX"].concat(), [chunked, b"x"].concat()),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\0".to_vec(),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\0".to_vec(),
            ),
        ] {
            for at_once in [1, 2, 3, 1_000] {
                let seen = seen(&bytes, at_once).await;
                assert_eq!(seen, expected, "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_checked_once_it_is_opaque() {
        let (mut client, mut inbound, opaque) = inbound();
        let mut buffer = [0; 64];
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(inbound.read(&mut buffer).await.unwrap(), 18);
        opaque.set();
        client.write_all(b"\x81\n\0").await.unwrap();
        assert_eq!(inbound.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(&buffer[..3], b"\x81\n\0");
    }
}
