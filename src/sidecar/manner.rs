//! How a client wants its request treated, beside what the cache understands of it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::HeaderMap;
use spillgate_actors::core::call::Priority;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::request_body::Body;
use spillgate_actors::transport::Interim;

use crate::sidecar::trailers::Behind;
use crate::sidecar::upload::Upload;

/// Which requests are sent again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// Those of which nothing can have reached the upstream, and those with an `Idempotency-Key`:
    /// the client behind the proxy has retries of its own, and two layers multiply.
    #[default]
    NeverSent,
    /// As the policy has it.
    ByPolicy,
}

/// What is done for one request.
#[derive(Clone)]
pub(super) struct Manner {
    repeats: Repeats,
    keyed: bool,
    priority: Priority,
    deadline: Option<Duration>,
    interim: Option<Interim>,
    behind: Arc<Behind>,
}

impl Manner {
    /// Reads what the client says, and takes away what is for this hop alone.
    pub(super) fn take(
        headers: &mut HeaderMap,
        repeats: Repeats,
        interim: Option<Interim>,
    ) -> Self {
        let deadline = headers.remove(DEADLINE).and_then(|text| text.to_str().ok()?.parse().ok());
        let deadline = deadline.filter(|millis| *millis > 0).map(Duration::from_millis);
        let keyed = headers.contains_key("idempotency-key");
        let urgency = headers.get("priority").and_then(|line| line.to_str().ok()).and_then(urgency);
        let priority = match urgency {
            Some(0) => Priority::Critical,
            Some(1 | 2) => Priority::Foreground,
            Some(5..) => Priority::Background,
            Some(_) | None => Priority::Normal,
        };
        Self { repeats, keyed, priority, deadline, interim, behind: Arc::default() }
    }

    /// The same for a request that many wait for.
    pub(super) fn for_all(&self) -> Self {
        Self { deadline: None, ..self.clone() }
    }

    /// The same for a refresh that nobody waits for.
    pub(super) fn for_refresh(self) -> Self {
        let behind = Arc::default();
        Self { deadline: None, interim: None, priority: Priority::Background, behind, ..self }
    }

    /// What comes behind the bodies of the request and of its own answer.
    pub(super) fn behind(&self) -> Arc<Behind> {
        self.behind.clone()
    }

    /// The body for the upstream's request.
    pub(super) fn body(&self, upload: Upload) -> Body {
        upload.pass_on(self.behind())
    }

    /// Whether the client says how long it waits.
    pub(super) fn is_bounded(&self) -> bool {
        self.deadline.is_some()
    }

    /// Waits as long as the client does; `None` if it took longer.
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match self.deadline {
            Some(deadline) => tokio::time::timeout(deadline, future).await.ok(),
            None => Some(future.await),
        }
    }

    /// Tells the upstream's request.
    pub(super) fn apply(&self, fetch: Fetch) -> Fetch {
        let fetch = fetch.priority(self.priority).trailers(self.behind());
        let fetch = match self.deadline {
            Some(deadline) => fetch.deadline(deadline),
            None => fetch,
        };
        let fetch = match (self.repeats, self.keyed) {
            (Repeats::NeverSent, false) => fetch.retry_if_never_sent(),
            (Repeats::NeverSent | Repeats::ByPolicy, _) => fetch,
        };
        match &self.interim {
            Some(interim) => fetch.on_interim(interim.clone()),
            None => fetch,
        }
    }
}

/// The urgency of RFC 9218, 0 to 7.
fn urgency(line: &str) -> Option<u8> {
    let value = line.split(',').find_map(|part| part.trim().strip_prefix("u="))?;
    value.parse().ok().filter(|urgency| *urgency <= 7)
}

/// How long the client waits, in milliseconds.
const DEADLINE: HeaderName = HeaderName::from_static("x-spillgate-deadline-ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_says_is_read_and_the_rest_is_normal() {
        for (line, expected) in [
            ("u=0", Priority::Critical),
            ("i, u=1", Priority::Foreground),
            ("u=3", Priority::Normal),
            ("u=7", Priority::Background),
            ("u=8", Priority::Normal),
            ("u=x", Priority::Normal),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("priority", line.parse().unwrap());
            headers.insert(DEADLINE, "250".parse().unwrap());
            let manner = Manner::take(&mut headers, Repeats::NeverSent, None);
            assert_eq!(manner.priority, expected, "{line}");
            assert_eq!(manner.deadline, Some(Duration::from_millis(250)));
            assert!(!headers.contains_key(DEADLINE) && headers.contains_key("priority"));
            assert_eq!(manner.for_all().deadline, None);
        }
    }
}
