//! Finds the word that was probably meant.

/// The candidate that `word` is probably a slip of.
///
/// Near is a third of its letters wrong, or one word inside the other.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let plain = word.to_lowercase().replace('-', "_");
    let scored = candidates.iter().map(|candidate| {
        let other = candidate.to_lowercase();
        let within = plain.len() >= 4 && (other.contains(&plain) || plain.contains(&other));
        let wrong = distance(&plain, &other);
        (if within { wrong.min(1) } else { wrong }, *candidate)
    });
    let (wrong, candidate) = scored.min_by_key(|(wrong, _)| *wrong)?;
    (wrong <= (plain.chars().count() / 3).max(1)).then_some(candidate)
}

/// The candidates as a sentence lists them.
pub(crate) fn listed(candidates: &[&str]) -> String {
    let quoted: Vec<String> = candidates.iter().map(|c| format!("`{c}`")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

/// How many letters must be put in, left out or changed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, letter) in from.chars().enumerate() {
        let (mut diagonal, mut left) = (index, index + 1);
        let mut next = vec![left];
        for (other, above) in to.chars().zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(letter != other);
            left = changed.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let keys = ["max_attempts", "base", "factor", "cap", "failure_threshold"];
        assert_eq!(nearest("failure_treshold", &keys), Some("failure_threshold"));
        assert_eq!(nearest("failure-threshold", &keys), Some("failure_threshold"));
        assert_eq!(nearest("attempts", &keys), Some("max_attempts"));
        assert_eq!(nearest("CAP", &keys), Some("cap"));
        assert_eq!(nearest("cache", &keys), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
