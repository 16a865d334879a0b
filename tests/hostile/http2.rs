//! What can be done to whoever asks by gRPC, which is HTTP/2. Frames are made by hand (RFC 9113 section 4.1): no
//! library would send these.

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::farm::{Reply, Secured};
use super::http1::{pour, trickle};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// `:status: 200` and `content-type: application/grpc` (RFC 7541).
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`.
const GOOD_END: &[u8] = b"\x00\x0bgrpc-status\x010";
/// A header that every answer of etcd has: cluster 1, member 9, revision 42, term 3; then leader 9 of a status.
const ANSWER: &[u8] = b"\x0a\x08\x08\x01\x10\x09\x18\x2a\x20\x03\x20\x09";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A message with its gRPC prefix.
fn message(flag: u8, claimed: usize, bytes: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(claimed).unwrap().to_be_bytes()[..], bytes].concat()
}

fn good_answer(stream: u32) -> Vec<u8> {
    [
        frame(HEADERS, END_HEADERS, stream, HEAD),
        frame(DATA, 0, stream, &message(0, ANSWER.len(), ANSWER)),
        frame(HEADERS, END_HEADERS | END_STREAM, stream, GOOD_END),
    ]
    .concat()
}

/// A connection that has told its settings and reports the streams on which it is asked.
struct Peer {
    out: WriteHalf<Secured>,
    asked: mpsc::UnboundedReceiver<u32>,
}

impl Peer {
    async fn new(stream: Secured, settings: &[u8]) -> Self {
        let (incoming, mut out) = tokio::io::split(stream);
        let (notify, asked) = mpsc::unbounded_channel();
        tokio::spawn(listen(incoming, notify));
        // Nobody is there any more: the next write fails as well.
        out.write_all(&frame(SETTINGS, 0, 0, settings)).await.ok();
        out.write_all(&frame(SETTINGS, ACK, 0, &[])).await.ok();
        Self { out, asked }
    }

    async fn say(&mut self, bytes: &[u8]) -> bool {
        self.out.write_all(bytes).await.is_ok() && self.out.flush().await.is_ok()
    }
}

/// Reads frames; each HEADERS frame is a question.
async fn listen(mut incoming: ReadHalf<Secured>, notify: mpsc::UnboundedSender<u32>) -> Option<()> {
    let mut preface = [0; 24];
    incoming.read_exact(&mut preface).await.ok()?;
    loop {
        let mut head = [0; 9];
        incoming.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        incoming.read_exact(&mut payload).await.ok()?;
        if kind == HEADERS {
            notify.send(u32::from_be_bytes(stream)).ok()?;
        }
    }
}

/// A healthy member: answers every question.
pub(crate) fn healthy(stream: Secured) -> Reply {
    answering(stream, good_answer)
}

/// Answers every question with the frames of `answer`.
fn answering(stream: Secured, answer: fn(u32) -> Vec<u8>) -> Reply {
    Box::pin(async move {
        let mut peer = Peer::new(stream, &[]).await;
        while let Some(asked) = peer.asked.recv().await {
            if !peer.say(&answer(asked)).await {
                return;
            }
        }
    })
}

/// Lets one question come, then writes `unit` of that stream for ever.
fn flooding(stream: Secured, begin: fn(u32) -> Vec<u8>, unit: fn(u32) -> Vec<u8>) -> Reply {
    Box::pin(async move {
        let mut peer = Peer::new(stream, &[]).await;
        if let Some(asked) = peer.asked.recv().await
            && peer.say(&begin(asked)).await
        {
            pour(&mut peer.out, &unit(asked)).await;
        }
    })
}

fn nothing(_: u32) -> Vec<u8> {
    Vec::new()
}

fn ping(_: u32) -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

pub(crate) fn ping_flood(stream: Secured) -> Reply {
    flooding(stream, nothing, ping)
}

/// The question is answered; what goes on afterwards is an idle connection's flood.
pub(crate) fn answer_and_ping_flood(stream: Secured) -> Reply {
    flooding(stream, good_answer, ping)
}

pub(crate) fn settings_flood(stream: Secured) -> Reply {
    flooding(stream, nothing, |_| frame(SETTINGS, 0, 0, &[]))
}

pub(crate) fn reset_flood(stream: Secured) -> Reply {
    flooding(stream, nothing, |asked| frame(RST_STREAM, 0, asked, &[0, 0, 0, 2]))
}

pub(crate) fn window_flood(stream: Secured) -> Reply {
    flooding(stream, nothing, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0]))
}

pub(crate) fn window_overflow(stream: Secured) -> Reply {
    flooding(stream, nothing, |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))
}

pub(crate) fn tiny_window_updates(stream: Secured) -> Reply {
    flooding(stream, nothing, |asked| frame(WINDOW_UPDATE, 0, asked, &[0, 0, 0, 1]))
}

pub(crate) fn continuation_flood(stream: Secured) -> Reply {
    flooding(stream, |asked| frame(HEADERS, 0, asked, HEAD), |asked| frame(CONTINUATION, 0, asked, b"\x00\x01a\x01b"))
}

pub(crate) fn header_flood(stream: Secured) -> Reply {
    answering(stream, |asked| {
        let many = b"\x00\x01a\x01b".repeat(3_000);
        frame(HEADERS, END_HEADERS, asked, &[HEAD, &many].concat())
    })
}

pub(crate) fn trailers_flood(stream: Secured) -> Reply {
    flooding(
        stream,
        |asked| {
            let head = frame(HEADERS, END_HEADERS, asked, HEAD);
            let data = frame(DATA, 0, asked, &message(0, ANSWER.len(), ANSWER));
            [head, data, frame(HEADERS, END_STREAM, asked, GOOD_END)].concat()
        },
        |asked| frame(CONTINUATION, 0, asked, b"\x00\x01a\x01b"),
    )
}

pub(crate) fn endless_messages(stream: Secured) -> Reply {
    flooding(
        stream,
        |asked| frame(HEADERS, END_HEADERS, asked, HEAD),
        |asked| frame(DATA, 0, asked, &message(0, ANSWER.len(), ANSWER)),
    )
}

pub(crate) fn empty_data_flood(stream: Secured) -> Reply {
    flooding(stream, |asked| frame(HEADERS, END_HEADERS, asked, HEAD), |asked| frame(DATA, 0, asked, &[]))
}

pub(crate) fn endless_message(stream: Secured) -> Reply {
    flooding(
        stream,
        |asked| {
            let head = frame(HEADERS, END_HEADERS, asked, HEAD);
            [head, frame(DATA, 0, asked, &message(0, 100_000_000, b""))].concat()
        },
        |asked| frame(DATA, 0, asked, &[0; 1024]),
    )
}

pub(crate) fn length_of_four_gigabytes(stream: Secured) -> Reply {
    answering(stream, |asked| {
        let head = frame(HEADERS, END_HEADERS, asked, HEAD);
        [head, frame(DATA, 0, asked, &message(0, 0xffff_ffff, b"abc"))].concat()
    })
}

pub(crate) fn compressed_unasked(stream: Secured) -> Reply {
    answering(stream, |asked| {
        let head = frame(HEADERS, END_HEADERS, asked, HEAD);
        [head, frame(DATA, 0, asked, &message(1, ANSWER.len(), ANSWER))].concat()
    })
}

pub(crate) fn no_protobuf(stream: Secured) -> Reply {
    answering(stream, |asked| {
        let head = frame(HEADERS, END_HEADERS, asked, HEAD);
        let data = frame(DATA, 0, asked, &message(0, 8, &[0xff; 8]));
        [head, data, frame(HEADERS, END_HEADERS | END_STREAM, asked, GOOD_END)].concat()
    })
}

/// Says goodbye to every connection before it answers anything.
pub(crate) fn goodbye_loop(stream: Secured) -> Reply {
    answering(stream, |_| frame(GOAWAY, 0, 0, &[0; 8]))
}

pub(crate) fn dripping_message(stream: Secured) -> Reply {
    Box::pin(async move {
        let mut peer = Peer::new(stream, &[]).await;
        let Some(asked) = peer.asked.recv().await else { return };
        let data = frame(DATA, 0, asked, &[0; 16_000]);
        let begun = [frame(HEADERS, END_HEADERS, asked, HEAD), data[..9].to_vec()].concat();
        if peer.say(&begun).await {
            trickle(&mut peer.out).await;
        }
    })
}

/// A window of nothing: the question can never be sent whole.
pub(crate) fn window_of_nothing(stream: Secured) -> Reply {
    Box::pin(async move {
        // SETTINGS_INITIAL_WINDOW_SIZE = 0.
        let mut peer = Peer::new(stream, &[0, 4, 0, 0, 0, 0]).await;
        while peer.asked.recv().await.is_some() {}
    })
}

pub(crate) fn http1_instead(mut stream: Secured) -> Reply {
    Box::pin(async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.ok();
        std::future::pending().await
    })
}
