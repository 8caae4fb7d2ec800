//! `spillgate trace`: one call, every phase and decision of it.

mod json;
mod tree;

use std::process::ExitCode;

use http::StatusCode;
use spillgate_actors::error::Error;
use spillgate_actors::record::CallRecord;

use crate::cli::end::End;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::paper::print;
use crate::cli::request::RequestArgs;
use crate::cli::setup::{ClientArgs, GRACE, block_on};
use crate::cli::signals::Signals;
use crate::response::Response;

/// What `trace` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TraceArgs {
    /// URL to call
    #[arg(value_name = "URL")]
    url: String,
    /// Print the record as JSON
    #[arg(long, env = "SPILLGATE_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What the call came to.
struct Answer<'a> {
    record: &'a CallRecord,
    status: Option<StatusCode>,
    error: Option<&'a Error>,
    bytes: usize,
}

/// Runs `trace`.
pub(crate) fn run(args: TraceArgs) -> ExitCode {
    let exit = block_on(trace(args)).and_then(|exit| exit);
    exit.unwrap_or_else(|failure| failure.tell()).code()
}

async fn trace(args: TraceArgs) -> Result<Exit, Failure> {
    let config = args.client.config()?;
    let deadline = config.defaults.deadline;
    let template = args.request.template(deadline)?;
    let client = args.client.client(config)?;
    let mut signals = Signals::catch()?;
    let request = template.request(&client, &args.url, template.key().as_ref());
    let request = match template.deadline {
        Some(deadline) => request.deadline(deadline),
        None => request,
    };
    let request = match template.retries {
        Some(retries) => request.retries(retries),
        None => request,
    };
    let outcome = tokio::select! {
        biased;
        () = signals.next() => return Ok(Exit::Interrupted),
        outcome = request.explain().send() => outcome,
    };
    let exit = show(&outcome, args.json)?;
    tokio::select! {
        _ = client.shutdown(GRACE) => {}
        () = signals.next() => {}
    }
    Ok(exit)
}

fn show(outcome: &Result<Response, Error>, as_json: bool) -> Result<Exit, Failure> {
    let (record, end) = match outcome {
        Ok(response) => (response.record(), End::of_status(response.status().as_u16())),
        Err(error) => (error.record(), End::Failed(error.kind(), error.class())),
    };
    let Some(record) = record else {
        let text = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::usage(text).hint("such as spillgate trace https://example.com/"));
    };
    let answer = Answer {
        record,
        status: outcome.as_ref().ok().map(|response| response.status()),
        error: outcome.as_ref().err(),
        bytes: outcome.as_ref().map_or(0, |response| response.bytes().len()),
    };
    let text = if as_json { json::of(&answer) } else { tree::of(&answer) };
    Ok(end.exit().min(print(text.as_bytes())))
}

const EXAMPLES: &str = "\
Example:
  spillgate trace https://example.com/ --otlp http://127.0.0.1:4318";
