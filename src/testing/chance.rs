//! Chance that depends on the seed, the key and the hit's number, never on timing.

/// Draws a number from 0 to `max`, both included.
pub(super) fn draw(seed: u64, key: &str, turn: u64, max: u64) -> u64 {
    let name =
        key.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    let mixed = mix(mix(seed) ^ mix(name).wrapping_add(mix(turn.wrapping_add(1))));
    match max.checked_add(1) {
        Some(outcomes) => mixed % outcomes,
        None => mixed,
    }
}

/// The finalizer of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_for_the_same_seed_and_differ_for_another() {
        let draws = |seed| (0..64).map(|turn| draw(seed, "/delay/5", turn, 99)).collect::<Vec<_>>();
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn draws_reach_both_ends_and_never_pass_them() {
        let draws: Vec<_> = (0..1000).map(|turn| draw(1, "k", turn, 9)).collect();
        assert_eq!(draws.iter().min(), Some(&0));
        assert_eq!(draws.iter().max(), Some(&9));
        assert_eq!(draw(1, "k", 0, 0), 0);
    }
}
