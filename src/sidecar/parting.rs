//! How a connection ends without losing what its client has sent.
//!
//! hyper closes an idle connection of HTTP/1.1 at once when it is told to end, and a request that
//! came but was not read yet is lost with it. So it is told nothing: reads go on for a moment, since
//! what has come is not known before the runtime has asked the system, and then give the end. One that
//! has not asked anything yet was let in a moment ago, and has a while longer to ask.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
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
    /// Whoever reads: hyper does not ask again by itself after an answer.
    reader: AtomicWaker,
}

/// A request that is being answered, until it is dropped.
pub(super) struct Busy {
    present: Option<Present>,
    parting: Arc<Parting>,
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
    /// Until when the next request may come, once it is to end.
    until: Option<Pin<Box<Sleep>>>,
}

impl Parting {
    /// For a connection whose requests are counted there.
    pub(super) fn new(presence: Presence) -> Self {
        let (leaving, begun) = (AtomicBool::new(false), AtomicU64::new(0));
        let (framed, told) = (AtomicBool::new(false), Notify::new());
        Self { leaving, presence, begun, framed, told, reader: AtomicWaker::new() }
    }

    /// Counts a request, which is answered until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let present = Some(self.presence.enter());
        self.begun.fetch_add(1, Ordering::AcqRel);
        Busy { present, parting: self.clone() }
    }

    /// Ends the connection at the next opportunity.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        // Whoever serves it may have looked for the last time before this.
        self.reader.wake();
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

impl Drop for Busy {
    fn drop(&mut self) {
        self.present = None;
        if self.parting.is_leaving() {
            self.parting.reader.wake();
        }
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
        let (begun, preface, until) = (0, Some(0), None);
        Self { inner, parting, begun, heard: false, unflushed: false, preface, until }
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
        let bound = if self.begun > 0 { NEXT_MAX } else { FIRST_MAX };
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(bound)));
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
            (self.begun, self.heard, self.until) = (begun, false, None);
        }
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, into);
        if read.is_pending() {
            self.parting.reader.register(cx.waker());
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
        if std::mem::take(&mut self.unflushed) && self.parting.is_leaving() {
            self.parting.reader.wake();
        }
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
/// How long one that is idle has, for what is on its way.
const NEXT_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use http::Response;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// A client's end of a connection that answers once its gate is open.
    fn connect() -> (DuplexStream, CancellationToken, watch::Sender<bool>) {
        let (client, server) = tokio::io::duplex(4_096);
        let (stop, presence) = (CancellationToken::new(), Presence::default());
        let parting = Arc::new(Parting::new(presence));
        let io = TokioIo::new(PartingIo::new(server, parting.clone()));
        let (gate, opened) = watch::channel(true);
        let (asked, stopped) = (parting.clone(), stop.clone());
        let handler = service_fn(move |_| {
            let (kept, mut opened) = (asked.begin(), opened.clone());
            async move {
                opened.wait_for(|open| *open).await.unwrap();
                let body = http_body_util::Full::new(bytes::Bytes::from_static(b"answer"));
                Ok::<_, std::convert::Infallible>(Response::new(Held::new(body, kept)))
            }
        });
        tokio::spawn(async move {
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(io, handler);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stopped.cancelled() => parting.leave(),
            }
            let _ = connection.await;
        });
        (client, stop, gate)
    }

    async fn answered(client: &mut DuplexStream) {
        let mut read = Vec::new();
        while !read.ends_with(b"answer") {
            assert!(client.read_buf(&mut read).await.unwrap() > 0, "it ended");
        }
    }

    async fn ended(client: &mut DuplexStream) {
        assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 0, "nothing more comes");
    }

    async fn goes_on(client: &mut DuplexStream) {
        let mut read = [0; 64];
        let end = tokio::time::timeout(NEXT_MAX * 2, client.read(&mut read));
        assert!(end.await.is_err(), "it ended");
    }

    async fn breathe() {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_on_its_way_to_an_idle_connection_is_answered() {
        let (mut client, stop, _gate) = connect();
        client.write_all(ASK).await.unwrap();
        answered(&mut client).await;
        stop.cancel();
        breathe().await;
        client.write_all(ASK).await.unwrap();
        answered(&mut client).await;
        ended(&mut client).await;
    }

    #[tokio::test]
    async fn whoever_was_just_let_in_may_ask_and_whoever_does_not_is_let_go() {
        let (mut client, stop, _gate) = connect();
        let (mut silent, stop_silent, _gate_too) = connect();
        stop.cancel();
        stop_silent.cancel();
        breathe().await;
        client.write_all(ASK).await.unwrap();
        answered(&mut client).await;
        goes_on(&mut silent).await;
        ended(&mut silent).await;
    }

    #[tokio::test]
    async fn a_request_that_has_begun_to_come_is_waited_for() {
        let (mut client, stop, _gate) = connect();
        client.write_all(ASK).await.unwrap();
        answered(&mut client).await;
        let (first, second) = ASK.split_at(9);
        client.write_all(first).await.unwrap();
        breathe().await;
        stop.cancel();
        goes_on(&mut client).await;
        client.write_all(second).await.unwrap();
        answered(&mut client).await;
        ended(&mut client).await;
    }

    #[tokio::test]
    async fn an_answer_takes_as_long_as_it_takes() {
        let (mut client, stop, gate) = connect();
        gate.send_replace(false);
        client.write_all(ASK).await.unwrap();
        breathe().await;
        stop.cancel();
        goes_on(&mut client).await;
        gate.send_replace(true);
        answered(&mut client).await;
        ended(&mut client).await;
    }
}
