//! Where log lines go and their format.
//!
//! To standard error, so that standard output stays the command's own. Plain text unless configured otherwise; colours
//! only for a terminal; a priority in front of each line when the journal reads it, which also stamps the time itself.
//! `VEDETTE_LOG` filters, as `info` or `warn,vedette=debug`. Called once, by `cli`.
//!
//! Lines are written by a thread of their own: journald on a hung disk stops reading, and a write to standard error
//! then blocks the writer. Lines that find the queue full are dropped, and the next line that is written says how many.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The variable that holds the filter.
pub const FILTER_VARIABLE: &str = "VEDETTE_LOG";
/// The filter unless the variable says otherwise. rustls warns of errors of a peer, with text from the peer and as
/// often as it makes them; the probes report the same fault by its cause.
const DEFAULT_FILTER: &str = "info,rustls=error";
/// Set by the service manager to `device:inode` of the stream it reads into the journal.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Lines that wait for standard error at most: about 1 MiB, and minutes of an outage's log.
const MOST_WAITING: usize = 4096;

/// Keeps the thread that writes; when it is dropped, what waits is written, for at most a second.
#[must_use = "lines are written for as long as this lives"]
#[derive(Debug)]
pub struct Writing {
    _worker: WorkerGuard,
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not understood.
    #[error("reading {FILTER_VARIABLE}")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Another logger was set up before.
    #[error("logging was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// The text is no [`Format`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such log format; write plain or json")]
pub struct NoSuchFormat;

/// Sends the process's log lines to standard error.
///
/// # Errors
///
/// When the filter in `VEDETTE_LOG` is not understood, or on a second call.
pub fn start(format: Format) -> Result<Writing, LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let filter = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let filter = EnvFilter::try_new(filter).map_err(LoggingError::Filter)?;
    let reader = Reader::of_stderr();
    let missing = move |lines| missing(format, reader, lines);
    let (writer, writing) = queue(io::stderr(), MOST_WAITING, missing);
    subscriber(format, reader, filter, writer).try_init().map_err(LoggingError::Twice)?;
    Ok(writing)
}

/// The line in place of `lines` that were dropped.
fn missing(format: Format, reader: Reader, lines: usize) -> String {
    let text = format!("{lines} log lines dropped: whatever reads standard error did not take them in time");
    let priority = if reader == Reader::AlarmLog { "<4>" } else { "" };
    match format {
        Format::Plain => format!("{priority} WARN {}: {text}", module_path!()),
        Format::Json => {
            let fields = serde_json::json!({ "message": text, "lines": lines });
            format!("{priority}{}", serde_json::json!({ "level": "WARN", "fields": fields, "target": module_path!() }))
        }
    }
}

/// Lines for `to`, `most` of them waiting, written by a thread of their own. `missing` words what was dropped.
fn queue(
    to: impl io::Write + Send + 'static,
    most: usize,
    missing: impl Fn(usize) -> String + Send + 'static,
) -> (NonBlocking, Writing) {
    let dropped = Arc::new(OnceLock::new());
    let sink = Counting { to, missing, dropped: Arc::clone(&dropped), told: 0 };
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(most).thread_name("log").finish(sink);
    dropped.get_or_init(|| writer.error_counter());
    (writer, Writing { _worker: worker })
}

/// Where the writing thread writes, and how many dropped lines it has reported.
struct Counting<W, M> {
    to: W,
    missing: M,
    dropped: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W: io::Write, M: Fn(usize) -> String> io::Write for Counting<W, M> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.told {
            writeln!(self.to, "{}", (self.missing)(dropped - self.told))?;
            self.told = dropped;
        }
        self.to.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Terminal,
    AlarmLog,
    Other,
}

impl Reader {
    fn of_stderr() -> Self {
        let stderr = io::stderr();
        if stderr.is_terminal() {
            return Self::Terminal;
        }
        let stream = std::env::var(JOURNAL_VARIABLE).unwrap_or_default();
        let file = stderr.as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
        match file {
            Ok(file) if stream == format!("{}:{}", file.dev(), file.ino()) => Self::AlarmLog,
            Ok(_) | Err(_) => Self::Other,
        }
    }
}

fn subscriber<W>(format: Format, reader: Reader, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let builder = builder.with_ansi(reader == Reader::Terminal);
    let shape = tracing_subscriber::fmt::format().with_ansi(reader == Reader::Terminal);
    match (format, reader) {
        (Format::Plain, Reader::AlarmLog) => Box::new(builder.event_format(Prioritised(shape.without_time())).finish()),
        (Format::Plain, Reader::Terminal | Reader::Other) => Box::new(builder.event_format(shape).finish()),
        (Format::Json, Reader::AlarmLog) => {
            Box::new(builder.fmt_fields(JsonFields::new()).event_format(Prioritised(shape.json())).finish())
        }
        (Format::Json, Reader::Terminal | Reader::Other) => {
            Box::new(builder.fmt_fields(JsonFields::new()).event_format(shape.json()).finish())
        }
    }
}

