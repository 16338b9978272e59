//! The page of a run while it trains, served on this machine alone.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Result;
use tiny_http::{Header, Method, Request, Response, Server};
use wgrad::report;

/// A server on the loopback interface; it ends when this is dropped.
pub struct Live {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
    /// Where it listens.
    pub address: String,
}

impl Live {
    /// Takes the port, 0 for a free one.
    pub fn bind(port: u16) -> Result<Self> {
        let server = Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            anyhow::anyhow!("port {port} of 127.0.0.1 cannot be listened on: {error}; choose another one, or --live 0 for a free one")
        })?;
        let address = format!("http://{}/", server.server_addr());
        Ok(Self { server: Arc::new(server), thread: None, address })
    }

    /// Answers with the page of the run in `run`, as it is at the moment of each request.
    pub fn serve(&mut self, run: &Path) {
        let (server, run) = (self.server.clone(), run.to_owned());
        self.thread = Some(std::thread::spawn(move || {
            for request in server.incoming_requests() {
                answer(request, &run);
            }
        }));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.server.unblock();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Whether a request was meant for this machine: a page of another site that had its name point here says that name.
fn is_local(request: &Request) -> bool {
    let mut hosts = request.headers().iter().filter(|header| header.field.equiv("Host"));
    hosts.all(|host| {
        let name = host.value.as_str().rsplit_once(':').map_or(host.value.as_str(), |(name, _)| name);
        ["127.0.0.1", "localhost"].contains(&name)
    })
}

fn answer(request: Request, run: &Path) {
    let page = match (request.method(), request.url()) {
        _ if !is_local(&request) => Err((403, "this page is for this machine alone".to_owned())),
        (Method::Get, "/") => report::live(run).map_err(|error| (500, error.to_string())),
        // Browsers ask for it by themselves.
        (Method::Get, "/favicon.ico") => Err((204, String::new())),
        (Method::Get, "/state") => report::state(run).map_err(|error| (500, error.to_string())),
        _ => Err((404, "there is only the page at /".to_owned())),
    };
    let (status, text) = page.map_or_else(|refused| refused, |page| (200, page));
    let kind = if status == 200 { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
    let headers = [("Content-Type", kind), ("Cache-Control", "no-store")];
    let headers = headers.iter().filter_map(|(field, value)| Header::from_bytes(*field, *value).ok());
    let response = headers
        .fold(Response::from_string(text).with_status_code(status), |response, header| response.with_header(header));
    // Whoever asked may be gone.
    drop(request.respond(response));
}
