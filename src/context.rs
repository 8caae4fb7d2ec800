//! What calls inherit from the work they are part of.

use std::future::Future;

use spillgate_actors::deadline::Deadline;

tokio::task_local! {
    static DEADLINE: Deadline;
}

/// Runs `work` so that every call inside ends by `deadline`, whatever its own deadline is.
///
/// Nested deadlines only shrink. What is left is passed on: a call that begins late has less time.
/// A task that `work` spawns does not inherit it; wrap the spawned future again.
pub async fn with_deadline<F: Future>(deadline: Deadline, work: F) -> F::Output {
    let deadline = inherited().map_or(deadline, |outer| outer.min(deadline));
    DEADLINE.scope(deadline, work).await
}

/// The deadline of the work around, if there is one.
pub(crate) fn inherited() -> Option<Deadline> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}
