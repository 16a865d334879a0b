//! What a message states about a silence: that it is late because of one, or sent in spite of one.

use std::time::Duration;

use crate::model::message::Message;
use crate::model::reason::MessageReason;

/// What was withheld is mailed within this time of the silence's end, unless vedette was down.
const JUST_ENDED: Duration = Duration::from_secs(60);

/// The sentence; `None` when no silence has to do with this message.
pub(super) fn sentence(message: &Message) -> Option<String> {
    let silence = &message.incident.silenced.as_ref()?.silence;
    let (cluster, until, author) = (&silence.cluster, silence.until, &silence.author);
    let why = format!("by {author}: {}", silence.comment.trim_end_matches('.'));
    if until > message.composed {
        let in_spite = match message.reason {
            MessageReason::Resolved | MessageReason::HappenedWhileMute => "you had a mail when it began",
            MessageReason::First
            | MessageReason::Escalated
            | MessageReason::CauseFound
            | MessageReason::CulpritFound
            | MessageReason::Repeated
            | MessageReason::Remains
            | MessageReason::Drill => "the whole cluster is down",
        };
        return Some(format!("Sent despite the silence of {cluster} until {until} {why}: {in_spite}."));
    }
    let was = format!("{cluster} was silenced from {} to {until} {why}.", silence.since);
    if message.reason == MessageReason::First {
        return Some(format!("No mail was sent when it began: {was}"));
    }
    let is_late = message.composed.since(until) <= JUST_ENDED && message.reason != MessageReason::Resolved;
    is_late.then(|| format!("Delayed by a silence: {was}"))
}
