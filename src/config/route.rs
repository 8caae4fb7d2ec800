//! Patterns over the calls of one host: a method, and a path whose segments may be open.

use http::Method;

use super::value::parse_method;

/// A pattern such as `POST /v1/charges/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    written: String,
    method: Option<Method>,
    segments: Vec<Segment>,
}

/// One part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Exactly this.
    Fixed(String),
    /// Any one segment that is not empty: `*` or `{name}`.
    Any,
    /// Whatever follows, at least one segment: `**`.
    Rest,
}

/// How narrow a route pattern is; the greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteRank {
    fixed: usize,
    closed: bool,
    any: usize,
    method: bool,
}

impl RoutePattern {
    /// Reads `[METHOD ]/path`; the text says what is wrong and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (method, path) = match text.split_once(char::is_whitespace) {
            Some((method, path)) => (Some(parse_method(method)?), path.trim()),
            None => (None, text),
        };
        let refusal = |problem: &str| Err(format!("{problem}, expected {EXPECTED}"));
        let Some(path) = path.strip_prefix('/') else {
            return refusal("a route is a path");
        };
        if path.contains(['?', '#']) {
            return refusal("a route has no query");
        }
        let mut segments = Vec::new();
        for part in path.split('/') {
            if segments.last() == Some(&Segment::Rest) {
                return refusal("`**` must come last");
            }
            segments.push(Segment::parse(part)?);
        }
        Ok(Self { written: text.to_owned(), method, segments })
    }

    /// Whether a call belongs to the route, by its path or by the route's name it gave itself.
    pub(crate) fn matches(&self, method: &Method, path: &str, route: Option<&str>) -> bool {
        let path_matches = |path: &str| {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            path.strip_prefix('/').is_some_and(|path| self.matches_segments(path))
        };
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && (path_matches(path) || route.is_some_and(path_matches))
    }

    /// The pattern as it was written.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// A call that the pattern matches.
    pub(super) fn example(&self) -> (Method, String) {
        let parts: Vec<&str> = self.segments.iter().map(Segment::example).collect();
        (self.method.clone().unwrap_or(Method::GET), format!("/{}", parts.join("/")))
    }

    /// Whether some call is matched by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let methods = match (&self.method, &other.method) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => true,
        };
        methods && paths_overlap(&self.segments, &other.segments)
    }

    pub(super) fn rank(&self) -> RouteRank {
        let count =
            |wanted: fn(&Segment) -> bool| self.segments.iter().filter(|s| wanted(s)).count();
        RouteRank {
            fixed: count(|segment| matches!(segment, Segment::Fixed(_))),
            closed: self.segments.last() != Some(&Segment::Rest),
            any: count(|segment| matches!(segment, Segment::Any)),
            method: self.method.is_some(),
        }
    }

    fn matches_segments(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        for segment in &self.segments {
            let matched = match (segment, parts.next()) {
                (_, None) => false,
                (Segment::Rest, Some(_)) => return true,
                (Segment::Any, Some(part)) => !part.is_empty(),
                (Segment::Fixed(fixed), Some(part)) => fixed == part,
            };
            if !matched {
                return false;
            }
        }
        parts.next().is_none()
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Self, String> {
        let named = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match part {
            "*" => Ok(Self::Any),
            "**" => Ok(Self::Rest),
            _ if named.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}'])) => {
                Ok(Self::Any)
            }
            _ if part.contains(['*', '{', '}']) => {
                Err(format!("`*` and `{{name}}` stand for a whole segment, expected {EXPECTED}"))
            }
            fixed => Ok(Self::Fixed(fixed.to_owned())),
        }
    }

    fn example(&self) -> &str {
        match self {
            Self::Fixed(fixed) => fixed,
            Self::Any | Self::Rest => "any",
        }
    }
}

fn paths_overlap(one: &[Segment], two: &[Segment]) -> bool {
    match (one.split_first(), two.split_first()) {
        (None, Some(_)) | (Some(_), None) => false,
        (None, None)
        | (Some((Segment::Rest, _)), Some(_))
        | (Some(_), Some((Segment::Rest, _))) => true,
        (Some((first, one)), Some((second, two))) => {
            let agree = match (first, second) {
                (Segment::Fixed(first), Segment::Fixed(second)) => first == second,
                (Segment::Fixed(fixed), _) | (_, Segment::Fixed(fixed)) => !fixed.is_empty(),
                (Segment::Any | Segment::Rest, Segment::Any | Segment::Rest) => true,
            };
            agree && paths_overlap(one, two)
        }
    }
}

const EXPECTED: &str = "a path such as `/v1/charges`, `POST /v1/users/{id}` or `/v1/**`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_match_by_method_and_segments() {
        let cases = [
            ("/v1/charges", "GET", "/v1/charges", true),
            ("POST /v1/charges", "GET", "/v1/charges", false),
            ("/users/{id}", "GET", "/users/7", true),
            ("/users/*", "GET", "/users/7/pets", false),
            ("/users/*", "GET", "/users/", false),
            ("/users/**", "GET", "/users/7/pets", true),
            ("/users/**", "GET", "/users", false),
            ("/", "GET", "/", true),
            ("/**", "DELETE", "/", true),
            ("/v1/", "GET", "/v1", false),
            ("/v1", "GET", "/v1?page=2", true),
        ];
        for (pattern, method, path, matches) in cases {
            let method = method.parse().unwrap();
            let route = RoutePattern::parse(pattern).unwrap();
            assert_eq!(route.matches(&method, path, None), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn route_names_match_like_paths() {
        let route = RoutePattern::parse("GET /users/{id}").unwrap();
        assert!(route.matches(&Method::GET, "/proxied/users/7", Some("/users/{id}")));
        assert!(!route.matches(&Method::GET, "/proxied/users/7", Some("users")));
    }

    #[test]
    fn bad_routes_are_refused() {
        for bad in ["", "charges", "post /a", "/a*", "/{}", "/{a", "/**/a", "/a?b", "GET", "GET a"]
        {
            assert!(RoutePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fixed_beats_open_and_ends_beat_rests() {
        let rank = |text| RoutePattern::parse(text).unwrap().rank();
        assert!(rank("/a/b") > rank("POST /a/{x}"));
        assert!(rank("/a/{x}") > rank("/a/**"));
        assert!(rank("GET /a") > rank("/a"));
        assert_eq!(rank("/a/{x}"), rank("/{x}/b"));
    }

    #[test]
    fn overlap_is_exact_and_examples_match() {
        let parse = |text: &str| RoutePattern::parse(text).unwrap();
        let overlap = |one: &str, two: &str| parse(one).overlaps(&parse(two));
        assert!(overlap("/a/{x}", "/{x}/b"));
        assert!(overlap("/**", "GET /a/b"));
        assert!(!overlap("GET /a", "POST /a"));
        assert!(!overlap("/a/*", "/a"));
        assert!(!overlap("/a/", "/a/*"));
        for text in ["/", "POST /a/{id}", "/a/**"] {
            let (method, path) = parse(text).example();
            assert!(parse(text).matches(&method, &path, None), "{text}");
        }
    }
}
