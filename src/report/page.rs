//! What all pages have in common: each stands alone, in the light and in the dark.

/// The colours of pages in the light.
macro_rules! light {
    () => {
        "--text:#1b1f24;--page:#fff;--faint:#57606a;--line:#d0d7de;--thin:#e4e8ec;--shade:#f6f8fa;--right:#1a7f37;--wrong:#cf222e;\
         --c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#6e7781;--c5:#bf3989;--c6:#0a7f8f;--c7:#8f6a00"
    };
}

/// The colours of pages in the dark.
macro_rules! dark {
    () => {
        "--text:#e6edf3;--page:#0d1117;--faint:#8b949e;--line:#3d444d;--thin:#262c36;--shade:#161b22;--right:#3fb950;--wrong:#f85149;\
         --c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;--c3:#bc8cff;--c4:#8b949e;--c5:#f778ba;--c6:#39c5cf;--c7:#e3b341"
    };
}

/// The colours of pages in the light, by the names of their variables.
pub fn light() -> impl Iterator<Item = (&'static str, &'static str)> {
    light!().split(';').filter_map(|pair| pair.trim().split_once(':'))
}

/// What gives the variables their colours, in the light and in the dark.
pub const THEMES: &str =
    concat!(":root{color-scheme:light dark;", light!(), "}@media(prefers-color-scheme:dark){:root{", dark!(), "}}");

/// The style of every page but for its colours; a command adds its own rules. `--c0` to `--c7` are the colours of what a plot tells
/// apart.
pub const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:var(--text);background:var(--page)}\
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.3rem 0}\
table{border-collapse:collapse;width:100%;margin:1rem 0;font-variant-numeric:tabular-nums}\
th{text-align:left;border-bottom:2px solid var(--line);padding:.3rem .6rem;font-weight:600}\
td{border-bottom:1px solid var(--thin);padding:.22rem .6rem}.n{text-align:right}\
.passed{color:var(--right)}.FAILED{color:#fff;background:#cf222e;font-weight:600}.not{color:var(--faint)}\
pre{background:var(--shade);border-left:4px solid var(--wrong);padding:.6rem .8rem;overflow-x:auto;font-size:13px}\
.meta{color:var(--faint)}.big{font-size:1.15rem;font-weight:600}.scroll{overflow-x:auto}";

/// Text inside HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The beginning of a page with this title, and this style beside [`STYLE`].
pub fn begin(title: &str, style: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{THEMES}{STYLE}{style}</style>\n<h1>{title}</h1>\n"
    )
}
