//! The page as one HTML document: complete without scripts, without any other request, on a phone and in the dark.

mod parts;
mod tables;
mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::facts::{State, Status};
use super::style::STYLE;
use crate::render::local;
use words::{full, safe, symbol};

/// Seconds between two loads of an open page.
pub const REFRESH: u32 = 5;

/// The page. With `refreshes` a browser loads it again every [`REFRESH`] seconds.
#[must_use]
pub fn html(status: &Status, refreshes: bool) -> String {
    let mut out = String::with_capacity(64 * 1024);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    if refreshes {
        out.push_str(&format!("<meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n"));
    }
    let short: String = status.headline.chars().take(60).collect();
    out.push_str(&format!(
        "<title>{} {} - vedette</title>\n<link rel=\"icon\" href=\"{}\">\n<style>{STYLE}</style></head>\n",
        status.state.as_str().to_uppercase(),
        safe(&short),
        icon(status.state)
    ));
    out.push_str(if status.is_stale { "<body class=\"stale\">\n" } else { "<body>\n" });
    head(&mut out, status, refreshes);
    out.push_str("<main>\n");
    parts::notices(&mut out, status);
    parts::incidents(&mut out, status);
    tables::clusters(&mut out, status);
    status.details.iter().for_each(|detail| tables::detail(&mut out, detail));
    tables::certificates(&mut out, status);
    parts::gaps(&mut out, status);
    parts::own(&mut out, status);
    parts::ended(&mut out, status);
    out.push_str("</main>\n");
    out.push_str(&format!(
        "<footer>vedette {} on {}, format {}. The same as <a href=\"status.txt\">text</a> and \
         <a href=\"api/v1/status\">JSON</a>; <a href=\"metrics\">metrics</a>. Times are \
         UTC{}.</footer>\n</body></html>\n",
        status.version,
        safe(&status.vantage),
        status.format,
        status.time_zone.as_ref().map_or_else(String::new, |zone| format!(", in brackets those of {zone}"))
    ));
    local::html(&out, status.time_zone.as_ref())
}

fn head(out: &mut String, status: &Status, refreshes: bool) {
    let state = status.state;
    out.push_str(&format!("<div class=\"band {}\"><header>\n", state.as_str()));
    out.push_str(&format!("<div class=\"word\">{} {}</div>", symbol(state), state.as_str()));
    out.push_str(&format!("<h1>{}</h1>\n", safe(&status.headline)));
    if let Some(since) = &status.since {
        out.push_str(&format!("<p>since {}</p>\n", full(since)));
    }
    let tally = status.tally;
    let stale = if status.is_stale { " <b>Stalled.</b>" } else { "" };
    out.push_str(&format!(
        "<p>Clusters: {} down, {} degraded, {} unknown, {} ok; {} silenced. Probed from {}; data from {}.{stale}</p>\n",
        tally.down,
        tally.degraded,
        tally.unknown,
        tally.ok,
        tally.silenced,
        safe(&status.vantage),
        full(&status.snapshot),
    ));
    let here = here(status);
    out.push_str(&if refreshes {
        format!("<p>Refreshes every {REFRESH} s. <a href=\"{here}refresh=off\">Pause</a></p>")
    } else {
        format!("<p>Paused. <a href=\"{here}refresh=on\">Refresh every {REFRESH} s</a></p>")
    });
    out.push_str("\n</header></div>\n");
}

/// The query of this very page, ready for one more parameter.
fn here(status: &Status) -> String {
    match (&status.extent.only, status.extent.page) {
        (Some(only), _) => format!("?cluster={}&amp;", safe(only)),
        (None, 1) => "?".to_owned(),
        (None, page) => format!("?page={page}&amp;"),
    }
}

/// The state as an icon: shape and colour, so that the tab shows it.
fn icon(state: State) -> String {
    let (colour, shape) = match state {
        State::Ok => ("#1e7a45", "M4 8l3 3 5-6"),
        State::Unknown => ("#6a56a8", "M5.5 6a2.5 2.5 0 1 1 2.5 2.6v1M8 12v.6"),
        State::Degraded => ("#a86400", "M8 3.5v5.5M8 11.6v.8"),
        State::Down => ("#b3261e", "M4.5 4.5l7 7M11.5 4.5l-7 7"),
    };
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><rect width=\"16\" height=\"16\" rx=\"4\" \
         fill=\"{colour}\"/><path d=\"{shape}\" fill=\"none\" stroke=\"#fff\" stroke-width=\"2\" \
         stroke-linecap=\"round\"/></svg>"
    );
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}
