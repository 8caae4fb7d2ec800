//! What was decided on a URL's way, for people.

use std::time::Instant;

use crate::cli::fetch::row::millis;
use crate::cli::fetch::tally::Outturn;

/// One line for each decision and one for how it ended.
pub(crate) fn lines((index, url): &(u64, String), outturn: &Outturn) -> Vec<String> {
    let line = |offset: f64, text: &str| format!("{index} {url}: +{offset:.1} ms {text}");
    let Some(record) = &outturn.record else {
        let error = outturn.error.as_ref().map(ToString::to_string);
        return vec![line(0.0, &error.unwrap_or_default())];
    };
    let offset = |at: Instant| millis(at.saturating_duration_since(record.began));
    let mut steps: Vec<(Instant, String)> =
        record.decisions.iter().map(|decision| (decision.at, decision.text.clone())).collect();
    steps.extend(record.attempts.iter().map(|attempt| {
        let came_to = match (attempt.status, attempt.error) {
            (_, Some(kind)) => kind.name().to_owned(),
            (Some(status), None) => status.to_string(),
            (None, None) => "no answer".to_owned(),
        };
        (attempt.ended, format!("attempt {}: {came_to}", attempt.n))
    }));
    steps.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = steps.iter().map(|(at, text)| line(offset(*at), text)).collect();
    let ended = match (&outturn.error, outturn.status) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(status)) => format!("ended with {status}"),
        (None, None) => "ended".to_owned(),
    };
    lines.push(line(offset(record.ended), &ended));
    lines
}
