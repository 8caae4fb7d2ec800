//! A body that streams once, and what is kept of it so that it can be sent again.
//!
//! An attempt borrows the body. What passes is kept up to a cap and goes home with the rest of the
//! stream when the attempt is over: the next one sends the kept bytes and goes on where the stream
//! stands. Beyond the cap nothing is kept and nothing goes home: the attempt is the last one. The
//! body has one owner at a time, so nothing is shared and nothing locked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use spillgate_core::advice::ErrorKind;
use tokio::sync::oneshot;

use crate::transport::{BodyStream, TransportError};

/// A streamed body at rest: all that has passed so far, and what is still to come.
pub(crate) struct Replay {
    kept: BytesMut,
    kept_max: usize,
    /// Nothing once it has ended.
    live: Option<BodyStream>,
}

/// A body lent to an attempt.
pub(crate) struct Lent {
    /// What is kept again, to be sent before the rest.
    again: Bytes,
    state: State,
    recalled: Option<oneshot::Receiver<()>>,
    home: Option<oneshot::Sender<Replay>>,
}

/// The other end of a [`Lent`] body, which brings it home.
pub(crate) struct Loan {
    recall: oneshot::Sender<()>,
    home: oneshot::Receiver<Replay>,
}

enum State {
    /// All that passes is kept.
    Keeping(Replay),
    /// More has passed than is kept.
    Passing(BodyStream),
    /// It has failed, or it is somewhere else.
    Gone,
}

impl Replay {
    /// A stream of which nothing has passed; up to `kept_max` bytes will be kept.
    pub(crate) fn new(live: BodyStream, kept_max: usize) -> Self {
        Self { kept: BytesMut::new(), kept_max, live: Some(live) }
    }

    /// Lends it to an attempt.
    pub(crate) fn lend(self) -> (Lent, Loan) {
        let (recall, recalled) = oneshot::channel();
        let (home, at_home) = oneshot::channel();
        let again = Bytes::copy_from_slice(&self.kept);
        let (recalled, state) = (Some(recalled), State::Keeping(self));
        let lent = Lent { again, state, recalled, home: Some(home) };
        (lent, Loan { recall, home: at_home })
    }

    /// Keeps a piece, if there is room for it.
    fn keep(&mut self, piece: &Bytes) -> bool {
        let fits = self.kept.len().saturating_add(piece.len()) <= self.kept_max;
        if fits {
            self.kept.extend_from_slice(piece);
        }
        fits
    }
}

impl Loan {
    /// Asks for the body; whoever holds it gives it back when polled next.
    pub(crate) fn recall(self) -> oneshot::Receiver<Replay> {
        // One that has come home by itself does not mind.
        let _ = self.recall.send(());
        self.home
    }
}

impl Lent {
    /// Whether the body has been called home.
    fn is_recalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(recalled) = &mut self.recalled else { return false };
        let Poll::Ready(told) = Pin::new(recalled).poll(cx) else { return false };
        self.recalled = None;
        // A loan that is dropped lets the body go where it goes.
        told.is_ok()
    }

    fn go_home(&mut self) {
        if let (State::Keeping(replay), Some(home)) =
            (std::mem::replace(&mut self.state, State::Gone), self.home.take())
        {
            let _ = home.send(replay);
        }
    }

    /// The next piece of the stream itself; a stream that panics is never polled again.
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Gone => Poll::Ready(None),
            State::Passing(mut live) => {
                let polled = live.as_mut().poll_next(cx);
                self.state = State::Passing(live);
                polled
            }
            State::Keeping(mut replay) => {
                let Some(mut live) = replay.live.take() else {
                    self.state = State::Keeping(replay);
                    return Poll::Ready(None);
                };
                let polled = live.as_mut().poll_next(cx);
                self.state = match &polled {
                    Poll::Ready(Some(Ok(piece))) if !replay.keep(piece) => State::Passing(live),
                    Poll::Ready(Some(Err(_))) => State::Gone,
                    Poll::Ready(None) => State::Keeping(replay),
                    Poll::Ready(Some(Ok(_))) | Poll::Pending => {
                        replay.live = Some(live);
                        State::Keeping(replay)
                    }
                };
                polled
            }
        }
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_recalled(cx) {
            this.go_home();
            // The request it was part of is over; its connection must not take it for whole.
            return Poll::Ready(Some(Err(TransportError::sent(ErrorKind::Cancelled))));
        }
        if !this.again.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.again))));
        }
        Poll::Ready(ready!(this.poll_live(cx)))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.go_home();
    }
}

