//! A document as plain text of at most 78 columns, complete on its own: many people on call read only this part.

use super::document::{Block, Command, Document, ProbeRow, Section};

/// Columns of a line, where the words allow it. Source: RFC 5322 section 2.1.1.
const WIDTH: usize = 78;

/// Characters that show where a command goes on in the next line.
const CONTINUED: &str = " \\";

/// The text part.
#[must_use]
pub fn text(document: &Document) -> String {
    let mut out = String::new();
    push(&mut out, "", &format!("{}: {}", document.badge, document.heading), "");
    for section in &document.sections {
        out.push('\n');
        self::section(&mut out, section);
    }
    out
}

fn section(out: &mut String, section: &Section) {
    if !section.title.is_empty() {
        out.push_str(&section.title.to_uppercase());
        out.push('\n');
    }
    for block in &section.blocks {
        match block {
            Block::Text(text) | Block::Strong(text) => push(out, "", text, ""),
            Block::Items(items) => items.iter().for_each(|item| push(out, "- ", item, "  ")),
            Block::Steps(steps) => {
                for (step, number) in steps.iter().zip(1..) {
                    push(out, &format!("{number}. "), step, "   ");
                }
            }
            Block::Facts(facts) | Block::Links(facts) => {
                let widest = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in facts {
                    let first = format!("{name:<widest$}  ");
                    push(out, &first, value, &" ".repeat(widest + 2));
                }
            }
            Block::Commands(commands) => commands.iter().for_each(|command| {
                out.push_str(&fold(command));
                out.push('\n');
            }),
            Block::Verbatim(lines) => lines.iter().for_each(|line| {
                out.push_str(line);
                out.push('\n');
            }),
            Block::Probes(rows) => table(out, rows),
        }
    }
}

/// The evidence: aligned columns, each outcome on a line of its own below them when one of them is too long.
fn table(out: &mut String, rows: &[ProbeRow]) {
    let widest = |column: fn(&ProbeRow) -> &str| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (target, address) = (widest(|row| &row.target), widest(|row| &row.address));
    let (kind, at) = (widest(|row| row.kind), widest(|row| &row.at));
    let before = target + address + kind + at + 8;
    let fits = rows.iter().all(|row| before + saw(row).chars().count() <= WIDTH);
    for row in rows {
        let mark = if row.good { ' ' } else { '!' };
        let columns =
            format!("{:<target$}  {:<address$}  {:<kind$}  {:<at$}", row.target, row.address, row.kind, row.at);
        if fits {
            out.push_str(&format!("{columns} {mark}{}", saw(row)));
            out.push('\n');
        } else {
            out.push_str(columns.trim_end());
            out.push('\n');
            push(out, &format!("  {mark} "), &saw(row), "    ");
        }
    }
}

fn saw(row: &ProbeRow) -> String {
    if row.took.is_empty() { row.saw.clone() } else { format!("{} ({})", row.saw, row.took) }
}

/// Writes `text` after `first`, broken at spaces; further lines start with `rest`.
fn push(out: &mut String, first: &str, text: &str, rest: &str) {
    let mut column = first.chars().count();
    let mut at_start = true;
    out.push_str(first);
    for word in text.split(' ') {
        let width = word.chars().count();
        if !at_start && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(rest);
            column = rest.chars().count();
            at_start = true;
        }
        if !at_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        at_start = false;
    }
    out.push('\n');
}

/// A command over several lines that a shell still takes as one: broken only at spaces outside quotes, before a pipe
/// where there is one. A note that does not fit behind it goes above it.
fn fold(command: &Command) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = "  ".to_owned();
    for (at, word) in shell_words(&command.line).iter().enumerate() {
        let needed = line.chars().count() + 1 + word.chars().count() + CONTINUED.len();
        if at == 0 {
            line.push_str(word);
        } else if needed <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("{line}{CONTINUED}"));
            line = format!("    {word}");
        }
    }
    match &command.note {
        Some(note) if lines.is_empty() && line.chars().count() + 3 + note.chars().count() <= WIDTH => {
            line.push_str(&format!(" # {note}"));
        }
        Some(note) => lines.insert(0, format!("  # {note}")),
        None => {}
    }
    lines.push(line);
    lines.join("\n")
}

/// The words of a command: quotes kept, a pipe joined to what follows it.
fn shell_words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut is_escaped = false;
    for c in command.chars() {
        let was_escaped = std::mem::take(&mut is_escaped);
        match (c, quote) {
            // A quote behind a backslash opens and closes nothing; between single quotes a backslash is a letter.
            _ if was_escaped => {}
            ('\\', None | Some('"')) => is_escaped = true,
            (' ', None) if word == "|" => {}
            (' ', None) => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_stay_one_command_for_the_shell() {
        let line = format!("ssh 10.0.0.1 'echo {}' | tail --flag={} '#1'", "a b ".repeat(20), "x".repeat(40));
        let command = Command { line: line.clone(), note: Some("why it is done at all".into()) };

        let folded = fold(&command);

        let (note, rest) = folded.split_once('\n').unwrap();
        assert_eq!(note, "  # why it is done at all");
        assert_eq!(rest.replace(" \\\n    ", " ").trim(), line);
        assert!(folded.contains(&"a b ".repeat(20)), "a quoted part is broken: {folded}");
    }

    #[test]
    fn a_quote_inside_quotes_ends_no_word() {
        let inner = format!("'sudo echo '\\''{}'\\'''", "a b ".repeat(30));
        let command = Command { line: format!("ssh 10.0.0.1 {inner}"), note: None };

        assert!(fold(&command).contains(&inner), "{}", fold(&command));
    }

    #[test]
    fn paragraphs_keep_to_the_width() {
        let mut out = String::new();

        push(&mut out, "- ", &"word ".repeat(60), "  ");

        assert!(out.lines().all(|line| line.chars().count() <= WIDTH));
    }
}
