//! How many connections the system lets this process have: each takes a descriptor, and each call to
//! an upstream another.

use super::say;

/// Raises the limit as far as it goes, and says so if that is less than the listeners would take.
#[cfg(unix)]
pub(super) fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Where it is refused, the limit stays what it was.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    if let Some(current) = getrlimit(Resource::Nofile).current
        && current < DESCRIPTORS_MIN
    {
        say(&format!(
            "warning: the system lets this process have {current} descriptors: no more connections \
             than that are open at once\nhint: raise it with `ulimit -n` or LimitNOFILE"
        ));
    }
}

/// There is nothing to raise here.
#[cfg(not(unix))]
pub(super) fn raise() {
    let _ = say;
}

/// Fewer are a limit that is met before any of ours.
const DESCRIPTORS_MIN: u64 = 16_384 + 1_024;
