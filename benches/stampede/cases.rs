//! What the origin of the stampedes says: the first part of a path names the case, the second how
//! long it takes.

use std::time::Duration;

use spillgate_benches::origin::{Asked, Told};

/// Answers as the path says: `/case/milliseconds/anything`.
pub(crate) fn say(asked: &Asked<'_>) -> Told {
    let mut parts = asked.path.trim_start_matches('/').split('/');
    let case = parts.next().unwrap_or_default();
    let millis = parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
    let first = asked.number == 0;
    // What a case begins with is there at once.
    let primes = first && matches!(case, "renewed" | "failing" | "reset" | "expired");
    let told = answer(case, asked, first);
    told.after(if primes { Duration::ZERO } else { Duration::from_millis(millis) })
}

fn answer(case: &str, asked: &Asked<'_>, first: bool) -> Told {
    let body = format!("body {}.", asked.number);
    let user = asked.field("authorization").or(asked.field("x-user")).unwrap_or("nobody");
    let own = format!("for {user}.");
    let ok = |fields: &str, body: &str| Told::status("200 OK", fields, body.as_bytes());
    let old = if first { "Age: 9\r\n" } else { "" };
    match case {
        "uncacheable" => ok("Cache-Control: no-store\r\n", &body),
        "private" => ok("Cache-Control: private, max-age=60\r\n", &own),
        "cookie" => ok(&format!("{FRESH}Set-Cookie: id={user}\r\n"), &own),
        "anonymous-cookie" => ok(&format!("{FRESH}Set-Cookie: id={}\r\n", asked.number), &body),
        "authorization" => ok(FRESH, &own),
        "renewed" => {
            let said = "Cache-Control: max-age=5, stale-while-revalidate=60\r\n";
            ok(&format!("{said}{old}"), &body)
        }
        "failing" | "reset" if first => {
            ok(&format!("Cache-Control: max-age=5, stale-if-error=60\r\n{old}"), &body)
        }
        "failing" | "down" => Told::status("503 Service Unavailable", "", b"down"),
        "reset" => Told::reset(),
        "expired" if asked.field("if-none-match").is_some() => {
            Told::not_modified(&format!("ETag: \"a\"\r\n{FRESH}"))
        }
        "expired" => ok(&format!("ETag: \"a\"\r\nCache-Control: max-age=5\r\n{old}"), &body),
        "variants" => {
            let lane = asked.field("x-lane").unwrap_or("none");
            ok(&format!("{FRESH}Vary: X-Lane\r\n"), &format!("lane {lane}."))
        }
        _ => ok(FRESH, &body),
    }
}

const FRESH: &str = "Cache-Control: max-age=60\r\n";
