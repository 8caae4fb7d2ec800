//! The configurations that documents show are configurations.

use super::*;

#[test]
fn every_configuration_in_a_guide_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/howto");
    let mut read_in = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for snippet in configurations(&text) {
            if let Err(error) = Config::from_toml(&snippet, &name) {
                panic!("{error}");
            }
            read_in.push(name.clone());
        }
    }
    for guide in ["choosing-a-breaker.md", "choosing-limits.md", "sidecar.md", "why-budgets.md"] {
        assert!(read_in.iter().any(|name| name == guide), "{guide} shows no configuration");
    }
}

#[test]
fn worlds_and_manifests_are_no_configurations() {
    let text = "```toml\nrps = 280\n```\n```toml\n[dependencies]\n```\n```toml\n[[host]]\nx\n```\n";
    assert_eq!(configurations(text), ["[[host]]\nx\n"]);
}

/// The blocks of TOML that have a table of a configuration.
fn configurations(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line == "```toml") {
        let block = lines.by_ref().take_while(|line| *line != "```");
        let block = block.fold(String::new(), |block, line| block + line + "\n");
        let tables = ["[defaults", "[[host]]", "[telemetry", "[[listener]]", "[admin]"];
        if block.lines().any(|line| tables.iter().any(|table| line.starts_with(table))) {
            found.push(block);
        }
    }
    found
}
