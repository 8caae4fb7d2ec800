//! What a call of a modelled caller is for.

use spillgate_core::call::Priority;
use spillgate_core::rng::Rng;

/// What a call is for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Errand {
    /// Which part of the upstream.
    pub(super) route: usize,
    /// How urgent.
    pub(super) priority: Priority,
    /// What it may share.
    pub(super) key: Option<u64>,
}

/// Any errand: the same part, normal rank, nothing shared.
pub(super) fn plain_errand(_: &mut Rng) -> Errand {
    Errand::default()
}
