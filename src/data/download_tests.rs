//! A server on the loopback that behaves and misbehaves; no test leaves this machine.

use super::*;
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

const HELLO: Remote =
    Remote { name: "hello.gz", bytes: 5, sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" };

const GREETINGS: Origin = Origin {
    title: "the greetings",
    folder: "greetings",
    source: "http://127.0.0.1:9/",
    variable: "WGRAD_GREETINGS_MIRROR",
    files: &[HELLO],
};

/// Answers `answers.len()` connections, one after another, with these bytes, then waits `linger` before it hangs up.
/// Returns the address; nobody listens there afterwards.
fn serve(answers: Vec<String>, linger: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/greetings/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&stream);
            assert!(request.starts_with("GET /greetings/hello.gz HTTP/1.1"), "{request}");
            stream.write_all(answer.as_bytes()).unwrap();
            std::thread::sleep(linger);
        }
    });
    address
}

fn read_request(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn ok(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn fetch_hello(mirror: &str, cache: &Path) -> Result<Vec<PathBuf>> {
    let stall = Duration::from_millis(300);
    fetch(&GREETINGS, mirror, cache, Timeouts { response: stall, stall }, &|_| {})
}

/// What is said about one bad answer; nothing may stay in the cache.
fn complaint(answer: String, linger: Duration) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mirror = serve(vec![answer], linger);
    let error = fetch_hello(&mirror, cache.path()).unwrap_err().to_string();
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0, "something was kept");
    assert!(error.starts_with(&format!("{mirror}hello.gz: ")), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn a_file_is_downloaded_once_and_then_comes_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let inner = cache.path().join("new/greetings");
    let mirror = serve(vec![ok(5, "hello")], Duration::ZERO);
    let seen = RefCell::new(Vec::new());
    let note = |event: Event| match event {
        Event::Download { file, received, total } => seen.borrow_mut().push((file.to_owned(), received, total)),
        other => panic!("{other:?}"),
    };
    let paths = fetch(&GREETINGS, &mirror, &inner, Timeouts::default(), &note).unwrap();
    assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), "hello");
    assert_eq!(seen.borrow().first(), Some(&("hello.gz".to_owned(), 0, 5)));
    assert_eq!(seen.borrow().last(), Some(&("hello.gz".to_owned(), 5, 5)));
    // The server is gone; only the cache can answer.
    assert_eq!(fetch_hello(&mirror, &inner).unwrap(), paths);
}

#[test]
fn a_damaged_file_in_the_cache_is_downloaded_again() {
    let cache = tempfile::tempdir().unwrap();
    std::fs::write(cache.path().join("hello.gz"), "jello").unwrap();
    let mirror = serve(vec![ok(5, "hello")], Duration::ZERO);
    let paths = fetch_hello(&mirror, cache.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), "hello");
}

#[test]
fn bad_answers_are_told_apart_and_nothing_is_kept() {
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops");
    let cases = [
        (status("404 Not Found"), "the server has no such file (HTTP 404); name a mirror with WGRAD_GREETINGS_MIRROR"),
        (status("500 Internal Server Error"), "the server refused with HTTP 500"),
        (ok(5, "hel"), "after 3 of 5 bytes; nothing was kept"),
        (ok(3, "hel"), "ended after 3 of 5 bytes; nothing was kept"),
        (ok(6, "hello!"), "sends more than the 5 bytes"),
        (ok(5, "jello"), HELLO.sha256),
        (ok(5, "jello"), &hex(&Sha256::digest("jello"))),
    ];
    for (answer, expected) in cases {
        let error = complaint(answer, Duration::ZERO);
        assert!(error.contains(expected), "expected \"{expected}\", found: {error}");
    }
}

#[test]
fn a_server_that_falls_silent_does_not_hang_the_download() {
    let long = Duration::from_secs(5);
    let error = complaint(ok(5, "hel"), long);
    assert!(error.contains("the transfer stalled after 3 of 5 bytes"), "{error}");
    let error = complaint(String::new(), long);
    assert!(error.contains("no answer in time"), "{error}");
}

#[test]
fn no_network_says_what_to_do_instead() {
    let cache = tempfile::tempdir().unwrap();
    // A port that was just free and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fetch_hello(&format!("http://127.0.0.1:{port}"), cache.path()).unwrap_err().to_string();
    for part in ["cannot be reached", GREETINGS.variable, "directory", "builtin"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    for mirror in ["", "ftp://example.org", "no address"] {
        assert!(fetch_hello(mirror, cache.path()).is_err(), "{mirror:?} was taken");
    }
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = fetch_hello("http://127.0.0.1:9", &file.join("greetings")).unwrap_err().to_string();
    assert!(error.starts_with(&file.join("greetings").display().to_string()), "{error}");
}
