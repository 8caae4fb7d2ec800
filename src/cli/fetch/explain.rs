//! What was decided on a URL's way, for people and for its row.

use std::time::Instant;

use spillgate_actors::decision;

use crate::cli::end::millis;
use crate::cli::fetch::tally::Outturn;
use crate::cli::told::Told;

/// What a call for a URL came to.
///
/// `began` is when the URL was begun; attempts count on from those of earlier calls for it.
pub(crate) fn told(outturn: &Outturn, began: Instant, attempts_before: u32) -> Vec<Told> {
    let problem =
        |text: String| Told { at: millis(began.elapsed()), attempt: None, kind: "failed", text };
    let message = outturn.error.as_ref().map(|error| error.message().to_owned());
    let Some(record) = &outturn.record else {
        return message.map(problem).into_iter().collect();
    };
    let offset = record.began.saturating_duration_since(began);
    let decisions = decision::of(record);
    let counted = decisions.iter().map(|decision| {
        let told = Told::of(decision, offset);
        Told { attempt: told.attempt.map(|n| n + attempts_before), ..told }
    });
    let mut told: Vec<Told> = counted.collect();
    if outturn.is_broken {
        told.extend(message.map(problem));
    }
    told
}
