//! The error taxonomy: what went wrong, whose move it is, and what a person should be shown.
//!
//! Kinds are a closed set with one line each in `docs/errors.md`; names follow the proxy error
//! types of RFC 9209 section 2.3 where one fits.

/// Says what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The request itself cannot be sent: URL, scheme, header or body is malformed.
    InvalidRequest,
    /// The request's body, a stream of the caller's, failed.
    RequestBody,
    /// The configuration cannot work.
    InvalidConfig,
    /// The client is shutting down.
    ShuttingDown,
    /// More calls are in the client than its admission limit allows.
    Overloaded,
    /// The waiting queue is full and holds nothing less urgent to shed.
    QueueFull,
    /// The scope's breaker is open.
    CircuitOpen,
    /// The upstream asked to be left alone beyond the call's deadline (`Retry-After`).
    RateLimited,
    /// The caller went away.
    Cancelled,
    /// A newer call of the same key took its place.
    Superseded,
    /// The call takes nothing but what is stored, and there is nothing.
    NotCached,
    /// The call's own deadline passed.
    DeadlineExceeded,
    /// This machine has no network, or its resolver does not answer.
    DeviceOffline,
    /// The host's name does not resolve.
    DnsError,
    /// The upstream's address is one the policy forbids.
    DestinationIpProhibited,
    /// The upstream cannot be reached: no route to its network.
    DestinationUnavailable,
    /// The upstream refused the connection.
    ConnectionRefused,
    /// The connection could not be made in time.
    ConnectionTimeout,
    /// The connection ended before the answer began.
    ConnectionTerminated,
    /// The upstream's certificate is not trusted.
    TlsCertificateError,
    /// The TLS handshake failed.
    TlsProtocolError,
    /// The answer did not begin, or end, within the attempt's time.
    HttpResponseTimeout,
    /// The body stopped arriving for longer than the idle time.
    ConnectionReadTimeout,
    /// The body ended before its announced length.
    HttpResponseIncomplete,
    /// The body is larger than allowed, decoded or by its compression ratio.
    HttpResponseBodySize,
    /// The header section is larger than allowed.
    HttpResponseHeaderSectionSize,
    /// The body's content coding is broken.
    HttpResponseContentCoding,
    /// The upstream broke the protocol.
    HttpProtocolError,
    /// A redirect would leave what is safe: https to http, or an unsafe method across origins.
    RedirectRefused,
    /// More redirects than allowed.
    TooManyRedirects,
    /// A final status of 400 and above, turned into an error by `error_for_status`.
    HttpStatus,
    /// The classifier called the answer a failure of the caller's business.
    Business,
    /// The answer's body is not what the caller asked to decode.
    Decode,
    /// A fault of this library or of the caller's own code inside it.
    Internal,
}

/// Says whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// This machine: no network, no resolver.
    Device,
    /// Likely to pass: try again later.
    Transient,
    /// Will not pass by itself: the request, the configuration or the upstream must change.
    Permanent,
    /// The upstream understood and declined.
    Business,
    /// The caller's own doing.
    Cancelled,
    /// Refused by a policy of this client before it was sent.
    Rejected,
}

/// Says what a user interface should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// Show that it is being tried again by itself.
    Retrying,
    /// Offer a button to try again.
    OfferRetry,
    /// Ask the person to change what they entered.
    FixInput,
    /// Ask the person to sign in.
    SignIn,
    /// Offer to report it.
    Report,
    /// Show nothing.
    Silent,
}

/// What a user interface should show and offer for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Advice {
    /// What to do.
    pub remedy: Remedy,
    /// A stable key for translations, such as `error.circuit_open`.
    pub message_key: &'static str,
    /// A plain English sentence without technical terms.
    pub text: &'static str,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $class:ident $remedy:ident $text:literal;)*) => {
        impl ErrorKind {
            /// Every kind, in the order of `docs/errors.md`.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind's name in snake case, as rows, metrics and spans spell it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Whose move it is when nothing more is known; a status can sharpen it.
            pub fn class(self) -> ErrorClass {
                match self { $(Self::$kind => ErrorClass::$class,)* }
            }

            /// What to show for it when nothing more is known.
            pub fn advice(self) -> Advice {
                match self {
                    $(Self::$kind => Advice {
                        remedy: Remedy::$remedy,
                        message_key: concat!("error.", $name),
                        text: $text,
                    },)*
                }
            }
        }
    };
}

