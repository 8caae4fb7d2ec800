//! Concurrency slots: how many attempts may be on the wire at once.

/// Counts the slots taken, below a ceiling.
#[derive(Debug, Clone)]
pub struct Slots {
    taken: u32,
    ceiling: u32,
    peak: u32,
}

impl Slots {
    /// All `slots_max` slots free.
    pub fn new(slots_max: u32) -> Self {
        Self { taken: 0, ceiling: slots_max, peak: 0 }
    }

    /// Takes one if there is one.
    pub fn take(&mut self) -> Taking {
        if self.taken >= self.ceiling {
            return Taking::Full;
        }
        self.taken += 1;
        self.peak = self.peak.max(self.taken);
        Taking::Taken
    }

    /// Gives one back.
    pub fn give(&mut self) {
        debug_assert!(self.taken > 0, "a slot is given back once");
        self.taken = self.taken.saturating_sub(1);
    }

    /// Moves the ceiling; slots above a lower one drain as they are given back.
    pub fn resize(&mut self, slots_max: u32) {
        self.ceiling = slots_max;
    }

    /// Whether one is free.
    pub fn has_free(&self) -> bool {
        self.taken < self.ceiling
    }

    /// The slots taken.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// The ceiling.
    pub fn slots_max(&self) -> u32 {
        self.ceiling
    }

    /// The most that were ever taken at once.
    pub fn peak(&self) -> u32 {
        self.peak
    }
}

/// The answer to a wish for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It is yours.
    Taken,
    /// All are taken.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_ceiling() {
        let mut slots = Slots::new(2);
        assert_eq!(
            [slots.take(), slots.take(), slots.take()],
            [Taking::Taken, Taking::Taken, Taking::Full]
        );
        slots.give();
        assert_eq!(slots.take(), Taking::Taken);
        assert_eq!(slots.peak(), 2);
    }

    #[test]
    fn lower_ceiling_drains() {
        let mut slots = Slots::new(3);
        (0..3).for_each(|_| assert_eq!(slots.take(), Taking::Taken));
        slots.resize(1);
        slots.give();
        slots.give();
        assert!(!slots.has_free());
        slots.give();
        assert!(slots.has_free());
    }
}