/// Lines with the priority that the journal takes off again: `<4>…` (sd-daemon(3)).
struct Prioritised<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// syslog(3)'s numbers: error 3, warning 4, info 6, debug 7.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl FromStr for Format {
    type Err = NoSuchFormat;

    fn from_str(text: &str) -> Result<Self, NoSuchFormat> {
        match text {
            "plain" => Ok(Self::Plain),
            "json" => Ok(Self::Json),
            _ => Err(NoSuchFormat),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_journal_gets_a_priority_and_no_time() {
        assert_eq!(written(Format::Plain, Reader::AlarmLog), "<4> WARN api: mail is late waiting=3\n");
    }

    #[test]
    fn a_pipe_gets_a_time_and_no_colours() {
        let line = written(Format::Plain, Reader::Other);

        assert!(line.ends_with(" WARN api: mail is late waiting=3\n"), "{line}");
        assert!(line.starts_with("20") && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn a_terminal_gets_colours() {
        assert!(written(Format::Plain, Reader::Terminal).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_per_line() {
        let line = written(Format::Json, Reader::Other);

        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["fields"]["message"], "mail is late");
        assert_eq!(object["fields"]["waiting"], 3);
        assert!(written(Format::Json, Reader::AlarmLog).starts_with("<4>{"));
    }

    #[test]
    fn formats_are_named() {
        assert_eq!("json".parse(), Ok(Format::Json));
        assert_eq!("plain".parse(), Ok(Format::Plain));
        assert_eq!("xml".parse::<Format>(), Err(NoSuchFormat));
    }

    #[test]
    fn peers_cannot_write_into_our_log_unless_it_is_asked_for() {
        let of_rustls = |filter| {
            logged(filter, || {
                tracing::warn!(target: "rustls::msgs::handshake", "Illegal SNI extension: <what a peer wrote>");
                tracing::error!(target: "rustls::conn", "no entropy");
            })
        };

        assert_eq!(of_rustls(DEFAULT_FILTER), "<3>ERROR rustls::conn: no entropy\n");
        assert!(of_rustls("info").contains("what a peer wrote"));
    }

    #[test]
    fn lines_that_find_the_queue_full_are_counted_where_they_are_missing() {
        use std::io::Write as _;

        let (release, held) = std::sync::mpsc::channel::<()>();
        let lines = Sink::default();
        let stalled = Stalled { held, is_held: true, to: lines.clone() };
        let (mut writer, writing) = queue(stalled, 1, |lines| missing(Format::Plain, Reader::AlarmLog, lines));

        for number in 0..20 {
            writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let dropped = writer.error_counter().dropped_lines();
        release.send(()).unwrap();
        drop(writing);

        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        assert_eq!(written + dropped, 20, "{text}");
        let told = format!("<4> WARN vedette::daemon::logging: {dropped} log lines dropped: whatever reads");
        assert!(text.contains(&told), "{text}");
        let object: serde_json::Value = serde_json::from_str(&missing(Format::Json, Reader::Other, 3)).unwrap();
        assert_eq!((&object["level"], &object["fields"]["lines"]), (&"WARN".into(), &3.into()));
    }

    /// Takes nothing until it is released.
    struct Stalled {
        held: std::sync::mpsc::Receiver<()>,
        is_held: bool,
        to: Sink,
    }

    impl io::Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::take(&mut self.is_held) {
                self.held.recv().ok();
            }
            self.to.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.to.flush()
        }
    }

    fn written(format: Format, reader: Reader) -> String {
        captured(format, reader, DEFAULT_FILTER, || {
            tracing::warn!(target: "api", waiting = 3, "mail is late");
            tracing::debug!(target: "api", "not asked for");
        })
    }

    /// What the journal gets of `events` under `filter`.
    fn logged(filter: &str, events: impl FnOnce()) -> String {
        captured(Format::Plain, Reader::AlarmLog, filter, events)
    }

    fn captured(format: Format, reader: Reader, filter: &str, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let lines = Arc::clone(&sink.0);
        let subscriber_to_sink = subscriber(format, reader, EnvFilter::new(filter), move || sink.clone());
        tracing::subscriber::with_default(subscriber_to_sink, events);
        String::from_utf8(lines.lock().unwrap().clone()).unwrap()
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
