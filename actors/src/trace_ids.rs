//! Fresh trace and span ids, without a lock and without a system call each.

use std::sync::atomic::{AtomicU64, Ordering};

use spillgate_core::rng::Rng;

use crate::record::SpanContext;

/// Makes ids that are unique in the world with the odds of random ones.
///
/// Ids are not secrets: a counter under a random seed is enough.
#[derive(Debug)]
pub(crate) struct TraceIds {
    seed: u64,
    count: AtomicU64,
}

impl TraceIds {
    /// Ids that follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }

    /// A span in the trace of `parent`, or the first of a new trace.
    pub(crate) fn span(&self, parent: Option<SpanContext>) -> SpanContext {
        let mut rng = self.rng();
        let span_id = nonzero(&mut rng).to_be_bytes();
        if let Some(parent) = parent {
            return SpanContext { span_id, ..parent };
        }
        let mut trace_id = [0; 16];
        let (high, low) = trace_id.split_at_mut(8);
        high.copy_from_slice(&nonzero(&mut rng).to_be_bytes());
        low.copy_from_slice(&rng.next_u64().to_be_bytes());
        SpanContext { trace_id, span_id, sampled: true }
    }

    fn rng(&self) -> Rng {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        Rng::new(self.seed ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

fn nonzero(rng: &mut Rng) -> u64 {
    rng.next_u64().max(1)
}
