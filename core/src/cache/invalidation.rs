//! What an unsafe request makes useless (RFC 9111 section 4.4).

/// Whether an answer to a request of that method makes stored answers of its target useless: the
/// method may change things, and the answer is no error.
pub fn invalidates(method: &str, status: u16) -> bool {
    !SAFE.contains(&method) && (200..400).contains(&status)
}

/// The fields that name further targets, if they are of the same origin.
pub const FURTHER_TARGETS: [&str; 2] = ["location", "content-location"];

/// Methods that change nothing; one that is not known may.
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_of_what_may_change_things_invalidates() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            assert!(invalidates(method, 200) && invalidates(method, 302), "{method}");
            assert!(!invalidates(method, 500) && !invalidates(method, 404), "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(!invalidates(method, 200), "{method}");
        }
    }
}
