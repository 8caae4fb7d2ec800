//! What was decided on a URL's way, for people.

use std::time::Instant;

use crate::cli::end::millis;
use crate::cli::fetch::tally::Outturn;

/// Lines for what a call for a URL came to: decisions, attempts, how it ended.
///
/// `before` is when the URL was begun, and the attempts of earlier calls for it.
pub(crate) fn lines(
    (index, url): &(u64, String),
    outturn: &Outturn,
    before: (Instant, u32),
) -> Vec<String> {
    let (began, attempts_before) = before;
    let offset = |at: Instant| millis(at.saturating_duration_since(began));
    let line = |at: Instant, text: &str| format!("{index} {url}: +{:.1} ms {text}", offset(at));
    let Some(record) = &outturn.record else {
        let error = outturn.error.as_ref().map(ToString::to_string);
        return vec![line(Instant::now(), &error.unwrap_or_default())];
    };
    let mut steps: Vec<(Instant, String)> =
        record.decisions.iter().map(|decision| (decision.at, decision.text.clone())).collect();
    steps.extend(record.attempts.iter().map(|attempt| {
        let came_to = match (attempt.status, attempt.error) {
            (_, Some(kind)) => kind.name().to_owned(),
            (Some(status), None) => status.to_string(),
            (None, None) => "no answer".to_owned(),
        };
        (attempt.ended, format!("attempt {}: {came_to}", attempts_before + attempt.n))
    }));
    steps.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = steps.iter().map(|(at, text)| line(*at, text)).collect();
    let ended = match (&outturn.error, outturn.status) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(status)) => format!("ended with {status}"),
        (None, None) => "ended".to_owned(),
    };
    let streamed = outturn.streaming.unwrap_or_default();
    lines.push(line(record.ended + streamed, &ended));
    lines
}
