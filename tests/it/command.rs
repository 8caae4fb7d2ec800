//! The built command as a child process.

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

/// The command with arguments, and nothing of this process's settings.
pub(crate) fn spillgate<A: AsRef<str>>(args: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillgate"));
    command.args(args.iter().map(AsRef::as_ref)).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SPILLGATE_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run<A: AsRef<str>>(args: &[A]) -> Output {
    spillgate(args).output().unwrap()
}

/// Runs `fetch -i -` over these URLs to its end.
pub(crate) fn fetch<A: AsRef<str>>(urls: &[String], args: &[A]) -> Output {
    let mut command = spillgate(&["fetch", "-i", "-"]);
    command.args(args.iter().map(AsRef::as_ref));
    let mut running = Running::start(command);
    running.feed(urls);
    running.close_input();
    let rows: String = std::iter::from_fn(|| running.next_line()).map(|line| line + "\n").collect();
    let (status, stderr) = running.wait();
    Output { status, stdout: rows.into_bytes(), stderr: stderr.into_bytes() }
}

/// The rows of an output.
pub(crate) fn rows(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("a row is one JSON object")).collect()
}

/// What was said on stderr.
pub(crate) fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command that runs; it ends with this handle.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it with all its streams in pipes.
    pub(crate) fn start(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, input, lines: Some(lines), stderr: Some(stderr) }
    }

    /// Writes lines to its standard input.
    pub(crate) fn feed(&mut self, lines: &[String]) {
        let input = self.input.as_mut().expect("the input is open");
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
        input.flush().unwrap();
    }

    /// Ends its standard input.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        self.next_line().expect("there is another line")
    }

    /// The next line of its standard output; none when that has ended.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        self.lines.as_mut().and_then(Iterator::next).map(Result::unwrap)
    }

    /// Closes its standard output, does something, and waits for its end.
    pub(crate) fn without_reader(self, act: impl FnOnce(&mut Running)) -> (ExitStatus, String) {
        let mut running = self;
        running.lines = None;
        act(&mut running);
        running.wait()
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The most memory it had so far, in kilobytes.
    pub(crate) fn memory_peak_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Ends its input and waits for its end; answers its status and what it said on stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        self.close_input();
        self.wait_with_open_input()
    }

    /// Waits for an end that does not come from the end of its input.
    pub(crate) fn wait_with_open_input(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.stderr.take().unwrap().join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
