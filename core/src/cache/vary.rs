//! Which requests an answer is for: the fields that chose it (RFC 9111 section 4.1).
//!
//! Values are brought into one form first, so that `de, en` and `EN,de` choose the same answer; what
//! names a user is compared as it stands.

use crate::cache::fields::{Fields, split_unquoted};

/// The fields that chose an answer, in lower case, sorted, each once; `None` for `Vary: *`.
pub fn selecting(response: &(impl Fields + ?Sized)) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for member in response.members("vary") {
        if member == b"*" {
            return None;
        }
        names.push(String::from_utf8_lossy(member).to_ascii_lowercase());
    }
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// What a request says in those fields: equal for requests that choose the same answer, and
/// different for all others, because each part tells its length.
pub fn selection(names: &[String], request: &(impl Fields + ?Sized)) -> Vec<u8> {
    // The name, the two lengths, the mark and a short value.
    let length = |name: &String| name.len() + 48;
    let mut key = Vec::with_capacity(names.iter().map(length).sum());
    for name in names {
        append(&mut key, name.as_bytes());
        if request.has(name) {
            key.push(1);
            append(&mut key, &normal(name, request));
        } else {
            key.push(0);
        }
    }
    key
}

fn append(key: &mut Vec<u8>, part: &[u8]) {
    key.extend((part.len() as u64).to_be_bytes());
    key.extend(part);
}

/// A field's lines in the form that is compared.
fn normal(name: &str, request: &(impl Fields + ?Sized)) -> Vec<u8> {
    if CREDENTIALS.contains(&name) {
        let mut exact = Vec::new();
        request.lines(name).for_each(|line| append(&mut exact, line));
        return exact;
    }
    let mut normal = Vec::new();
    if UNORDERED.contains(&name) {
        let mut members: Vec<Vec<u8>> = request.members(name).map(folded).collect();
        members.sort_unstable();
        members.iter().for_each(|member| append(&mut normal, member));
        return normal;
    }
    // An empty member may mean something in a field that is not known to be a list.
    let members = request.lines(name).flat_map(|line| split_unquoted(line, b','));
    members.for_each(|member| append(&mut normal, member.trim_ascii()));
    normal
}

/// A member in lower case and without blanks around its parameters.
fn folded(member: &[u8]) -> Vec<u8> {
    let parts = split_unquoted(member, b';').map(|part| part.trim_ascii().to_ascii_lowercase());
    parts.collect::<Vec<_>>().join(&b";"[..])
}

/// Fields whose members stand in no order and mean the same in any case.
const UNORDERED: [&str; 3] = ["accept-language", "accept-encoding", "accept-charset"];
/// The fields that say who asks: they part users, whether or not an answer names them.
pub const CREDENTIALS: [&str; 11] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "api-key",
    "x-access-token",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-session-token",
    "private-token",
];

#[cfg(test)]
mod tests {
    use super::*;

    type Table<'a> = &'a [(&'a str, &'a str)];

    fn names(lines: Table<'_>) -> Option<Vec<String>> {
        selecting(lines)
    }

    fn same(name: &str, one: Table<'_>, two: Table<'_>) -> bool {
        let names = [name.to_owned()];
        selection(&names, one) == selection(&names, two)
    }

    #[test]
    fn star_anywhere_matches_nothing() {
        for line in ["*", "*, *", ", *", "*, Foo", "Foo, *"] {
            assert_eq!(names(&[("Vary", line)]), None, "{line}");
        }
        assert_eq!(names(&[("Vary", ""), ("Vary", "*")]), None);
        let named = names(&[("Vary", "B, a"), ("Vary", "b")]);
        assert_eq!(named, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(&[]), Some(Vec::new()));
    }

    #[test]
    fn forms_of_one_value_are_the_same() {
        assert!(same("foo", &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")]));
        assert!(same("foo", &[("Foo", "1,2")], &[("Foo", " 1, 2 ")]));
        let language = "accept-language";
        assert!(same(
            language,
            &[("Accept-Language", "en, de")],
            &[("Accept-Language", "dE,  En ")]
        ));
        assert!(same(
            language,
            &[("Accept-Language", "en;q=1")],
            &[("Accept-Language", "en ; q=1")]
        ));
        assert!(!same(
            language,
            &[("Accept-Language", "en;q=1, de")],
            &[("Accept-Language", "en, de;q=1")]
        ));
    }

    #[test]
    fn different_values_stay_different() {
        assert!(!same("foo", &[("Foo", "1")], &[("Foo", "2")]));
        assert!(!same("foo", &[("Foo", "1, 2")], &[("Foo", "2, 1")]));
        assert!(!same("foo", &[("Foo", "")], &[]));
        assert!(!same("foo", &[("Foo", "1,,2")], &[("Foo", "1,2")]));
        assert!(!same("foo", &[("Foo", "\"1,2")], &[("Foo", "\"1"), ("Foo", "2")]));
        assert!(!same("x-api-key", &[("X-Api-Key", "a, b")], &[("X-Api-Key", "a,b")]));
        assert!(!same("foo", &[("Foo", "\"1,2\"")], &[("Foo", "1,2")]));
        assert!(!same("cookie", &[("Cookie", "a=1, b")], &[("Cookie", "a=1,b")]));
        assert!(!same("cookie", &[("Cookie", "a"), ("Cookie", "b")], &[("Cookie", "ab")]));
        let both = ["a".to_owned(), "b".to_owned()];
        let one: Table<'_> = &[("A", "x"), ("B", "yz")];
        let two: Table<'_> = &[("A", "xy"), ("B", "z")];
        assert_ne!(selection(&both, one), selection(&both, two));
    }
}
