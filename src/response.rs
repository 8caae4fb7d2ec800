//! A whole answer, with decoding.

use std::fmt;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use spillgate_actors::answer::{self, ResponseBuilder};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::error::Error;

/// A whole answer; derefs to what the actors brought.
#[derive(Clone)]
pub struct Response(answer::Response);

impl Response {
    /// Starts an answer made by the service itself, for a fallback.
    pub fn builder() -> ResponseBuilder {
        answer::Response::builder()
    }

    /// Decodes the body as JSON; the error says where it does not fit, never what it holds.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(self.bytes()).map_err(|cause| {
            let (line, column) = (cause.line(), cause.column());
            let what = match cause.classify() {
                serde_json::error::Category::Data => "has another shape than expected",
                serde_json::error::Category::Syntax => "is no JSON",
                serde_json::error::Category::Eof => "ends before its JSON does",
                serde_json::error::Category::Io => "cannot be read",
            };
            let text = format!("the body {what} (line {line}, column {column})");
            Error::new(ErrorKind::Decode, text).after_status(Some(self.status()))
        })
    }

    /// Turns a status of 400 and above into an error.
    pub fn error_for_status(self) -> Result<Self, Error> {
        self.0.error_for_status().map(Self)
    }

    /// The answer as the message door gives it.
    pub fn into_inner(self) -> answer::Response {
        self.0
    }
}

impl Deref for Response {
    type Target = answer::Response;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<answer::Response> for Response {
    fn from(response: answer::Response) -> Self {
        Self(response)
    }
}

impl From<Response> for answer::Response {
    fn from(response: Response) -> Self {
        response.0
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
