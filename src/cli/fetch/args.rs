//! The flags of `spillgate fetch`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::cli::fetch::job::OnOpen;
use crate::cli::fetch::naming::NameTemplate;
use crate::cli::fetch::progress::Mode;
use crate::cli::request::RequestArgs;
use crate::cli::setup::ClientArgs;
use crate::cli::values::positive;

/// What `fetch` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG)]
pub(crate) struct FetchArgs {
    /// URLs to fetch, before those of --input
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// File of URLs, one a line; `-` is standard input. Blank lines and # comments are skipped
    #[arg(short, long, value_name = "FILE", env = "SPILLGATE_INPUT")]
    pub(crate) input: Option<PathBuf>,
    /// URLs inside at once, waiting or running [default: 64, or twice --global if that is more]
    #[arg(short, long, value_name = "N", env = "SPILLGATE_JOBS", value_parser = positive)]
    pub(crate) jobs: Option<NonZeroU32>,
    /// File for the body of a single URL
    #[arg(short, long, value_name = "FILE", env = "SPILLGATE_OUTPUT", conflicts_with = "out_dir")]
    pub(crate) output: Option<PathBuf>,
    /// Directory for the bodies, named after the URLs' paths
    #[arg(long, value_name = "DIR", env = "SPILLGATE_OUT_DIR")]
    pub(crate) out_dir: Option<PathBuf>,
    /// How files in --out-dir are named [default: {stem}.{ext}; also {index}, {host}]
    #[arg(long, value_name = "TEMPLATE", env = "SPILLGATE_NAME", value_parser = NameTemplate::parse,
        requires = "out_dir")]
    pub(crate) name: Option<NameTemplate>,
    /// Fetch only what an earlier run of the same input left unfinished
    #[arg(long, env = "SPILLGATE_RESUME", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) resume: bool,
    /// File that remembers what is finished [default: .spillgate-resume.ndjson in --out-dir,
    /// beside --output, or here]
    #[arg(long, value_name = "FILE", env = "SPILLGATE_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// How to show progress on stderr
    #[arg(long, value_name = "HOW", env = "SPILLGATE_PROGRESS", default_value = "auto")]
    pub(crate) progress: Mode,
    /// Stop after that many failures
    #[arg(long, value_name = "N", env = "SPILLGATE_MAX_FAILURES", value_parser = positive)]
    pub(crate) max_failures: Option<NonZeroU32>,
    /// What to do when a host's circuit is open
    #[arg(long, value_name = "WHAT", env = "SPILLGATE_ON_OPEN", default_value = "wait")]
    pub(crate) on_open: OnOpen,
    /// Tell each URL's decisions: on stderr, and in its row as `decisions`
    #[arg(long, env = "SPILLGATE_EXPLAIN", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

const EXAMPLES: &str = "\
Example:
  spillgate fetch -i urls.txt --out-dir files --resume > rows.ndjson";

const LONG: &str = "\
Rows:
  One JSON object for each URL, written as it ends: index, url, method, status, outcome (ok, error,
  rejected, cancelled), error_kind, class, attempts, cache, coalesced, bytes, file, trace_id, ms
  {queue, backoff, dns, connect, tls, write, wait, read, total}, error, and with --explain decisions.
  `index` is the line of the input from 0, or the place among the arguments. Statuses of 400 and
  above are errors of kind http_status.

Files:
  A body is streamed to FILE.part, which is renamed when it is whole. Names come from the last
  segment of the URL's path; one that is taken gets a number. Only answers of 2xx are saved.

Resuming:
  What is finished is noted in .spillgate-resume.ndjson. With --resume, URLs that ended well or
  permanently are skipped; those that failed in passing, were rejected or never ended are fetched.
  Rows go by index, so give the same input again; a line that has changed is fetched.

Exit codes, the worst of all rows:
  0 all ok   1 a fault of spillgate   2 usage, or a file cannot be read or written   3 configuration
  130 interrupted   4 permanent errors, such as 404 or a malformed URL   5 transient errors left
  after all retries   6 only deadlines   7 only rejected: queue full or circuit open

Examples:
  spillgate fetch https://example.com/
  spillgate fetch -i urls.txt --out-dir files --resume > rows.ndjson
  some-command | spillgate fetch -i - --per-host 2 --deadline 1m | jq -r 'select(.outcome != \"ok\")'";
