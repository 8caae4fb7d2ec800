//! The words for decisions.

use std::fmt;
use std::time::Duration;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::Generation;
use spillgate_core::event::OpenReason;
use spillgate_core::verdict::{Cost, Finality, Gate, Grounds};

use crate::course::Role;
use crate::decision::{Decision, DecisionKind};
use crate::record::WaitCause;

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(attempt) = self.attempt {
            write!(f, "attempt {attempt}: ")?;
        }
        self.what.fmt(f)
    }
}

impl fmt::Display for DecisionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entered { flight, role, priority, deadline, under_way } => {
                let (flight, priority, left) = (flight.0, priority.name(), Span(*deadline));
                match role {
                    Role::Led => write!(f, "began flight {flight} as {priority}")?,
                    Role::Joined => write!(f, "joined flight {flight} as {priority}")?,
                    Role::WentOn => {
                        write!(f, "joined flight {flight} as {priority}, and went on with it")?;
                        f.write_str(" when the call that began it left")?;
                    }
                }
                if let Some(attempt) = under_way {
                    write!(f, ", its attempt {attempt} being on the wire")?;
                }
                write!(f, "; {left} until the deadline")
            }
            Self::Queued { ahead } => {
                write!(f, "waits for a slot, {} ahead", Count(*ahead, "flight"))
            }
            Self::Shared { waiters } => {
                write!(f, "another call joined; {} wait for the flight", Count(*waiters, "call"))
            }
            Self::Ranked { from, to } => {
                let how = if to > from { "raised" } else { "fell" };
                write!(f, "{how} from {} to {}", from.name(), to.name())?;
                f.write_str(if to > from { " by a call that joined" } else { " as a call left" })
            }
            Self::Waited { cause, length, .. } => {
                write!(f, "waited {} {}", Span(*length), reason_to_wait(*cause))
            }
            Self::Passed { generation, probe, cost, tokens } => {
                passed(f, *generation, *probe)?;
                write!(f, "; {}, {} left", paid(*cost), Tokens(*tokens))
            }
            Self::Injected { fault } => write!(f, "chaos: {fault}"),
            Self::Refused { .. } => refused(f, self),
            Self::Hedged { beside } => write!(f, "a hedge beside attempt {beside}, which is slow"),
            Self::Outrun => f.write_str("called back, since another attempt answered first"),
            Self::Ended { status, error, took } => {
                match (status, error) {
                    (_, Some(kind)) => f.write_str(kind.name())?,
                    (Some(status), None) => write!(f, "answered {status}")?,
                    (None, None) => f.write_str("no answer")?,
                }
                write!(f, " after {}", Span(*took))
            }
            Self::Retry { .. } => retry(f, self),
            Self::Redirected { host } => write!(f, "redirected to {host}"),
            Self::NoRetry { .. } => no_retry(f, self),
            Self::Answered { status, attempts, tokens } => {
                write!(f, "done with {status} after {}", Count(*attempts as usize, "attempt"))?;
                left(f, *tokens)
            }
            Self::Failed { .. } => failed(f, self),
            Self::LeftOut { count } => write!(f, "… {count} more"),
        }
    }
}

fn passed(f: &mut fmt::Formatter<'_>, generation: Option<Generation>, probe: bool) -> fmt::Result {
    f.write_str("sent: passed deadline, pace, rate, slot, budget")?;
    match (generation, probe) {
        (None, _) => f.write_str("; the breaker was not asked"),
        (Some(Generation(n)), false) => write!(f, ", breaker (generation {n})"),
        (Some(Generation(n)), true) => write!(f, ", breaker (generation {n}, as a probe)"),
    }
}

fn refused(f: &mut fmt::Formatter<'_>, decision: &DecisionKind) -> fmt::Result {
    let DecisionKind::Refused { gate, retry_in, grounds, scope, generation, reason, tokens } =
        decision
    else {
        return Ok(());
    };
    f.write_str("not sent: ")?;
    match (gate, grounds) {
        (_, Grounds::TimeLeft { left, needed }) => time_left(f, *left, *needed)?,
        (Gate::Deadline, _) => f.write_str("too little time is left until the deadline")?,
        (_, Grounds::Quota) => f.write_str("the quota that the server told of is used up")?,
        (Gate::Pace, Grounds::Gate) => {
            f.write_str("the server asked to be left alone (Retry-After)")?;
        }
        (Gate::Rate, Grounds::Gate) => f.write_str("the host's own rate is used up")?,
        (Gate::Slot, Grounds::Gate) => f.write_str("the host has no free slot")?,
        (Gate::Budget, Grounds::Gate) => {
            write!(f, "the retry budget holds {}, too little", Tokens(*tokens))?;
        }
        (Gate::Breaker, Grounds::Gate) => {
            write!(f, "the circuit of {scope} is open")?;
            standing(f, *generation, *reason)?;
        }
        (Gate::Probe, Grounds::Gate) => {
            write!(f, "a probe of {scope} is away and its verdict awaited")?;
            standing(f, *generation, *reason)?;
        }
        (Gate::Hedge, Grounds::Gate) => {
            f.write_str("no hedge is earned, slots are scarce, or its first is no more")?;
        }
        (Gate::Device, Grounds::Gate) => f.write_str("this device is offline")?,
    }
    match (gate, retry_in) {
        (Gate::Probe, Some(wait)) => write!(f, "; it falls within {}", Span(*wait)),
        (_, Some(wait)) => write!(f, "; again in {}", Span(*wait)),
        (_, None) => Ok(()),
    }
}

