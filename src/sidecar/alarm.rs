//! A timer that is made when it is first set: most connections never need theirs.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// When to give up waiting.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Sets it, if it is not set to this time already.
    pub(super) fn set(&mut self, until: Instant) {
        match &mut self.0 {
            Some(sleep) if sleep.deadline() == until => {}
            Some(sleep) => sleep.as_mut().reset(until),
            None => self.0 = Some(Box::pin(tokio::time::sleep_until(until))),
        }
    }

    /// Waits for its time; for ever if there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