kinds! {
    InvalidRequest "invalid_request" Permanent Report "This request cannot be made.";
    RequestBody "request_body" Permanent Report "This request cannot be made.";
    InvalidConfig "invalid_config" Permanent Report "The service is set up wrongly.";
    ShuttingDown "shutting_down" Rejected Silent "The service is closing.";
    Overloaded "overloaded" Rejected OfferRetry "The service is very busy. Please try again in a moment.";
    QueueFull "queue_full" Rejected OfferRetry "The service is very busy. Please try again in a moment.";
    CircuitOpen "circuit_open" Rejected Retrying "This service is having trouble. We will try again shortly.";
    RateLimited "rate_limited" Rejected OfferRetry "There were too many requests. Please try again later.";
    Cancelled "cancelled" Cancelled Silent "The request was cancelled.";
    Superseded "superseded" Cancelled Silent "A newer request took its place.";
    NotCached "not_cached" Rejected OfferRetry "Nothing is stored of this yet.";
    DeadlineExceeded "deadline_exceeded" Transient OfferRetry "This is taking too long. Please try again.";
    DeviceOffline "device_offline" Device Retrying "There is no network connection.";
    DnsError "dns_error" Permanent Report "The server's name is not known.";
    DestinationIpProhibited "destination_ip_prohibited" Permanent Report "This address is not allowed.";
    DestinationUnavailable "destination_unavailable" Transient OfferRetry "The server cannot be reached.";
    ConnectionRefused "connection_refused" Transient OfferRetry "The server cannot be reached.";
    ConnectionTimeout "connection_timeout" Transient OfferRetry "The server cannot be reached.";
    ConnectionTerminated "connection_terminated" Transient OfferRetry "The connection was lost. Please try again.";
    TlsCertificateError "tls_certificate_error" Permanent Report "The connection to the server is not safe.";
    TlsProtocolError "tls_protocol_error" Permanent Report "The connection to the server is not safe.";
    HttpResponseTimeout "http_response_timeout" Transient OfferRetry "The server takes too long to answer.";
    ConnectionReadTimeout "connection_read_timeout" Transient OfferRetry "The server stopped answering.";
    HttpResponseIncomplete "http_response_incomplete" Transient OfferRetry "The connection was lost. Please try again.";
    HttpResponseBodySize "http_response_body_size" Permanent Report "The answer is too large.";
    HttpResponseHeaderSectionSize "http_response_header_section_size" Permanent Report "The answer is too large.";
    HttpResponseContentCoding "http_response_content_coding" Permanent Report "The answer cannot be read.";
    HttpProtocolError "http_protocol_error" Transient Report "The server gave an answer that cannot be read.";
    RedirectRefused "redirect_refused" Permanent Report "The server pointed to an address that is not safe.";
    TooManyRedirects "too_many_redirects" Permanent Report "The server sent us round in circles.";
    HttpStatus "http_status" Permanent Report "The server declined the request.";
    Business "business" Business FixInput "The request was declined.";
    Decode "decode" Permanent Report "The answer cannot be read.";
    Internal "internal" Permanent Report "Something went wrong on our side.";
}

impl ErrorClass {
    /// The class's name in lower case, as rows and metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Business => "business",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    /// The class of a final HTTP status of 400 and above.
    pub fn of_status(status: u16) -> Self {
        match status {
            408 | 425 | 429 | 500 | 502..=504 | 506..=599 => Self::Transient,
            _ => Self::Permanent,
        }
    }
}

impl Advice {
    /// What to show for a final HTTP status of 400 and above.
    pub fn of_status(status: u16) -> Self {
        let (remedy, message_key, text) = match status {
            401 | 407 => (Remedy::SignIn, "error.sign_in", "Please sign in again."),
            400 | 409 | 412 | 413 | 422 => {
                (Remedy::FixInput, "error.fix_input", "Please check what you entered.")
            }
            429 => (
                Remedy::OfferRetry,
                "error.rate_limited",
                "There were too many requests. Please try again later.",
            ),
            408 | 425 | 500..=599 => (
                Remedy::OfferRetry,
                "error.server",
                "The server has a problem. Please try again later.",
            ),
            _ => return ErrorKind::HttpStatus.advice(),
        };
        Self { remedy, message_key, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_snake_case() {
        let mut names: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
        assert!(names.iter().all(|name| name.chars().all(|c| c == '_' || c.is_ascii_lowercase())));
    }

    #[test]
    fn refusals_of_ours_are_rejected_and_resets_are_transient() {
        for (kind, class) in [
            (ErrorKind::CircuitOpen, ErrorClass::Rejected),
            (ErrorKind::QueueFull, ErrorClass::Rejected),
            (ErrorKind::ConnectionTerminated, ErrorClass::Transient),
            (ErrorKind::HttpResponseIncomplete, ErrorClass::Transient),
            (ErrorKind::ConnectionReadTimeout, ErrorClass::Transient),
            (ErrorKind::DeadlineExceeded, ErrorClass::Transient),
            (ErrorKind::InvalidRequest, ErrorClass::Permanent),
        ] {
            assert_eq!(kind.class(), class, "{kind:?}");
        }
    }

    #[test]
    fn statuses_sharpen_class_and_advice() {
        assert_eq!(ErrorClass::of_status(404), ErrorClass::Permanent);
        assert_eq!(ErrorClass::of_status(503), ErrorClass::Transient);
        assert_eq!(ErrorClass::of_status(501), ErrorClass::Permanent);
        assert_eq!(Advice::of_status(401).remedy, Remedy::SignIn);
        assert_eq!(Advice::of_status(422).remedy, Remedy::FixInput);
        assert_eq!(Advice::of_status(503).remedy, Remedy::OfferRetry);
        assert_eq!(Advice::of_status(404).remedy, Remedy::Report);
    }
}
