//! What the pages that commands write have in common: each stands alone, in the light and in the dark.

/// The style of every page; a command adds its own rules.
pub const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.3rem 0}\
table{border-collapse:collapse;width:100%;margin:1rem 0;font-variant-numeric:tabular-nums}\
th{text-align:left;border-bottom:2px solid #d0d7de;padding:.3rem .6rem;font-weight:600}\
td{border-bottom:1px solid #eaeef2;padding:.22rem .6rem}.n{text-align:right}\
.passed{color:#1a7f37}.FAILED{color:#fff;background:#cf222e;font-weight:600}.not{color:#6e7781}\
pre{background:#f6f8fa;border-left:4px solid #cf222e;padding:.6rem .8rem;overflow-x:auto;font-size:13px}\
.meta{color:#57606a}.big{font-size:1.15rem;font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th{border-color:#30363d}td{border-color:#21262d}\
pre{background:#161b22}.passed{color:#3fb950}.meta,.not{color:#8b949e}}";

/// Text inside HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The beginning of a page with this title, and this style beside [`STYLE`].
pub fn begin(title: &str, style: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{STYLE}{style}</style>\n<h1>{title}</h1>\n"
    )
}