/// What is known of a breaker that refuses, in parentheses.
fn standing(
    f: &mut fmt::Formatter<'_>,
    generation: Option<Generation>,
    reason: Option<OpenReason>,
) -> fmt::Result {
    match (generation, reason) {
        (Some(Generation(n)), Some(reason)) => write!(f, " ({reason}; generation {n})"),
        (Some(Generation(n)), None) => write!(f, " (generation {n})"),
        (None, Some(reason)) => write!(f, " ({reason})"),
        (None, None) => Ok(()),
    }
}

fn retry(f: &mut fmt::Formatter<'_>, decision: &DecisionKind) -> fmt::Result {
    let DecisionKind::Retry { delay, wish, cost, tokens } = decision else { return Ok(()) };
    write!(f, "retry in {}", Span(*delay))?;
    if let Some(wish) = wish {
        write!(f, ", as the server asks for {} (Retry-After)", Span(*wish))?;
    }
    let price = match cost {
        Cost::Free => "free, since nothing can have been sent",
        Cost::Token => "paid from the retry budget",
        Cost::Throttled => "paid from the retry budget as a throttled one",
    };
    write!(f, "; {price}, {} left before it", Tokens(*tokens))
}

fn no_retry(f: &mut fmt::Formatter<'_>, decision: &DecisionKind) -> fmt::Result {
    let DecisionKind::NoRetry { finality, attempts, left, retry_in, tokens, scope } = decision
    else {
        return Ok(());
    };
    let words = finality.words();
    match finality {
        Finality::Settled
        | Finality::NotRepeatable
        | Finality::QueueFull
        | Finality::DeviceOffline
        | Finality::BodyGone => f.write_str(words)?,
        Finality::AttemptsSpent => {
            write!(f, "{words} ({})", Count(*attempts as usize, "attempt"))?;
        }
        Finality::BudgetSpent => {
            f.write_str(words)?;
            if let Some(tokens) = tokens {
                write!(f, " ({} left)", Tokens(*tokens))?;
            }
        }
        Finality::DeadlineNear { .. } => write!(f, "{words} ({} left)", Span(*left))?,
        Finality::CircuitOpen => write!(f, "no retry: the circuit of {scope} is open")?,
    }
    match retry_in {
        Some(wait) => write!(f, "; the server wants to be asked again in {}", Span(*wait)),
        None => Ok(()),
    }
}

fn failed(f: &mut fmt::Formatter<'_>, decision: &DecisionKind) -> fmt::Result {
    let DecisionKind::Failed { kind, grounds, retry_in, scope, attempts, tokens } = decision else {
        return Ok(());
    };
    write!(f, "failed with {}", kind.name())?;
    if *kind == ErrorKind::CircuitOpen {
        write!(f, " of {scope}")?;
    }
    match attempts {
        0 => f.write_str("; nothing was sent")?,
        count => write!(f, " after {}", Count(*count as usize, "attempt"))?,
    }
    if let Grounds::TimeLeft { left, needed } = grounds {
        f.write_str("; ")?;
        time_left(f, *left, *needed)?;
    }
    if let Some(wait) = retry_in {
        write!(f, "; asking again makes sense in {}", Span(*wait))?;
    }
    left(f, *tokens)
}

fn time_left(f: &mut fmt::Formatter<'_>, left: Duration, needed: Duration) -> fmt::Result {
    write!(f, "{} left until the deadline, of use are {} or more", Span(left), Span(needed))
}

fn left(f: &mut fmt::Formatter<'_>, tokens: Option<f64>) -> fmt::Result {
    match tokens {
        Some(tokens) => write!(f, "; {} left in the retry budget", Tokens(tokens)),
        None => Ok(()),
    }
}

fn paid(cost: Cost) -> &'static str {
    match cost {
        Cost::Free => "free",
        Cost::Token => "paid as a retry",
        Cost::Throttled => "paid as a throttled retry",
    }
}

fn reason_to_wait(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Queue => "in the queue",
        WaitCause::BackOff => "as back-off",
        WaitCause::RetryAfter => "because the server asked for it (Retry-After)",
        WaitCause::Pace => "because the server holds all calls (Retry-After or quota)",
        WaitCause::Rate => "for the host's own rate",
        WaitCause::Verdict => "for the verdict of a probe",
    }
}

/// A number of things.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, thing) = self;
        write!(f, "{count} {thing}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Tokens, with a decimal only where it says something.
struct Tokens(f64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        write!(f, "{tenths} tokens")
    }
}

/// A length of time as people say it: milliseconds below a second, seconds above.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = |number: f64, parts: f64| (number * parts).round() / parts;
        let seconds = self.0.as_secs_f64();
        let millis = rounded(seconds * 1e3, if seconds < 0.01 { 10.0 } else { 1.0 });
        // Rounding can make a whole second of a little less.
        if millis < 1e3 {
            return write!(f, "{millis} ms");
        }
        write!(f, "{} s", rounded(seconds, if seconds < 10.0 { 100.0 } else { 10.0 }))
    }
}
