//! The retry budget: extra attempts are paid for by successes.
//!
//! Fed by successes and not by requests, and without a floor per second: a budget fed by requests
//! never leaves a metastable overload at 93 % load, and a floor doubles the load on a dead backend
//! that many small clients share (docs/defaults.md). One budget is shared by everything that sends
//! more than the callers asked for.

use crate::verdict::Cost;

/// How much more than the callers' own attempts may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetOptions {
    /// Tokens earned by each success. 0.1 is one retry for ten successes.
    pub ratio: f64,
    /// Tokens at the start.
    pub initial: f64,
    /// The most tokens that are saved up.
    pub cap: f64,
    /// Tokens that an extra attempt costs.
    pub price: f64,
    /// Tokens that it costs after the server asked to be asked less.
    pub price_throttled: f64,
    /// What the success of an extra attempt earns.
    pub refund: Refund,
}

/// What the success of an extra attempt earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Refund {
    /// What any success earns.
    #[default]
    Ratio,
    /// What it has cost.
    Price,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            ratio: 0.1,
            initial: 10.0,
            cap: 10.0,
            price: 1.0,
            price_throttled: 1.0,
            refund: Refund::Ratio,
        }
    }
}

impl BudgetOptions {
    /// The retry quota of the AWS SDKs' standard mode, as of 2026: 500 tokens, 14 for a retry, 5
    /// after throttling, given back when the retry succeeds (aws-sdk-go-v2#3400).
    pub fn aws_standard() -> Self {
        Self {
            ratio: 1.0,
            initial: 500.0,
            cap: 500.0,
            price: 14.0,
            price_throttled: 5.0,
            refund: Refund::Price,
        }
    }

    fn price(&self, cost: Cost) -> f64 {
        match cost {
            Cost::Free => 0.0,
            Cost::Token => self.price,
            Cost::Throttled => self.price_throttled,
        }
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

    /// Earns for the success of an attempt that cost this.
    pub fn earn(&mut self, cost: Cost) {
        let earned = match (self.options.refund, cost) {
            (Refund::Price, Cost::Token | Cost::Throttled) => self.options.price(cost),
            (Refund::Price, Cost::Free) | (Refund::Ratio, _) => self.options.ratio,
        };
        self.tokens = (self.tokens + earned).min(self.options.cap);
    }

    /// Pays for one attempt; refused when there are too few tokens.
    pub fn spend(&mut self, cost: Cost) -> Payment {
        if !self.affords(cost) {
            return Payment::Refused;
        }
        self.tokens = (self.tokens - self.options.price(cost)).max(0.0);
        Payment::Paid
    }

    /// Takes new options; tokens above the new cap are lost.
    pub fn configure(&mut self, options: BudgetOptions) {
        self.options = options;
        self.tokens = self.tokens.min(options.cap);
    }

    /// Whether an attempt could be paid for.
    pub fn affords(&self, cost: Cost) -> bool {
        // Ten deposits of 0.1 must buy one retry although 0.1 has no exact double.
        self.tokens >= self.options.price(cost) - 1e-9
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
            budget.earn(Cost::Free);
        }
        assert_eq!(budget.spend(Cost::Token), Payment::Refused);
        budget.earn(Cost::Free);
        assert_eq!(budget.spend(Cost::Token), Payment::Paid);
        assert_eq!(budget.spend(Cost::Token), Payment::Refused);
    }

    #[test]
    fn dead_upstream_gets_the_initial_credit_and_no_more() {
        let mut budget = Budget::new(BudgetOptions::default());
        let paid = (0..1000).filter(|_| budget.spend(Cost::Token) == Payment::Paid).count();
        assert_eq!(paid, 10);
    }

    #[test]
    fn credit_is_capped() {
        let mut budget = Budget::new(BudgetOptions::default());
        (0..100_000).for_each(|_| budget.earn(Cost::Free));
        assert!(budget.tokens() <= 10.0);
    }

    #[test]
    fn attempts_that_cost_nothing_need_no_credit() {
        let mut budget = Budget::new(BudgetOptions { initial: 0.0, ..BudgetOptions::default() });
        assert_eq!(budget.spend(Cost::Free), Payment::Paid);
        assert_eq!(budget.spend(Cost::Throttled), Payment::Refused);
    }

    /// aws-sdk-go-v2#3400, aws-sdk-java-v2#6925: the standard mode of 2026.
    #[test]
    fn aws_quota_costs_fourteen_or_five_and_is_given_back() {
        let mut budget = Budget::new(BudgetOptions::aws_standard());
        let check = |budget: &Budget, tokens: u32| {
            assert!((budget.tokens() - f64::from(tokens)).abs() < 1e-9, "{}", budget.tokens());
        };
        assert_eq!(budget.spend(Cost::Token), Payment::Paid);
        check(&budget, 486);
        assert_eq!(budget.spend(Cost::Token), Payment::Paid);
        check(&budget, 472);
        budget.earn(Cost::Token);
        check(&budget, 486);
        assert_eq!(budget.spend(Cost::Throttled), Payment::Paid);
        check(&budget, 481);
        budget.earn(Cost::Throttled);
        budget.earn(Cost::Free);
        check(&budget, 487);
        (0..100).for_each(|_| budget.earn(Cost::Free));
        check(&budget, 500);
        let retries = (0..100).filter(|_| budget.spend(Cost::Token) == Payment::Paid).count();
        assert_eq!(retries, 35);
        check(&budget, 10);
        assert_eq!(budget.spend(Cost::Throttled), Payment::Paid);
    }
}
