//! The retry budget: extra attempts are paid for by successes.
//!
//! Fed by successes and not by requests, and without a floor per second: a budget fed by requests
//! never leaves a metastable overload at 93 % load, and a floor doubles the load on a dead backend
//! that many small clients share (docs/defaults.md). One budget is shared by everything that sends
//! more than the callers asked for.

/// How much more than the callers' own attempts may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetOptions {
    /// Tokens earned by each success; a retry costs one. 0.1 is one retry for ten successes.
    pub ratio: f64,
    /// Tokens at the start.
    pub initial: f64,
    /// The most tokens that are saved up.
    pub cap: f64,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { ratio: 0.1, initial: 10.0, cap: 10.0 }
    }
}

/// The tokens of one host.
#[derive(Debug, Clone)]
pub struct Budget {
    options: BudgetOptions,
    tokens: f64,
}

impl Budget {
    /// A budget with its initial credit.
    pub fn new(options: BudgetOptions) -> Self {
        Self { options, tokens: options.initial.min(options.cap) }
    }

    /// Earns for a success.
    pub fn earn(&mut self) {
        self.tokens = (self.tokens + self.options.ratio).min(self.options.cap);
    }

    /// Pays for one extra attempt; refused when there is less than a token.
    pub fn spend(&mut self) -> Payment {
        if !self.has_token() {
            return Payment::Refused;
        }
        self.tokens = (self.tokens - 1.0).max(0.0);
        Payment::Paid
    }

    /// Takes new options; tokens above the new cap are lost.
    pub fn configure(&mut self, options: BudgetOptions) {
        self.options = options;
        self.tokens = self.tokens.min(options.cap);
    }

    /// Whether one extra attempt could be paid for.
    pub fn has_token(&self) -> bool {
        // Ten deposits of 0.1 must buy one retry although 0.1 has no exact double.
        self.tokens >= 1.0 - 1e-9
    }

    /// The tokens left.
    pub fn tokens(&self) -> f64 {
        self.tokens
    }
}

/// Whether an extra attempt was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payment {
    /// It may be sent.
    Paid,
    /// It may not: too few successes.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_successes_buy_one_retry() {
        let mut budget = Budget::new(BudgetOptions { initial: 0.0, ..BudgetOptions::default() });
        for _ in 0..9 {
            budget.earn();
        }
        assert_eq!(budget.spend(), Payment::Refused);
        budget.earn();
        assert_eq!(budget.spend(), Payment::Paid);
        assert_eq!(budget.spend(), Payment::Refused);
    }

    #[test]
    fn dead_upstream_gets_the_initial_credit_and_no_more() {
        let mut budget = Budget::new(BudgetOptions::default());
        let paid = (0..1000).filter(|_| budget.spend() == Payment::Paid).count();
        assert_eq!(paid, 10);
    }

    #[test]
    fn credit_is_capped() {
        let mut budget = Budget::new(BudgetOptions::default());
        (0..100_000).for_each(|_| budget.earn());
        assert!(budget.tokens() <= 10.0);
    }
}