/// Bytes of a streamed body that are kept for another attempt, unless the caller says otherwise.
pub(crate) const REPLAY_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    fn replay(pieces: &[&'static str], kept_max: usize) -> Replay {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Replay::new(Box::pin(stream::iter(pieces)), kept_max)
    }

    fn take(lent: &mut Lent, count: usize) -> String {
        let pieces = lent.take(count).map(Result::unwrap).collect::<Vec<_>>();
        let pieces = pieces.now_or_never().unwrap();
        pieces.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn kept_bytes_come_first_and_the_rest_follows_from_where_it_stands() {
        let (mut lent, loan) = replay(&["one ", "two ", "three"], 100).lend();
        assert_eq!(take(&mut lent, 2), "one two ");
        drop(lent);
        let (mut lent, loan) = loan.recall().try_recv().unwrap().lend();
        assert_eq!(take(&mut lent, 9), "one two three");
        drop(lent);
        let (mut lent, _loan) = loan.recall().try_recv().unwrap().lend();
        assert_eq!(take(&mut lent, 9), "one two three");
    }

    #[test]
    fn cap_is_exact_and_beyond_it_everything_passes_and_nothing_goes_home() {
        for (kept_max, comes_home) in [(8, true), (7, false), (0, false)] {
            let (mut lent, loan) = replay(&["abcd", "efgh"], kept_max).lend();
            assert_eq!(take(&mut lent, 9), "abcdefgh");
            drop(lent);
            assert_eq!(loan.recall().try_recv().is_ok(), comes_home, "{kept_max}");
        }
    }

    #[test]
    fn untouched_body_comes_home_whatever_the_cap() {
        let (lent, loan) = replay(&["abcd"], 0).lend();
        drop(lent);
        let (mut lent, _loan) = loan.recall().try_recv().unwrap().lend();
        assert_eq!(take(&mut lent, 9), "abcd");
    }

    #[test]
    fn recalled_body_ends_its_request_and_a_dropped_loan_does_not() {
        let (mut lent, loan) = replay(&["abcd", "efgh"], 100).lend();
        assert_eq!(take(&mut lent, 1), "abcd");
        let mut home = loan.recall();
        assert!(home.try_recv().is_err(), "it is still lent");
        assert!(lent.next().now_or_never().unwrap().unwrap().is_err());
        assert!(home.try_recv().is_ok());
        let (mut lent, loan) = replay(&["abcd", "efgh"], 100).lend();
        drop(loan);
        assert_eq!(take(&mut lent, 9), "abcdefgh");
    }

    #[test]
    fn failed_and_panicking_streams_never_come_home() {
        let failing = stream::iter([Err(TransportError::sent(ErrorKind::InvalidRequest))]);
        let (mut lent, loan) = Replay::new(Box::pin(failing), 100).lend();
        assert!(lent.next().now_or_never().unwrap().unwrap().is_err());
        drop(lent);
        assert!(loan.recall().try_recv().is_err());
        let panicking = stream::poll_fn(|_| panic!("planted: the caller's stream panics"));
        let (mut lent, loan) = Replay::new(Box::pin(panicking), 100).lend();
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lent.next().now_or_never()));
        assert!(caught.is_err());
        drop(lent);
        assert!(loan.recall().try_recv().is_err());
    }
}
