//! The smallest pieces of the page: a harmless text, a state as a word, an instant, where the time went.

use crate::render::harmless::html;
use crate::render::status::facts::{Cell, Moment, State};

/// A harmless line between tags or inside a quoted attribute.
pub(super) fn safe(text: &str) -> String {
    html(text)
}

/// The symbol of a state, which shows it to those who cannot tell its colour.
pub(super) const fn symbol(state: State) -> &'static str {
    match state {
        State::Ok => "\u{2713}",
        State::Unknown => "?",
        State::Degraded => "\u{25b2}",
        State::Down => "\u{2715}",
    }
}

/// A word in the colour of a state, with its sign.
pub(super) fn word(state: State, text: &str) -> String {
    let hidden = "aria-hidden=\"true\"";
    format!("<span class=\"s {}\"><span {hidden}>{}</span>&nbsp;{}</span>", state.as_str(), symbol(state), safe(text))
}

/// The age, with the instant behind it.
pub(super) fn moment(moment: &Moment) -> String {
    format!("<time datetime=\"{0}\" title=\"{0}\">{1}</time>", safe(&moment.at), safe(&moment.age))
}

/// The instant and its age.
pub(super) fn full(at: &Moment) -> String {
    format!("<span class=\"at\">{}</span> ({})", safe(&at.at), moment(at))
}

/// `new: connect 1.0 + tls 4.6 = 5.6 ms`.
pub(super) fn took(cell: &Cell) -> String {
    let phases: Vec<String> = cell.phases.iter().map(|share| format!("{} {}", share.phase, share.millis)).collect();
    match phases.as_slice() {
        [] => cell.connection.to_owned(),
        some => format!("{}: {} = {}", cell.connection, some.join(" + "), cell.total),
    }
}
