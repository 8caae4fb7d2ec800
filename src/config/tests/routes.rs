//! Which section and which route speak for a call.

use std::time::Duration;

use spillgate_core::call::HedgeDelay;
use spillgate_core::hedge::HedgeOptions;

use super::*;

const FILE: &str = r#"
[defaults]
retry = { max_attempts = 3 }
[[host]]
match = "*.example"
deadline = "20s"
limits = { per_host = 2 }
[[host]]
match = "api.example"
retry = { methods = ["GET", "PUT"] }
[[host.route]]
match = "/v1/**"
deadline = "9s"
[[host.route]]
match = "POST /v1/charges"
deadline = "8s"
retry = { methods = ["POST"], max_attempts = 2 }
[[host.route]]
match = "/users/{id}"
breaker = { failure_threshold = 2 }
[[host]]
match = "api.example:8443"
deadline = "7s"
"#;

#[test]
fn narrowest_host_speaks_alone() {
    let config = read(FILE);
    let policy = config.host_policy(&host("www.example"));
    assert_eq!((policy.deadline, policy.concurrency), (seconds(20), 2));
    let policy = config.host_policy(&host("API.example."));
    assert_eq!((policy.deadline, policy.concurrency), (seconds(30), 6));
    let policy = config.host_policy(&HostName::new("https", "api.example", 8443));
    assert_eq!((policy.deadline, policy.retry.attempts_max), (seconds(7), 3));
}

#[test]
fn narrowest_route_changes_its_host() {
    let config = read(FILE);
    let api = host("api.example");
    let deadline = |method, path| config.policy(&api, &method, path, None).deadline;
    assert_eq!(deadline(Method::POST, "/v1/charges"), seconds(8));
    assert_eq!(deadline(Method::GET, "/v1/charges"), seconds(9));
    assert_eq!(deadline(Method::GET, "/v2"), seconds(30));
    let attempts = config.policy(&api, &Method::POST, "/v1/charges", None).retry.attempts_max;
    assert_eq!(attempts, 2);
    let named = config.policy(&api, &Method::GET, "/x/users/7", Some("/users/{id}"));
    assert_eq!(named.breaker.failure_threshold, 2);
    let route = config.matching_route(&api, &Method::GET, "/users/7", None);
    assert_eq!(route, Some("/users/{id}"));
    assert_eq!(config.matching_route(&host("b"), &Method::GET, "/users/7", None), None);
}

#[test]
fn only_hosts_with_routes_have_routes() {
    let config = read(FILE);
    assert!(config.has_routes(&host("api.example")));
    assert!(!config.has_routes(&host("www.example")));
    assert!(!config.has_routes(&HostName::new("https", "api.example", 8443)));
}

#[test]
fn methods_are_repeatable_by_route_then_host_then_defaults() {
    let config = read(FILE);
    let (api, other) = (host("api.example"), host("b"));
    let repeatable = |host, method, path| config.is_repeatable(host, &method, path, None);
    assert!(repeatable(&api, Method::POST, "/v1/charges"));
    assert!(!repeatable(&api, Method::POST, "/v1/other"));
    assert!(repeatable(&api, Method::PUT, "/v1/other"));
    assert!(!repeatable(&api, Method::HEAD, "/v1/other"));
    assert!(repeatable(&other, Method::HEAD, "/"));
    assert!(!repeatable(&other, Method::PUT, "/"));
}

#[test]
fn hedging_is_switched_by_enabled_or_by_saying_how() {
    let file = r#"
        [defaults]
        hedge = { busy_max = 0.5 }
        [[host]]
        match = "off.example"
        hedge = { enabled = false }
        [[host]]
        match = "slow.example"
        hedge = { delay = "50ms", budget = 0.1 }
        [[host.route]]
        match = "/live"
        hedge = { delay = "live" }
        [[host.route]]
        match = "/never"
        hedge = { enabled = false }
    "#;
    let config = read(file);
    let hedge = |name, path| config.policy(&host(name), &Method::GET, path, None).hedge;
    let inherited = HedgeOptions { busy_max: 0.5, ..HedgeOptions::default() };
    let fixed = HedgeDelay::Fixed(Duration::from_millis(50));
    let slow = HedgeOptions { delay: fixed, ratio: 0.1, ..inherited };
    assert_eq!(hedge("any.example", "/"), Some(inherited));
    assert_eq!(hedge("off.example", "/"), None);
    assert_eq!(hedge("slow.example", "/"), Some(slow));
    let live = HedgeOptions { delay: HedgeDelay::LiveP95, ..slow };
    assert_eq!(hedge("slow.example", "/live"), Some(live));
    assert_eq!(hedge("slow.example", "/never"), None);
    assert_eq!(read("").host_policy(&host("any.example")).hedge, None);
}

#[test]
fn what_hedges_may_take_belongs_to_a_host() {
    for key in ["budget", "busy_max"] {
        let file = format!(
            "[[host]]\nmatch = \"a\"\n[[host.route]]\nmatch = \"/b\"\nhedge = {{ {key} = 0.1 }}\n"
        );
        let error = Config::from_toml(&file, "test").unwrap_err().to_string();
        assert!(error.contains(&format!("hedge.{key}")), "{error}");
    }
    let error = Config::from_toml("[defaults]\nhedge = { delay = \"soon\" }", "test")
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected \"live\" or a text such as"), "{error}");
}
