//! Who stands on the farm, what vedette must call each of them, and in which words.

use super::farm::Act::{self, Chain, Raw, Secured};
use super::{http1, http2, tls};

/// A neighbour nobody wants.
pub(crate) struct Hostile {
    /// Its cluster's name.
    pub(crate) name: &'static str,
    pub(crate) act: Act,
    /// The outcome in metrics; of several, whichever comes first.
    pub(crate) outcomes: &'static [&'static str],
}

const fn is(name: &'static str, act: Act, outcomes: &'static [&'static str]) -> Hostile {
    Hostile { name, act, outcomes }
}

/// A flood that also breaks a rule: what ends it is what is noticed first.
const EITHER: &[&str] = &["protocol_broken", "too_large"];

/// Watched as apiservers.
pub(crate) const APISERVERS: &[Hostile] = &[
    is("silence", Raw(tls::silence), &["timeout"]),
    is("plain-http", Raw(tls::plain_http), &["without_tls"]),
    is("dripping-handshake", Raw(tls::dripping_handshake), &["timeout"]),
    is("endless-handshake", Raw(tls::endless_handshake), &["tls_broken"]),
    is("endless-warnings", Raw(tls::endless_warnings), &["tls_broken"]),
    is("endless-retries", Raw(tls::endless_retries), &["tls_broken"]),
    is("endless-key-updates", Secured(tls::endless_key_updates), &["tls_broken"]),
    is("plain-text-inside", Secured(tls::plain_text_inside), &["tls_broken"]),
    is("more-than-64-kib", Chain(tls::more_than_64_kib, http1::healthy), &["tls_broken"]),
    // Odd chains are served, seen and reported as such; the servers behind them answer.
    is("two-hundred-certificates", Chain(tls::two_hundred_certificates, http1::healthy), &["ok"]),
    is("fifty-times-the-same", Chain(tls::fifty_times_the_same, http1::healthy), &["ok"]),
    is("bad-asn1", Chain(tls::bad_asn1, http1::healthy), &["ok"]),
    is("endless-body", Secured(http1::endless_body), &["too_large"]),
    is("large-body", Secured(http1::large_body), &["too_large"]),
    is("length-of-all-memory", Secured(http1::length_of_all_memory), &["too_large"]),
    is("endless-tiny-chunks", Secured(http1::endless_tiny_chunks), &["too_large"]),
    is("endless-chunk-extension", Secured(http1::endless_chunk_extension), &["protocol_broken"]),
    is("endless-trailers", Secured(http1::endless_trailers), &["protocol_broken"]),
    is("endless-headers", Secured(http1::endless_headers), &["too_large"]),
    is("header-without-end", Secured(http1::header_without_end), &["too_large"]),
    is("status-without-end", Secured(http1::status_without_end), &["too_large"]),
    is("endless-continue", Secured(http1::endless_continue), &["too_large"]),
    is("endless-early-hints", Secured(http1::endless_early_hints), &["too_large"]),
    is("dripping-headers", Secured(http1::dripping_headers), &["timeout"]),
    is("dripping-body", Secured(http1::dripping_body), &["timeout"]),
    // Not unpacked: the encoding was not asked for, and what is packed is no word of an apiserver.
    is("gzip-bomb", Secured(http1::gzip_bomb), &["foreign"]),
    is("two-lengths", Secured(http1::two_lengths), &["protocol_broken"]),
    is("another-protocol", Secured(http1::another_protocol), &["protocol_broken"]),
    is("redirect", Secured(http1::redirect), &["foreign"]),
];

/// Watched as sole members of etcd clusters.
pub(crate) const MEMBERS: &[Hostile] = &[
    is("ping-flood", Secured(http2::ping_flood), &["too_large"]),
    is("settings-flood", Secured(http2::settings_flood), &["too_large"]),
    is("reset-flood", Secured(http2::reset_flood), EITHER),
    is("window-flood", Secured(http2::window_flood), EITHER),
    is("window-overflow", Secured(http2::window_overflow), EITHER),
    is("tiny-window-updates", Secured(http2::tiny_window_updates), &["too_large"]),
    is("continuation-flood", Secured(http2::continuation_flood), EITHER),
    is("header-flood", Secured(http2::header_flood), EITHER),
    is("trailers-flood", Secured(http2::trailers_flood), EITHER),
    is("endless-messages", Secured(http2::endless_messages), EITHER),
    is("empty-data-flood", Secured(http2::empty_data_flood), EITHER),
    is("endless-message", Secured(http2::endless_message), EITHER),
    is("length-of-four-gigabytes", Secured(http2::length_of_four_gigabytes), &["too_large"]),
    is("compressed-unasked", Secured(http2::compressed_unasked), &["protocol_broken"]),
    is("no-protobuf", Secured(http2::no_protobuf), &["protocol_broken"]),
    is("goodbye-loop", Secured(http2::goodbye_loop), &["closed"]),
    is("dripping-message", Secured(http2::dripping_message), &["timeout"]),
    is("window-of-nothing", Secured(http2::window_of_nothing), &["timeout"]),
    // Its words may break the connection before our question is on its way.
    is("http1-instead", Secured(http2::http1_instead), &["protocol_broken", "closed"]),
    is("dripping-etcd", Raw(tls::dripping_handshake), &["timeout"]),
];

/// Answers every probe, and floods the idle connection afterwards.
pub(crate) const FLOODS_WHEN_IDLE: &str = "answer-and-ping-flood";

impl Hostile {
    /// Whether it is called by its cause. On a machine that is busy with other things a probe may time out before it
    /// has seen enough; most must have.
    pub(crate) fn is_called_so(&self, seen: &[(String, u64)]) -> bool {
        let (mut right, mut all) = (0, 0);
        for (outcome, probes) in seen {
            all += probes;
            if self.outcomes.contains(&outcome.as_str()) {
                right += probes;
            } else if outcome != "timeout" {
                return false;
            }
        }
        2 * right > all
    }

    /// What a person reads of it, in mails and in the table of `probe`.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> {
        self.outcomes.iter().flat_map(|outcome| words(outcome)).copied()
    }
}

fn words(outcome: &str) -> &'static [&'static str] {
    match outcome {
        "timeout" => &["timed out"],
        "tls_broken" => &["no valid TLS"],
        "too_large" => &["answer too large"],
        "protocol_broken" => &["answer breaks the protocol"],
        "closed" => &["closed by the peer"],
        "without_tls" => &["answers without TLS"],
        "foreign" => &["a redirect", "a text of something else"],
        other => panic!("nobody is mailed about {other}"),
    }
}
