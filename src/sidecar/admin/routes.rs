//! The paths of the admin listener, and who may ask for what.

use http::Method;

use super::guard::Access;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Version,
    Metrics,
    Hosts,
    Host(String),
    Queue,
    Cache,
    Config,
    Invalidate,
    Reload,
    Drain,
    Breaker(String, Turn),
}

/// What becomes of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Open,
    Close,
    Reset,
}

impl Route {
    /// What a path asks for; none if there is no such path.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/version" => Self::Version,
            "/metrics" => Self::Metrics,
            "/hosts" => Self::Hosts,
            "/queue" => Self::Queue,
            "/cache" => Self::Cache,
            "/config" => Self::Config,
            "/cache/invalidate" => Self::Invalidate,
            "/reload" | "/admin/reload" => Self::Reload,
            "/drain" => Self::Drain,
            _ => return Self::with_name(path),
        })
    }

    /// What it lets do.
    pub(super) fn access(&self) -> Access {
        match self {
            Self::Health | Self::Ready => Access::Probe,
            Self::Version
            | Self::Metrics
            | Self::Hosts
            | Self::Host(_)
            | Self::Queue
            | Self::Cache
            | Self::Config => Access::Look,
            Self::Invalidate | Self::Reload | Self::Drain | Self::Breaker(..) => Access::Change,
        }
    }

    /// Whether it can be asked with this method.
    pub(super) fn takes(&self, method: &Method) -> bool {
        match self.access() {
            Access::Probe | Access::Look => matches!(*method, Method::GET | Method::HEAD),
            Access::Change => *method == Method::POST,
        }
    }

    fn with_name(path: &str) -> Option<Self> {
        if let Some(host) = path.strip_prefix("/hosts/") {
            return decoded(host).map(Self::Host);
        }
        let (scope, turn) = path.strip_prefix("/breakers/")?.rsplit_once('/')?;
        let turn = match turn {
            "open" => Turn::Open,
            "close" => Turn::Close,
            "reset" => Turn::Reset,
            _ => return None,
        };
        Some(Self::Breaker(decoded(scope)?, turn))
    }
}

/// A percent-encoded name; none if it is empty or no text. One that is not encoded may hold slashes.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_and_what_is_none_is_no_path() {
        let host = |name: &str| Some(Route::Host(name.to_owned()));
        for (path, expected) in [
            ("/hosts/https%3A%2F%2Fa.example", host("https://a.example")),
            ("/hosts/a.example:80", host("a.example:80")),
            ("/hosts/a%20b", host("a b")),
            ("/hosts/", None),
            ("/hosts/%2", None),
            ("/hosts/%zz", None),
            ("/hosts/%ff", None),
            ("/breakers/a/open", Some(Route::Breaker("a".to_owned(), Turn::Open))),
            ("/breakers/a%2Fb/close", Some(Route::Breaker("a/b".to_owned(), Turn::Close))),
            ("/breakers/http://a/reset", Some(Route::Breaker("http://a".to_owned(), Turn::Reset))),
            ("/breakers/a/shut", None),
            ("/breakers//open", None),
            ("/breakers/open", None),
            ("/healthz/", None),
        ] {
            assert_eq!(Route::of(path), expected, "{path}");
        }
    }

    #[test]
    fn what_changes_something_is_posted_and_nothing_else_is() {
        for path in ["/healthz", "/metrics", "/hosts/a", "/reload", "/drain", "/breakers/a/reset"] {
            let route = Route::of(path).unwrap();
            let changes = route.access() == Access::Change;
            assert_eq!(route.takes(&Method::POST), changes, "{path}");
            assert_eq!(route.takes(&Method::GET), !changes, "{path}");
            assert!(!route.takes(&Method::OPTIONS) && !route.takes(&Method::PUT), "{path}");
        }
    }
}
