//! A document as HTML for mail programs: tables and inline styles, 600 px at most, light and dark.
//!
//! Outlook renders with Word and ignores most of CSS, so every colour is inline on a table cell; the `<style>` block
//! only turns colours for dark mode and is dispensable. No image, no script, nothing fetched; links are the configured
//! ones alone.

use super::document::{Block, Document, ProbeRow, Section, Tone};
use super::harmless::html as safe;

/// Gmail clips a mail near 102 kB; encoded quoted-printable adds a little to this.
pub const LARGEST: usize = 90 * 1024;

const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";
const MONO: &str = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;";

/// Colours for dark mode. The light ones are inline. Contrast of every pair is at least 4.5:1 (WCAG 2.2, 1.4.3).
const DARK: &str = "@media (prefers-color-scheme:dark){\
    .page{background:#0f1317!important}.card{background:#191e24!important;border-color:#343c45!important}\
    .ink{color:#e6e9ec!important}.dim{color:#a5afb9!important}\
    .code{background:#10151a!important;color:#e6e9ec!important;border-color:#343c45!important}\
    .rule{border-color:#343c45!important}.bad{color:#ff9a90!important}}\
    @media (max-width:480px){.wide{padding-left:14px!important;padding-right:14px!important}}";

/// The HTML part.
#[must_use]
pub fn html(document: &Document) -> String {
    let (bar, word) = colours(document.tone);
    let mut out = String::with_capacity(16 * 1024);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    out.push_str("<meta name=\"supported-color-schemes\" content=\"light dark\">\n");
    out.push_str(&format!(
        "<title>{}</title>\n<style>:root{{color-scheme:light dark}}{DARK}</style></head>\n",
        safe(&document.subject)
    ));
    out.push_str(&format!("<body class=\"page\" style=\"margin:0;padding:0;background:#eef0f2;{FONT}\">\n"));
    // A mail program shows the first words of a mail beside its subject; these are seen there alone.
    out.push_str(&format!(
        "<div style=\"display:none;max-height:0;overflow:hidden;font-size:1px;line-height:1px;opacity:0\">{}</div>\n",
        safe(&document.preheader)
    ));
    out.push_str("<table role=\"presentation\" class=\"page\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"background:#eef0f2\"><tr><td align=\"center\" style=\"padding:12px 6px\">\n");
    out.push_str("<table role=\"presentation\" class=\"card\" width=\"600\" cellpadding=\"0\" cellspacing=\"0\" style=\"width:100%;max-width:600px;background:#ffffff;border:1px solid #d5dade;border-collapse:separate;table-layout:fixed\">\n");
    out.push_str(&format!(
        "<tr><td class=\"wide\" style=\"padding:14px 22px;background:{bar};color:{word};{FONT}font-size:13px;font-weight:700;letter-spacing:.4px\">{}</td></tr>\n",
        safe(&match &document.place {
            Some(place) => format!("{} \u{b7} {place}", document.badge),
            None => document.badge.clone(),
        })
    ));
    out.push_str(&format!(
        "<tr><td class=\"wide ink\" style=\"padding:16px 22px 0;color:#14181c;{FONT}font-size:20px;line-height:26px;font-weight:700;word-wrap:break-word;overflow-wrap:anywhere\">{}</td></tr>\n",
        safe(&document.heading)
    ));
    for section in &document.sections {
        self::section(&mut out, section);
    }
    out.push_str("<tr><td style=\"height:16px;line-height:16px;font-size:1px\">&nbsp;</td></tr>\n</table>\n</td></tr></table>\n</body></html>\n");
    out
}

/// Bar and the word on it.
const fn colours(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Critical => ("#b3261e", "#ffffff"),
        Tone::Warning => ("#f2b84b", "#241a02"),
        Tone::Over => ("#1e6f43", "#ffffff"),
        Tone::Neutral => ("#46525e", "#ffffff"),
    }
}

