//! Claims about requests by both protocols, against servers that answer, and against hostile ones.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::header::{self, HeaderValue};
use http::{Method, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use super::{Answer, Limits, Request, Sink, once};
use crate::collect::connection_end::Watched;
use crate::collect::context::ProbeContext;
use crate::collect::phase_timer::PhaseTimer;
use crate::collect::tests::servers::{Server, head};
use crate::collect::tests::test_clock;
use crate::metered::{Meter, Metered};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::policy::Policy;

const LIMITS: Limits = Limits { bytes: 64 * 1024, head: Duration::from_secs(5), whole: Duration::from_secs(5) };
const SHORT: Duration = Duration::from_millis(300);

/// The protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

const BOTH: [Spoken; 2] = [Spoken::Http1, Spoken::Http2];

type Pieces = stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>;

/// A server whose `answer` to each request is a body in pieces.
async fn serving<F>(
    spoken: Spoken,
    answer: impl Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = Pieces> + Send + 'static,
{
    Server::raw(move |stream| {
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let body = answer(request);
            async move { Ok::<_, Infallible>(http::Response::new(StreamBody::new(body.await))) }
        });
        async move {
            // A connection that breaks is what some tests want.
            match spoken {
                Spoken::Http1 => {
                    let http = hyper::server::conn::http1::Builder::new();
                    http.serve_connection(TokioIo::new(stream), service).await.ok();
                }
                Spoken::Http2 => {
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    http.serve_connection(TokioIo::new(stream), service).await.ok();
                }
            }
        }
    })
    .await
}

fn piece(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(bytes.into()))
}

fn body(pieces: impl Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + 'static) -> Pieces {
    pieces.boxed()
}

fn request(limits: Limits) -> Request {
    Request::get(&Uri::from_static("api.example:6443"), "/page?verbose", limits)
}

async fn ask<B: Sink>(server: &Server, spoken: Spoken, request: &Request, sink: B) -> Result<Answer<B>, Unseen> {
    let (observed, _observations) = mpsc::channel(1);
    let context = ProbeContext::new(test_clock(), Policy::default(), observed);
    let meter = Meter::of(0);
    let socket = TcpStream::connect(server.address).await.unwrap();
    let stream = Watched::new(Metered::new(socket, Arc::clone(&meter)), meter, spoken == Spoken::Http2);
    once(&context, stream, request, sink, &PhaseTimer::new(&context.clock)).await
}

async fn failure(server: &Server, spoken: Spoken, limits: Limits) -> Unseen {
    match ask(server, spoken, &request(limits), Vec::new()).await {
        Ok(answer) => panic!("{spoken:?}: {} bytes", answer.body.len()),
        Err(unseen) => unseen,
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_written() {
    for spoken in BOTH {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let server = serving(spoken, move |request| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let whole = body.collect().await.unwrap().to_bytes();
                seen.send((head, whole)).unwrap();
                body_of("done")
            }
        })
        .await;
        let target = format!("/apis/coordination.k8s.io/v1/leases/{}", "x".repeat(8));
        let written = Request { method: Method::PUT, body: Bytes::from_static(b"{}"), ..request(LIMITS) };
        let written = Request { target: target.clone().into(), ..written };
        let written = written.with(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

        let answer = ask(&server, spoken, &written, Vec::new()).await.unwrap();
        ask(&server, spoken, &request(LIMITS), Vec::new()).await.unwrap();

        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"done"[..]), "{spoken:?}");
        let (head, whole) = requests.recv().await.unwrap();
        assert_eq!((head.method, head.uri.path(), whole.as_ref()), (Method::PUT, target.as_str(), &b"{}"[..]));
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
        assert!(head.headers[header::USER_AGENT].to_str().unwrap().starts_with("vedette/"));
        let (head, whole) = requests.recv().await.unwrap();
        assert_eq!((head.method, head.uri.query(), whole.len()), (Method::GET, Some("verbose"), 0));
        let to = head.headers.get(header::HOST).map(|host| host.to_str().unwrap().to_owned());
        assert_eq!(to.or_else(|| head.uri.authority().map(ToString::to_string)).as_deref(), Some("api.example:6443"));
        assert_eq!(head.headers.contains_key(header::CONNECTION), spoken == Spoken::Http1);
    }
}

fn body_of(text: &'static str) -> Pieces {
    body(stream::iter([piece(text)]))
}

/// Notes what it is given, and when.
struct Noting {
    arrived: Arc<Notify>,
    bytes: usize,
    largest: usize,
}

impl Sink for Noting {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.bytes += piece.len();
        self.largest = self.largest.max(piece.len());
        self.arrived.notify_one();
        Ok(())
    }
}

