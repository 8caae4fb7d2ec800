//! Scenarios over the wire, and chance that a seed repeats.

use std::io::ErrorKind;

use serde_json::Value;

use super::super::Drill;
use super::{get, status};

#[tokio::test]
async fn a_scenario_is_walked_hit_by_hit() {
    let script = "[scenario.shop]\nsteps = [{ path = '/status/503', times = 2 }, \
                  { path = '/reset' }, { path = '/flap?ok=1&fail=1' }]\n";
    let drill = Drill::builder().script(script).start().unwrap();
    assert_eq!(status(&drill, "/scenario/shop").await, 503);
    assert_eq!(status(&drill, "/scenario/shop").await, 503);
    assert!(super::client().get(drill.url("/scenario/shop")).send().await.is_err());
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(status(&drill, "/scenario/shop").await);
    }
    assert_eq!(seen, [200, 503, 200, 503], "a step that counts counts for itself");
    assert_eq!(status(&drill, "/scenario/shop?key=other").await, 503, "each key begins anew");
    assert_eq!(drill.hits_at("/scenario/shop"), 8);
}

#[tokio::test]
async fn an_unknown_scenario_names_the_known_ones() {
    let drill = Drill::builder().script("[scenario.a]\nsteps=[{path='/ok'}]").start().unwrap();
    let answer = get(&drill, "/scenario/b").await;
    assert_eq!(answer.status(), 404);
    let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(told["scenarios"], serde_json::json!(["a"]));
}

#[test]
fn a_script_file_that_is_wrong_or_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drill.toml");
    let error = Drill::builder().script_file(&file).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("drill.toml"), "{error}");
    std::fs::write(&file, "[scenario.a]\nsteps = [{ path = '/stauts/503' }]").unwrap();
    let error = Drill::builder().script_file(&file).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("drill.toml: line 2, column 19: `path`"), "{error}");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_jitter_in_any_order_of_keys() {
    let first = delays(7, ["a", "b", "a", "b", "a", "b"]).await;
    assert_eq!(first, delays(7, ["b", "b", "b", "a", "a", "a"]).await);
    assert_ne!(first, delays(8, ["a", "b", "a", "b", "a", "b"]).await);
}

/// The delays that the drill says it took, by key and hit.
async fn delays(seed: u64, keys: [&str; 6]) -> Vec<(String, u64, String)> {
    let drill = Drill::builder().seed(seed).start().unwrap();
    let mut delays = Vec::new();
    for key in keys {
        let hit = drill.hits_of(key);
        let answer = get(&drill, &format!("/delay/0?jitter=20&key={key}")).await;
        let delay = answer.headers()["server-timing"].to_str().unwrap();
        delays.push((key.to_owned(), hit, delay.to_owned()));
    }
    delays.sort();
    delays
}
