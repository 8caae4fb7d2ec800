//! A third-party OTLP receiver as a child process: the official protos decode what is exported.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver as Lines};
use std::thread;

use serde_json::Value;

/// The running receiver; it ends with this handle.
pub(crate) struct Receiver {
    child: Child,
    http: u16,
    grpc: u16,
    spans: Lines<Value>,
}

impl Receiver {
    /// Starts `tests/otlp/receiver.py`, after `tests/otlp/install` where that is still to be done.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/otlp/receiver.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut ports = String::new();
        lines.read_line(&mut ports).expect("the receiver names its ports");
        let port = |name: &str| {
            let found = ports.split_whitespace().find_map(|word| word.strip_prefix(name));
            found.and_then(|port| port.parse().ok()).expect("both ports are named")
        };
        let (http, grpc) = (port("http="), port("grpc="));
        Self { child, http, grpc, spans: decode(lines) }
    }

    /// The base URL for OTLP over HTTP.
    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The base URL for OTLP over gRPC.
    pub(crate) fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// Ends the receiver and returns every span that it was sent.
    ///
    /// It prints a span before it answers the exporter, so after a flush none is missing.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        // The end of its input is its end, and so the end of its output.
        drop(self.child.stdin.take());
        self.spans.iter().collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Panics unless `child` names `parent` as its parent, in the same trace and within its time.
pub(crate) fn assert_child(child: &Value, parent: &Value) {
    assert_eq!(child["parent_span_id"], parent["span_id"], "{child:#} under {parent:#}");
    assert_eq!(child["trace_id"], parent["trace_id"], "{child:#} under {parent:#}");
    let time = |span: &Value, end: &str| span[end].as_u64().expect("times are numbers");
    assert!(time(child, "start") >= time(parent, "start"), "{child:#} under {parent:#}");
    assert!(time(child, "end") <= time(parent, "end"), "{child:#} under {parent:#}");
    assert!(time(child, "start") <= time(child, "end"), "{child:#}");
}

fn decode(lines: BufReader<ChildStdout>) -> Lines<Value> {
    let (sender, spans) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let span = serde_json::from_str(&line).expect("a line is one JSON object");
            if sender.send(span).is_err() {
                return;
            }
        }
    });
    spans
}

fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let install = root().join("tests/otlp/install");
        let status = Command::new(&install).status().expect("tests/otlp/install can be run");
        assert!(status.success(), "tests/otlp/install failed: it needs python3 with venv and pip");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        root().join(target).join("otlp-venv/bin/python")
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