#[tokio::test]
async fn a_body_is_passed_on_as_it_arrives_and_never_held_whole() {
    const LARGE: usize = 64 * 1024 * 1024;
    for spoken in BOTH {
        let arrived = Arc::new(Notify::new());
        let wait = Arc::clone(&arrived);
        let server = serving(spoken, move |_| {
            let wait = Arc::clone(&wait);
            async move {
                let rest = vec![Bytes::from(vec![b'x'; 64 * 1024]); LARGE / (64 * 1024)];
                // The rest is sent once the beginning has been taken.
                let held = stream::once(async move {
                    wait.notified().await;
                    piece("")
                });
                body(stream::iter([piece("begins")]).chain(held).chain(stream::iter(rest.into_iter().map(piece))))
            }
        })
        .await;
        let limits = Limits { bytes: LARGE + 6, whole: Duration::from_secs(60), ..LIMITS };
        let sink = Noting { arrived, bytes: 0, largest: 0 };

        let taken = ask(&server, spoken, &request(limits), sink).await.unwrap().body;

        assert_eq!(taken.bytes, LARGE + 6, "{spoken:?}");
        assert!(taken.largest <= 128 * 1024, "{spoken:?}: a piece of {} bytes", taken.largest);
    }
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_too_large_however_it_is_sent() {
    for spoken in BOTH {
        let endless = serving(spoken, |_| async { body(stream::repeat_with(|| piece(vec![b'x'; 8192]))) }).await;
        let many = serving(spoken, |_| async { body(stream::iter((0..3000).map(|_| piece("x")))) }).await;
        let whole = serving(spoken, |_| async { body(stream::iter([piece(vec![b'x'; 64 * 1024 + 1])])) }).await;
        let fits = serving(spoken, |_| async { body(stream::iter([piece(vec![b'x'; 64 * 1024])])) }).await;

        for (what, server) in [("endless", endless), ("whole", whole)] {
            let unseen = failure(&server, spoken, LIMITS).await;
            assert_eq!(unseen, Unseen { phase: Phase::Body, cause: Cause::TooLarge }, "{spoken:?} {what}");
        }
        // A peer that sends a frame for each byte breaks the rules of HTTP/2 before it has sent too many of them.
        let cause = failure(&many, spoken, LIMITS).await.cause;
        let is_flood = spoken == Spoken::Http2 && cause == Cause::ProtocolBroken;
        assert!(cause == Cause::TooLarge || is_flood, "{spoken:?} {cause:?}");
        let answer = ask(&fits, spoken, &request(LIMITS), Vec::new()).await.unwrap();
        assert_eq!(answer.body.len(), 64 * 1024, "{spoken:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_ends_in_the_phase_it_is_slow_in() {
    let limits = Limits { whole: SHORT, ..LIMITS };
    for spoken in BOTH {
        let silent = serving(spoken, |_| pending()).await;
        let drips =
            serving(spoken, |_| async { body(stream::iter([piece("begins")]).chain(stream::once(pending()))) }).await;

        for (server, limits, phase) in [
            (&silent, limits, Phase::FirstByte),
            (&silent, Limits { head: SHORT, ..LIMITS }, Phase::FirstByte),
            (&drips, limits, Phase::Body),
        ] {
            assert_eq!(failure(server, spoken, limits).await, Unseen { phase, cause: Cause::Timeout }, "{spoken:?}");
        }
        let slow_body = Limits { head: SHORT, ..LIMITS };
        let late = serving(spoken, |_| async {
            body(stream::once(async {
                tokio::time::sleep(SHORT * 2).await;
                piece("late")
            }))
        })
        .await;
        assert_eq!(ask(&late, spoken, &request(slow_body), Vec::new()).await.unwrap().body, b"late", "{spoken:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_in_the_middle_is_no_answer() {
    let cut = |bytes: &'static [u8]| {
        Server::raw(move |mut stream| async move {
            head(&mut stream).await;
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.ok();
        })
    };
    for server in [
        cut(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await,
        cut(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await,
        cut(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n400\r\nhalf").await,
    ] {
        let unseen = failure(&server, Spoken::Http1, LIMITS).await;
        assert_eq!(unseen, Unseen { phase: Phase::Body, cause: Cause::Closed });
    }
    let breaks = || async {
        body(stream::iter([piece("half")]).chain(stream::once(async {
            tokio::time::sleep(SHORT).await;
            Err(std::io::Error::other("the server gave up"))
        })))
    };
    // HTTP/2 can end a body alone; the connection goes on.
    let reset = serving(Spoken::Http2, move |_| breaks()).await;
    let unseen = failure(&reset, Spoken::Http2, LIMITS).await;
    assert_eq!(unseen, Unseen { phase: Phase::Body, cause: Cause::ProtocolBroken });
    // Preface and settings are answered by settings, the head of a response and half a body; then the socket closes.
    let gone = Server::raw(|mut stream| async move {
        head(&mut stream).await;
        let frames: [&[u8]; 3] = [
            &[0, 0, 0, 4, 0, 0, 0, 0, 0],
            &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88],
            &[0, 0, 4, 0, 0, 0, 0, 0, 1, b'h', b'a', b'l', b'f'],
        ];
        tokio::time::sleep(SHORT).await;
        stream.write_all(&frames.concat()).await.unwrap();
        tokio::time::sleep(SHORT).await;
        stream.shutdown().await.ok();
    })
    .await;
    let unseen = failure(&gone, Spoken::Http2, LIMITS).await;
    assert_eq!(unseen, Unseen { phase: Phase::Body, cause: Cause::Closed });
}

/// Wants nothing.
struct Refusing;

impl Sink for Refusing {
    fn take(&mut self, _: &[u8]) -> Result<(), Cause> {
        Err(Cause::Foreign)
    }
}

#[tokio::test]
async fn a_sink_that_takes_no_more_ends_the_reading_by_its_own_cause() {
    for spoken in BOTH {
        let endless = serving(spoken, |_| async { body(stream::repeat_with(|| piece(vec![b'x'; 8192]))) }).await;

        let answer = ask(&endless, spoken, &request(LIMITS), Refusing).await;

        assert_eq!(answer.err(), Some(Unseen { phase: Phase::Body, cause: Cause::Foreign }), "{spoken:?}");
    }
}

#[tokio::test]
async fn a_target_that_no_request_can_have_is_our_own_fault() {
    for spoken in BOTH {
        let server = serving(spoken, |_| async { body_of("never") }).await;
        let odd = Request { target: "no path".into(), ..request(LIMITS) };

        let answer = ask(&server, spoken, &odd, Vec::new()).await;

        assert_eq!(answer.err(), Some(Unseen { phase: Phase::FirstByte, cause: Cause::OwnFault }), "{spoken:?}");
    }
}
