//! The guides whose code is compiled and run: a guide that does not compile is none.

#[doc = include_str!("../docs/howto/choosing-a-breaker.md")]
pub enum ChoosingABreaker {}

#[doc = include_str!("../docs/howto/choosing-limits.md")]
pub enum ChoosingLimits {}

#[doc = include_str!("../docs/howto/game-days.md")]
pub enum GameDays {}

#[doc = include_str!("../docs/howto/reading-decisions.md")]
pub enum ReadingDecisions {}

#[doc = include_str!("../docs/howto/why-budgets.md")]
pub enum WhyBudgets {}

#[doc = include_str!("../docs/howto/caching.md")]
pub enum Caching {}

#[doc = include_str!("../docs/howto/stale-while-revalidate-in-a-ui.md")]
pub enum StaleWhileRevalidateInAUi {}

#[doc = include_str!("../docs/howto/forward-proxy.md")]
pub enum ForwardProxy {}