fn section(out: &mut String, section: &Section) {
    let is_footer = section.title == "About this mail";
    out.push_str(&format!(
        "<tr><td class=\"wide {}\" style=\"padding:14px 22px 0;color:{};{FONT}font-size:{};line-height:1.5;word-wrap:break-word;overflow-wrap:anywhere\">\n",
        if is_footer { "dim" } else { "ink" },
        if is_footer { "#56616b" } else { "#14181c" },
        if is_footer { "13px" } else { "15px" },
    ));
    if !section.title.is_empty() {
        out.push_str(&format!(
            "<div class=\"dim rule\" style=\"margin:0 0 6px;padding-top:10px;border-top:1px solid #dfe3e6;color:#56616b;font-size:12px;font-weight:700;letter-spacing:.6px;text-transform:uppercase\">{}</div>\n",
            safe(section.title)
        ));
    }
    for block in &section.blocks {
        self::block(out, block);
    }
    out.push_str("</td></tr>\n");
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Text(text) => out.push_str(&format!("<p style=\"margin:0 0 8px\">{}</p>\n", prose(text))),
        Block::Strong(text) => {
            out.push_str(&format!("<p style=\"margin:0 0 8px;font-weight:600\">{}</p>\n", prose(text)))
        }
        Block::Items(items) => list("ul", items, out),
        Block::Steps(steps) => list("ol", steps, out),
        Block::Facts(facts) => {
            out.push_str(
                "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" style=\"margin:0 0 8px;width:100%\">",
            );
            for (name, value) in facts {
                out.push_str(&format!(
                    "<tr><td class=\"dim\" width=\"84\" valign=\"top\" style=\"padding:1px 12px 1px 0;color:#56616b;font-size:13px;line-height:1.5;white-space:nowrap\">{}</td><td valign=\"top\" style=\"padding:1px 0;font-size:13px;line-height:1.5;word-break:break-word;overflow-wrap:anywhere\">{}</td></tr>",
                    safe(name),
                    prose(value)
                ));
            }
            out.push_str("</table>\n");
        }
        Block::Links(links) => {
            for (name, link) in links {
                let link = safe(link);
                out.push_str(&format!(
                    "<p style=\"margin:0 0 4px;font-size:13px\">{}: <a class=\"ink\" href=\"{link}\" style=\"color:#14181c\">{link}</a></p>\n",
                    safe(name)
                ));
            }
        }
        Block::Commands(commands) => {
            for command in commands {
                if let Some(note) = &command.note {
                    out.push_str(&format!(
                        "<div class=\"dim\" style=\"margin:8px 0 3px;color:#56616b;font-size:13px;line-height:1.4\">{}{}</div>\n",
                        safe(note),
                        if note.ends_with('?') { "" } else { ":" }
                    ));
                }
                out.push_str(&format!(
                    "<div class=\"code\" style=\"margin:0 0 6px;padding:7px 9px;background:#f4f6f7;border:1px solid #dfe3e6;color:#14181c;{MONO}font-size:12.5px;line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere\">{}</div>\n",
                    unbroken(&command.line)
                ));
            }
        }
        Block::Verbatim(lines) => {
            let lines: Vec<String> = lines.iter().map(|line| safe(line)).collect();
            out.push_str(&format!(
                "<div class=\"code\" style=\"margin:0 0 6px;padding:7px 9px;background:#f4f6f7;border:1px solid #dfe3e6;color:#14181c;{MONO}font-size:12.5px;line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere\">{}</div>\n",
                lines.join("\n")
            ));
        }
        Block::Probes(rows) => table(out, rows),
    }
}

fn list(element: &str, items: &[String], out: &mut String) {
    out.push_str(&format!("<{element} style=\"margin:0 0 8px;padding-left:20px\">"));
    items.iter().for_each(|item| out.push_str(&format!("<li style=\"margin:0 0 4px\">{}</li>", prose(item))));
    out.push_str(&format!("</{element}>\n"));
}

/// A sentence whose instants are not broken at their hyphens: they are what a tired reader compares with a clock.
fn prose(text: &str) -> String {
    let words = safe(text);
    let unbroken = words.split(' ').map(|word| match word.split_at_checked(INSTANT.len()) {
        Some((instant, rest)) if is_instant(instant) => {
            format!("<span style=\"white-space:nowrap\">{instant}</span>{rest}")
        }
        Some(_) | None => word.to_owned(),
    });
    unbroken.collect::<Vec<_>>().join(" ")
}

/// A command that wraps at spaces only, and in long words after a comma, an equals sign or a slash: a name or an option
/// that is split over two lines is copied wrong.
fn unbroken(command: &str) -> String {
    let whole = |text: &str| format!("<span style=\"white-space:nowrap\">{}</span>", safe(text));
    let word = |word: &str| match word.len() {
        0 => String::new(),
        1..=UNBROKEN => whole(word),
        _ => {
            let pieces = word.split_inclusive([',', '=', '/']);
            let piece = |piece: &str| if piece.len() > UNBROKEN { safe(piece) } else { whole(piece) };
            pieces.map(piece).collect::<Vec<_>>().join("<wbr>")
        }
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Characters of a word that fit into a line of a phone: 360 px less the margins, in letters of 7.5 px.
const UNBROKEN: usize = 36;

/// The shape of what `UnixTime` shows; `0` is any digit.
const INSTANT: &str = "0000-00-00T00:00:00Z";

fn is_instant(word: &str) -> bool {
    word.bytes()
        .zip(INSTANT.bytes())
        .all(|(byte, shape)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
}

/// Three columns that fit side by side on a phone: where, how, what.
fn table(out: &mut String, rows: &[ProbeRow]) {
    out.push_str(
        "<table cellpadding=\"0\" cellspacing=\"0\" style=\"width:100%;border-collapse:collapse;margin:0 0 8px\">\n",
    );
    for row in rows {
        let (class, colour) = if row.good { ("ink", "#14181c") } else { ("bad", "#b3261e") };
        out.push_str(&format!(
            "<tr><td class=\"ink rule\" width=\"34%\" valign=\"top\" style=\"padding:6px 8px 6px 0;border-bottom:1px solid #eceff1;color:#14181c;font-size:13px;line-height:1.4;overflow-wrap:anywhere\"><b>{}</b><br><span class=\"dim\" style=\"color:#56616b;{MONO}font-size:12px\">{}</span></td>",
            safe(&row.target),
            safe(&row.address)
        ));
        out.push_str(&format!(
            "<td class=\"dim rule\" width=\"20%\" valign=\"top\" style=\"padding:6px 8px 6px 0;border-bottom:1px solid #eceff1;color:#56616b;font-size:13px;line-height:1.4\">{}<br><span style=\"font-size:12px;white-space:nowrap\">{}</span></td>",
            safe(row.kind),
            safe(&row.at)
        ));
        out.push_str(&format!(
            "<td class=\"{class} rule\" valign=\"top\" style=\"padding:6px 0;border-bottom:1px solid #eceff1;color:{colour};font-size:13px;line-height:1.4;overflow-wrap:anywhere\">{}<br><span class=\"dim\" style=\"color:#56616b;font-size:12px\">{}</span></td></tr>\n",
            safe(&row.saw),
            safe(&row.took)
        ));
    }
    out.push_str("</table>\n");
}
