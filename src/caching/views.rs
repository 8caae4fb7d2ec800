//! Views of one answer over time: what is stored at once, and what is fresh when it comes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use spillgate_actors::answer;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;

use crate::cache::ask::{CacheMode, Look};
use crate::cache::fate::is_failure;
use crate::caching::labels::Label;
use crate::caching::{CacheWish, Front};
use crate::response::Response;

/// An answer, as it can be shown.
#[derive(Debug, Clone)]
pub struct View {
    /// The answer.
    pub response: Response,
    /// Whether it is past its lifetime.
    pub freshness: Freshness,
    /// Whether a newer one is on its way.
    pub refreshing: bool,
}

/// Says whether an answer is past its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// It is not, or came this moment.
    Fresh,
    /// It is.
    Stale {
        /// How old it is.
        age: Duration,
    },
}

/// The views of one request: a stored answer first, if there is one, and then the fresh one.
///
/// It ends after the last view. If nothing was stored and the call fails, it ends without any, and
/// [`error`](Self::error) says why; if something was, it is shown once more, no longer refreshing.
/// Dropping it cancels the call.
pub struct Views {
    state: State,
    error: Option<Error>,
}

enum State {
    Begun(Opening),
    Waiting { call: BoxFuture<'static, Result<Response, Error>>, shown: Option<Box<Response>> },
    Ended,
}

/// What is stored, and the call for what is fresh.
pub(crate) type Opened = (Option<Response>, BoxFuture<'static, Result<Response, Error>>);
type Opening = Box<dyn FnOnce() -> Opened + Send>;

impl Views {
    pub(crate) fn new(open: impl FnOnce() -> Opened + Send + 'static) -> Self {
        Self { state: State::Begun(Box::new(open)), error: None }
    }

    /// Why the fresh answer did not come.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Looks at what is stored; `None` if there is nothing to show of it.
    fn open(&mut self, open: Opening) -> Option<View> {
        let (stored, call) = open();
        let freshness = stored.as_ref().map(freshness_of);
        match (stored, freshness) {
            (Some(response), Some(Freshness::Fresh)) => {
                Some(View { response, freshness: Freshness::Fresh, refreshing: false })
            }
            (Some(response), Some(freshness)) => {
                self.state = State::Waiting { call, shown: Some(Box::new(response.clone())) };
                Some(View { response, freshness, refreshing: true })
            }
            (None, _) | (_, None) => {
                self.state = State::Waiting { call, shown: None };
                None
            }
        }
    }
}

impl Stream for Views {
    type Item = View;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<View>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Begun(open) => {
                    if let Some(view) = self.open(open) {
                        return Poll::Ready(Some(view));
                    }
                }
                State::Waiting { mut call, shown } => {
                    let Poll::Ready(answer) = call.as_mut().poll(cx) else {
                        self.state = State::Waiting { call, shown };
                        return Poll::Pending;
                    };
                    let (response, error) = match answer {
                        // An error page is no news of what is shown.
                        Ok(response) if shown.is_some() && is_failure(response.status()) => {
                            (None, response.error_for_status().err())
                        }
                        Ok(response) => (Some(response), None),
                        Err(error) => (None, Some(error)),
                    };
                    self.error = error;
                    let response = response.or(shown.map(|shown| *shown));
                    return Poll::Ready(response.map(last));
                }
            }
        }
    }
}

/// The view after which none comes.
fn last(response: Response) -> View {
    View { freshness: freshness_of(&response), response, refreshing: false }
}

fn freshness_of(response: &Response) -> Freshness {
    match response.report().cache {
        Some(cache) if cache.stale => Freshness::Stale { age: cache.age },
        Some(_) | None => Freshness::Fresh,
    }
}

/// What is stored for a request and may be shown: stale too, unless it says that it must not be.
pub(crate) fn glance(
    front: &Front,
    fetch: &mut Fetch,
    wish: CacheWish,
) -> Option<answer::Response> {
    match wish.mode {
        CacheMode::Default
        | CacheMode::ForceCache
        | CacheMode::NoCache
        | CacheMode::OnlyIfCached => {}
        CacheMode::NoStore | CacheMode::Reload => return None,
    }
    front.door.complete(fetch);
    let caching = &front.caching;
    let plain = CacheWish { mode: CacheMode::Default, ..wish };
    let (ask, terms) = caching.ask_of(fetch, plain)?;
    let url = ask.url.clone();
    match caching.cache().peek_by(&terms.rules, ask) {
        Look::Serve(served) | Look::ServeAndRenew(served, _) => {
            caching.cache().note_hit(&served);
            Some(Label::of_hit("watch").serve(front, &url, *served))
        }
        Look::Nothing => None,
        Look::Send(pending) => {
            let stored = caching.cache().anything(&pending)?;
            Some(Label::of_hit("watch").replace(front, &pending, &stored))
        }
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("error", &self.error).finish_non_exhaustive()
    }
}
