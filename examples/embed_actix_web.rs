//! An actix-web service that calls its upstream through one shared client.
//!
//! The service has its actix system and the client another, on a thread of its own: neither can
//! hold up the other. `cargo run --example embed_actix_web` starts the service and an upstream that
//! fails on request, asks the service once, and ends. With `-- --serve` it goes on until Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, ResponseError, get, web};
use spillgate::actors::fetch::Fetch;
use spillgate::testing::Drill;
use spillgate::{Breaker, Client};

/// What every worker shares.
struct Service {
    client: Client,
    upstream: String,
}

#[get("/users/{id}")]
async fn user(service: web::Data<Service>, id: web::Path<u32>) -> Result<HttpResponse, Failure> {
    let url = format!("{}&id={id}", service.upstream);
    let call = service.client.get(url).route("/users/{id}").deadline(Duration::from_secs(2));
    let response = call.send().await?.error_for_status()?;
    Ok(HttpResponse::Ok().content_type("application/json").body(response.bytes().clone()))
}

/// The same as a message: a handler needs only the address, and what comes back is the same.
#[get("/message/{id}")]
async fn message(service: web::Data<Service>, id: web::Path<u32>) -> Result<HttpResponse, Failure> {
    let fetch = Fetch::get(format!("{}&id={id}", service.upstream)).route("/users/{id}");
    let response = match service.client.addr().send(fetch).await {
        Ok(answer) => answer?.error_for_status()?,
        Err(_) => return Ok(HttpResponse::ServiceUnavailable().body("shutting down")),
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(response.bytes().clone()))
}

/// Turns an error of the client into an answer of the service.
#[derive(Debug)]
struct Failure(spillgate::Error);

impl From<spillgate::Error> for Failure {
    fn from(error: spillgate::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What goes out is made for people; the error itself is for the log.
        f.write_str(self.0.advice().text)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        if self.0.is_circuit_open() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if self.0.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY }
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Drill::start()?;
    // One client for all workers; built here, as `App::new` runs once for each of them.
    let client =
        Client::builder().host("*", |host| host.breaker(Breaker::consecutive(5))).build()?;
    let url = upstream.url("/ok?type=json");
    let service = web::Data::new(Service { client: client.clone(), upstream: url });
    let server = HttpServer::new(move || {
        App::new().app_data(service.clone()).service(user).service(message)
    });
    let server = server.workers(2).bind("127.0.0.1:0")?;
    let address = *server.addrs().first().ok_or("the server listens nowhere")?;
    println!("listening on http://{address}");
    let serve = std::env::args().any(|argument| argument == "--serve");
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);

    if !serve {
        let caller = Client::standard();
        for path in ["/users/7", "/message/7"] {
            let answer = caller.get(format!("http://{address}{path}")).send().await?;
            println!("{path}: {} {}", answer.status(), answer.text()?);
        }
        handle.stop(true).await;
    }
    // With `--serve` this is Ctrl-C, which actix-web listens for itself.
    running.await??;
    client.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
