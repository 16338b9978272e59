//! The page of a run: written by `train`, written again by `report`, and served while the run goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{done, json, objects, quick, refused, run, text, wgrad, workplace};

const SECTIONS: [&str; 8] = ["figures", "curves", "pace", "flow", "network", "confusion", "mistakes", "setup"];

/// The page of a run, of which everything holds that holds of every page.
fn page(run: &Path) -> String {
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    check(&page, &SECTIONS);
    assert!(!page.contains("<script"), "a page that is finished needs no script");
    page
}

/// A page that stands alone, whose elements end where they should.
pub fn check(page: &str, sections: &[&str]) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for name in sections {
        assert_eq!(page.matches(&format!("<section id=\"{name}\">")).count(), 1, "{name}");
    }
    for element in ["section", "svg", "table", "tr", "td", "div", "figure", "figcaption", "span", "g", "p", "main"] {
        let begun = [" ", ">", "\n"].map(|end| page.matches(&format!("<{element}{end}")).count()).iter().sum::<usize>();
        assert_eq!(begun, page.matches(&format!("</{element}>")).count(), "{element}");
    }
    for outside in ["http:", "https:", "src=\"/", "href=\"/", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn every_run_has_a_page_that_report_writes_again() {
    let dir = workplace();
    let dir = dir.path();
    let end = json(dir, &quick(&["--epochs", "2", "--log-every", "1", "--out", "run"])).pop().unwrap();
    assert_eq!(end["page"].as_str().unwrap(), Path::new("run").join("report.html").display().to_string());
    let first = page(&dir.join("run"));
    for part in [
        "tiny on idx",
        "batch_norm2d",
        "data:image/png;base64,",
        "Gradient by layer and step",
        "adam (betas 0.9, 0.999",
        "CPU",
    ] {
        assert!(first.contains(part), "{part}");
    }
    for unit in
        ["cross-entropy (nats)", "right answers (%)", "learning rate (no unit)", "images a second", "L2 norm (no unit)"]
    {
        assert!(first.contains(unit), "{unit}");
    }
    let wrong = first.matches("class=\"mistake\"").count();
    assert!((1..=24).contains(&wrong) && first.contains(&format!("these are the {wrong} whose label")), "{wrong}");
    std::fs::remove_file(dir.join("run/report.html")).unwrap();
    let told = json(dir, &["report", "run", "--device", "cpu"]).pop().unwrap();
    assert_eq!((&told["event"], &told["test_loss"]), (&"report".into(), &end["test_loss"]));
    assert_eq!(page(&dir.join("run")), first);
    done(dir, &quick(&["--epochs", "1", "--watch", "0", "--out", "unwatched"]));
    assert!(page(&dir.join("unwatched")).contains("was not watched"));
    done(dir, &quick(&["--epochs", "1", "--no-report", "--out", "run", "--overwrite"]));
    assert!(!dir.join("run/report.html").exists(), "an old page does not outlive its run");
}

#[test]
fn a_page_tells_what_it_lacks_and_why() {
    let dir = workplace();
    let dir = dir.path();
    let diverged = run(dir, &quick(&["--optimizer", "sgd", "--lr", "1e30", "--out", "run"]));
    assert_eq!(diverged.status.code(), Some(1));
    let told = page(&dir.join("run"));
    assert!(told.contains("It left the finite numbers") && told.contains("did not come to its end"), "{told}");
    assert!(told.contains("training stopped at step"), "{told}");
    done(dir, &["report", "run", "--device", "cpu"]);
    assert!(page(&dir.join("run")).contains("class=\"matrix\""), "the last good weights are scored");
    std::fs::rename(dir.join("idx"), dir.join("away")).unwrap();
    let output = run(dir, &["report", "run", "--device", "cpu"]);
    let words = text(&output.stderr);
    assert!(
        output.status.success() && words.contains("warning: the page lacks what the test images showed"),
        "{words}"
    );
    assert!(page(&dir.join("run")).contains("Nobody asked the network: "));
    assert!(
        refused(dir, &["report", "run", "--device", "cpu", "--data", "nowhere"]).contains("unknown data set `nowhere`")
    );
    assert!(refused(dir, &["report", "away"]).contains("is no run"));
}

/// The status and the text of an answer.
fn get(address: &str, path: &str, host: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let answer = text(&bytes);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // What is sent in pieces has their lengths between them.
    let whole = head.to_lowercase().contains("content-length");
    Some((head.split(' ').nth(1)?.parse().ok()?, if whole { body.to_owned() } else { pieces(body) }))
}

fn pieces(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &rest[..length];
        body = rest[length..].strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn a_live_page_shows_the_run_as_it_goes_on_to_whoever_opens_it() {
    let dir = workplace();
    let endless = quick(&["--epochs", "1000000", "--out", "run", "--log-every", "1", "--json", "--live"]);
    let mut child = wgrad(dir.path(), &endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.by_ref().take(20).map(Result::unwrap).collect();
    let start = objects(&seen.join("\n")).remove(0);
    let address = start["live"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let steps = |page: &str| {
        let before = page.split("</b><span>steps</span>").next().unwrap();
        before.rsplit("<b>").next().unwrap().replace(',', "").parse::<u64>().unwrap()
    };
    let (status, first) = get(&address, "/", &address).unwrap();
    assert!(status == 200 && first.contains("<script>") && first.contains("id=\"live\""), "{first}");
    check(&first, &SECTIONS);
    lines.by_ref().take(200).for_each(|line| drop(line.unwrap()));
    let (_, later) = get(&address, "/", &address).unwrap();
    let (_, state) = get(&address, "/state", "localhost").unwrap();
    assert!(steps(&later) > steps(&first) && steps(&state) >= steps(&later), "{} {}", steps(&first), steps(&later));
    assert!(state.starts_with("<section id=\"figures\">"), "{state}");
    assert_eq!(get(&address, "/favicon.ico", &address).unwrap().0, 204);
    assert_eq!(get(&address, "/other", &address).unwrap().0, 404);
    assert_eq!(get(&address, "/", "example.org").unwrap().0, 403);
    let port = address.rsplit(':').next().unwrap();
    assert!(refused(dir.path(), &quick(&["--live", port])).contains(&format!("port {port} of 127.0.0.1 cannot be")));
    interrupt(&child);
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(get(&address, "/", &address), None, "the server ends with the run");
    assert!(page(&dir.path().join("run")).contains("It was interrupted"));
}
