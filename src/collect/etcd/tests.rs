//! Claims about rounds, against a small HTTP/2 server that answers as etcd does, or does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::server::TlsStream;
use tonic::Code;

use super::rpc::alarm_request::AlarmAction;
use super::rpc::{
    AlarmMember, AlarmRequest, AlarmResponse, AuthenticateResponse, Member, MemberListRequest, MemberListResponse,
    RangeRequest, RangeResponse, ResponseHeader, StatusResponse,
};
use crate::collect::tests::closed_port::Reserved;
use crate::collect::tests::places::middlebox;
use crate::collect::tests::servers::{Fixture, Server, TRUSTED, client, name, request, tls, tls_of, unseen};
use crate::config::settings::{Login, Source};
use crate::model::etcd::{EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberStatus, ReadAnswer};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::subject::Subject;

const SOON: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn all_members_are_asked_everything_over_one_connection_each() {
    let servers = [etcd(well).await, etcd(well).await];
    let (collectors, _observations) = fixture(&servers).collectors();

    let status = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
    let read = collectors.probe(request(round(ProbeKind::EtcdRead))).await;
    let alarms = collectors.probe(request(round(ProbeKind::EtcdAlarms))).await;
    let members = collectors.probe(request(round(ProbeKind::EtcdMembers))).await;

    let answers = statuses(&status);
    assert_eq!(answers.iter().map(|answer| answer.member.as_str()).collect::<Vec<_>>(), ["m0", "m1"]);
    let first = answers[0].answer.as_ref().unwrap();
    assert_eq!((first.version.as_str(), first.leader, first.db_quota_bytes), ("3.6.16", Some(9), Some(2_147_483_648)));
    assert_eq!(first.alarms, [EtcdAlarm { member_id: 9, kind: EtcdAlarmKind::NoSpace }]);
    assert!(answers[0].phases.dial.is_some() && answers[0].phases.tls.is_some());
    assert!(answers[0].phases.first_byte.is_some() && answers[0].phases.body.is_some());
    let Ok(Reading::EtcdRead(read)) = read.outcome else { panic!("{read:?}") };
    assert_eq!(read[1].answer.as_ref().unwrap().revision, Some(42));
    assert_eq!(read[1].phases.dial, None);
    let Ok(Reading::EtcdAlarms(alarms)) = alarms.outcome else { panic!("{alarms:?}") };
    assert_eq!(alarms[0].answer.as_ref().unwrap(), &[EtcdAlarm { member_id: 9, kind: EtcdAlarmKind::Corrupt }]);
    let Ok(Reading::EtcdMembers(members)) = members.outcome else { panic!("{members:?}") };
    assert_eq!(members[0].answer.as_ref().unwrap()[0].client_urls, ["https://10.0.0.1:2379"]);
    assert_eq!(servers.each_ref().map(Server::accepted), [1, 1]);
    assert!(status.phases.total().is_zero() && status.served.is_none() && !status.proves_path);
}

#[tokio::test]
async fn a_path_that_drops_large_hellos_fails_no_two_probes_at_a_member_in_a_row() {
    for swallows in [false, true] {
        let member = etcd(well).await;
        let path = middlebox(member.address, swallows).await;
        let (collectors, _observations) = of(&[path.address]).collectors();
        let probes = [ProbeKind::EtcdStatus, ProbeKind::EtcdRead].map(|kind| Probe::anew(round(kind).subject, kind));

        let first = collectors.probe(request(probes[0].clone())).await;
        let second = collectors.probe(request(probes[0].clone())).await;
        let third = collectors.probe(request(probes[1].clone())).await;
        let chain = Probe::anew(Subject::EtcdMember(name("c"), name("e"), name("m0")), ProbeKind::Chain);
        let chain = collectors.probe(request(chain)).await;

        assert!(statuses(&first)[0].answer.is_err(), "{first:?}");
        assert!(statuses(&second)[0].answer.is_ok(), "{second:?}");
        let Ok(Reading::EtcdRead(read)) = &third.outcome else { panic!("{third:?}") };
        assert!(read[0].answer.is_ok(), "{read:?}");
        assert!(chain.served.is_some(), "{chain:?}");
    }
}

#[tokio::test]
async fn a_burst_uses_connections_of_its_own() {
    let servers = [etcd(well).await];
    let (collectors, mut observations) = fixture(&servers).collectors();
    collectors.probe(request(round(ProbeKind::EtcdStatus))).await;

    for _ in 0..2 {
        let anew = Probe { connection: Connection::New, ..round(ProbeKind::EtcdStatus) };
        let seen = collectors.probe(request(anew)).await;
        assert!(statuses(&seen)[0].phases.tls.is_some());
        assert!(statuses(&seen)[0].answer.is_ok());
    }

    assert_eq!(servers[0].accepted(), 3);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn each_member_fails_for_itself_and_within_its_second() {
    let frozen = Server::raw(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let absent = Reserved::new().unwrap();
    let good = etcd(well).await;
    let mute = etcd(|_, _| Err(None)).await;
    let addresses = [good.address, frozen.address, absent.address, mute.address];
    let (collectors, _observations) = of(&addresses).policy(|p| p.etcd_member_timeout = 4 * SHORT).collectors();

    let seen = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;

    let answers = statuses(&seen);
    assert!(answers[0].answer.is_ok(), "{:?}", answers[0]);
    let failures: Vec<Unseen> = answers[1..].iter().map(|answer| *answer.answer.as_ref().unwrap_err()).collect();
    assert_eq!(
        failures,
        [
            Unseen { phase: Phase::Tls, cause: Cause::Timeout },
            Unseen { phase: Phase::Dial, cause: Cause::Refused },
            Unseen { phase: Phase::FirstByte, cause: Cause::Timeout },
        ]
    );
    assert!(answers.iter().all(|answer| answer.sent_after < 4 * SHORT));
    assert!(answers[1].phases.tls.is_some() && answers[1].phases.first_byte.is_none());
}

/// As an etcd without TLS does: what is no HTTP is dropped without a word.
async fn plain() -> Server {
    Server::raw(|mut stream| async move {
        let mut head = [0_u8; 3];
        let is_heard = stream.read_exact(&mut head).await.is_ok() && &head == b"PRI";
        if is_heard && stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.is_ok() {
            std::future::pending::<()>().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_member_without_tls_is_told_from_one_that_drops_connections() {
    let (plain, dropping) = (plain().await, Server::raw(|stream| async move { drop(stream) }).await);
    let addresses = [plain.address, dropping.address];
    let (collectors, _observations) = of(&addresses).collectors();

    for connection in [Connection::Reused, Connection::New] {
        let seen = collectors.probe(request(Probe { connection, ..round(ProbeKind::EtcdStatus) })).await;

        let failures = statuses(&seen).iter().map(|answer| *answer.answer.as_ref().unwrap_err()).collect::<Vec<_>>();
        assert_eq!(failures[0], Unseen { phase: Phase::Tls, cause: Cause::WithoutTls });
        assert!(matches!(failures[1].cause, Cause::Closed | Cause::Reset), "{:?}", failures[1]);
    }
    // What was found out is not asked for again in the same burst.
    assert_eq!(plain.accepted(), 3);
}

#[tokio::test]
async fn a_member_without_tls_that_waits_in_silence_is_named_by_the_second_probe() {
    let waiting = Server::raw(|mut stream| async move {
        let mut head = [0_u8; 3];
        let is_heard = stream.read_exact(&mut head).await.is_ok() && &head == b"PRI";
        if !is_heard || stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.is_ok() {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let (collectors, _observations) = of(&[waiting.address]).policy(|p| p.etcd_member_timeout = 4 * SHORT).collectors();
    let anew = || request(Probe { connection: Connection::New, ..round(ProbeKind::EtcdStatus) });

    let first = collectors.probe(anew()).await;
    let second = collectors.probe(anew()).await;

    let cause = |seen: &Observation| statuses(seen)[0].answer.as_ref().unwrap_err().cause;
    assert_eq!((cause(&first), cause(&second)), (Cause::Timeout, Cause::WithoutTls));
}

#[tokio::test]
async fn codes_say_who_is_to_blame() {
    for (code, cause) in [
        (Code::Unavailable, Cause::Unavailable),
        (Code::PermissionDenied, Cause::CredentialRejected),
        (Code::Unauthenticated, Cause::CredentialRejected),
        (Code::InvalidArgument, Cause::CredentialRejected),
        (Code::DeadlineExceeded, Cause::Timeout),
        (Code::Internal, Cause::ServerError),
    ] {
        let servers = [etcd(move |_, _| Err(Some(code))).await];
        let mut fixture = fixture(&servers);
        fixture.settings.clusters[0].etcds[0].credentials.client = Some(client(&TRUSTED.server()));
        let (collectors, mut observations) = fixture.collectors();

        for _ in 0..2 {
            let seen = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
            assert_eq!(statuses(&seen)[0].answer.as_ref().unwrap_err().cause, cause);
        }

        assert_eq!(servers[0].accepted(), 1, "an answer, if a bad one, leaves the connection open");
        collectors.shutdown().await;
        assert!(observations.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_member_that_demands_a_certificate_is_answered_or_named() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = tls_of(&TRUSTED.server(), Some(&TRUSTED), b"h2", &[version]);
        let server = Server::tls(config, |stream| serve(stream, well)).await;
        let stranger = of(&[server.address]);
        let mut known = of(&[server.address]);
        known.settings.clusters[0].etcds[0].credentials.client = Some(client(&TRUSTED.server()));

        let refused = stranger.collectors().0.probe(request(round(ProbeKind::EtcdStatus))).await;
        let answered = known.collectors().0.probe(request(round(ProbeKind::EtcdStatus))).await;

        let failure = statuses(&refused)[0].answer.as_ref().unwrap_err().cause;
        assert_eq!(failure, Cause::NoCredential, "{version:?}");
        assert!(statuses(&answered)[0].answer.is_ok(), "{answered:?}");
    }
}

#[tokio::test]
async fn a_member_that_dies_reports_by_itself() {
    for is_reset in [true, false] {
        let kill = Arc::new(Notify::new());
        let dying = Arc::clone(&kill);
        let server = Server::tls(tls(&TRUSTED.server(), None, b"h2"), move |stream| {
            let dying = Arc::clone(&dying);
            async move {
                let fd = stream.get_ref().0;
                if is_reset {
                    fd.set_zero_linger().unwrap();
                }
                tokio::select! {
                    () = serve(stream, well) => {}
                    () = dying.notified() => {}
                }
            }
        })
        .await;
        let (collectors, mut observations) = of(&[server.address]).collectors();
        collectors.probe(request(round(ProbeKind::EtcdStatus))).await;

        kill.notify_one();

        let tripped = tokio::time::timeout(SOON, observations.recv()).await.unwrap().unwrap();
        assert_eq!(tripped.probe, Probe::reused(member(), ProbeKind::Tripwire));
        let cause = if is_reset { Cause::Reset } else { Cause::Closed };
        assert_eq!(unseen(&tripped), Unseen { phase: Phase::Idle, cause });
    }
}

#[tokio::test]
async fn a_goaway_is_an_announcement_even_without_a_goodbye() {
    let leave = Arc::new(Notify::new());
    let leaving = Arc::clone(&leave);
    let server = Server::tls(tls(&TRUSTED.server(), None, b"h2"), move |stream| {
        let leaving = Arc::clone(&leaving);
        async move {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(Rude(stream)), service_fn(|request| answer(request, well)));
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = leaving.notified() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await.ok();
                }
            }
        }
    })
    .await;
    let (collectors, mut observations) = of(&[server.address]).collectors();
    collectors.probe(request(round(ProbeKind::EtcdStatus))).await;

    leave.notify_one();

    while server.accepted() < 2 {
        let seen = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
        assert!(statuses(&seen)[0].answer.is_ok(), "{seen:?}");
    }
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn a_connect_that_outlasts_its_round_serves_the_next() {
    let config = tls(&TRUSTED.server(), None, b"h2");
    let open = Arc::new(Notify::new());
    let gate = Arc::clone(&open);
    let server = Server::raw(move |stream| {
        let (config, gate) = (Arc::clone(&config), Arc::clone(&gate));
        async move {
            gate.notified().await;
            let stream = tokio_rustls::TlsAcceptor::from(config).accept(stream).await.unwrap();
            serve(stream, well).await;
        }
    })
    .await;
    let fixture = of(&[server.address]).policy(|p| {
        p.etcd_member_timeout = SHORT;
        p.tls_timeout = SOON;
    });
    let (collectors, _observations) = fixture.collectors();

    let first = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
    open.notify_one();

    assert_eq!(*statuses(&first)[0].answer.as_ref().unwrap_err(), Unseen { phase: Phase::Tls, cause: Cause::Timeout });
    while statuses(&collectors.probe(request(round(ProbeKind::EtcdStatus))).await)[0].answer.is_err() {}
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_over_which_an_answer_stayed_out_is_not_asked_again() {
    let servers = [etcd(|_, _| Err(None)).await];
    let (collectors, mut observations) = fixture(&servers).policy(|p| p.etcd_member_timeout = SHORT).collectors();

    for _ in 0..2 {
        let seen = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
        assert_eq!(statuses(&seen)[0].answer.as_ref().unwrap_err().cause, Cause::Timeout);
    }

    assert_eq!(servers[0].accepted(), 2);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn what_is_asked_changes_nothing() {
    let (asked, mut questions) = mpsc::unbounded_channel();
    let servers = [etcd(move |path, body| {
        asked.send((path.to_owned(), body.to_vec())).unwrap();
        well(path, body)
    })
    .await];
    let (collectors, _observations) = fixture(&servers).collectors();

    for kind in [ProbeKind::EtcdRead, ProbeKind::EtcdAlarms, ProbeKind::EtcdMembers] {
        collectors.probe(request(round(kind))).await;
    }

    let (path, body) = questions.recv().await.unwrap();
    assert_eq!(path, "/etcdserverpb.KV/Range");
    let range = RangeRequest::decode(&body[..]).unwrap();
    assert!(range.count_only && !range.serializable && range.limit == 1 && range.key == b"vedette");
    let (_, body) = questions.recv().await.unwrap();
    assert_eq!(AlarmRequest::decode(&body[..]).unwrap().action(), AlarmAction::Get);
    let (_, body) = questions.recv().await.unwrap();
    assert!(!MemberListRequest::decode(&body[..]).unwrap().linearizable);
}

#[tokio::test]
async fn chains_of_members_are_seen_by_a_handshake_alone() {
    let servers = [etcd(well).await];
    let (collectors, _observations) = fixture(&servers).collectors();

    let seen = collectors.probe(request(Probe::anew(member(), ProbeKind::Chain))).await;

    assert_eq!(seen.outcome, Ok(Reading::Chain));
    assert_eq!(seen.served.unwrap().chain.len(), 1);
}

#[tokio::test]
async fn a_read_whose_result_is_denied_has_proved_the_quorum() {
    let servers = [etcd(|_, _| Err(Some(Code::PermissionDenied))).await];
    let (collectors, _observations) = fixture(&servers).collectors();

    let seen = collectors.probe(request(round(ProbeKind::EtcdRead))).await;

    let Ok(Reading::EtcdRead(answers)) = seen.outcome else { panic!("{seen:?}") };
    assert_eq!(answers[0].answer, Ok(ReadAnswer { revision: None }));
}

#[tokio::test]
async fn a_password_that_stays_at_home_was_not_refused_and_none_is_no_refusal_either() {
    let servers = [etcd(|_, _| Err(Some(Code::Unauthenticated))).await];
    let login = || Login { username: "vedette".into(), password: Source::File("/nonexistent".into()) };
    for (login, cause) in [(Some(login()), Cause::TokenWithheld), (None, Cause::NoCredential)] {
        let mut fixture = fixture(&servers);
        let known = &mut fixture.settings.clusters[0].etcds[0];
        // Which server would receive the password is unknown.
        known.credentials.anchors = None;
        known.login = login;

        let seen = fixture.collectors().0.probe(request(round(ProbeKind::EtcdStatus))).await;

        assert_eq!(statuses(&seen)[0].answer.as_ref().unwrap_err().cause, cause);
    }
}

#[tokio::test]
async fn a_password_is_traded_once_and_again_when_the_token_is_void() {
    let (asked, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, bought) = (Arc::clone(&counted), Arc::clone(&asked));
    let servers = [etcd(move |path, message| {
        if path.ends_with("/Authenticate") {
            bought.fetch_add(1, Ordering::Relaxed);
            return Ok(AuthenticateResponse { header: None, token: "secret.7".into() }.encode_to_vec());
        }
        // The third question finds the token void.
        if count.fetch_add(1, Ordering::Relaxed) == 2 { Err(Some(Code::Unauthenticated)) } else { well(path, message) }
    })
    .await];
    let mut fixture = fixture(&servers);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "pass\n").unwrap();
    fixture.settings.clusters[0].etcds[0].login =
        Some(Login { username: "vedette".into(), password: Source::File(password) });
    let (collectors, _observations) = fixture.collectors();

    for expected in [1, 1, 2] {
        let seen = collectors.probe(request(round(ProbeKind::EtcdStatus))).await;
        assert!(statuses(&seen)[0].answer.is_ok(), "{seen:?}");
        assert_eq!(asked.load(Ordering::Relaxed), expected);
    }
}

/// What a server says to a path and a message: a message, a refusal, or nothing for ever.
type Said = Result<Vec<u8>, Option<Code>>;

fn well(path: &str, _: &[u8]) -> Said {
    let header = Some(ResponseHeader { cluster_id: 1, member_id: 9, revision: 42, raft_term: 3 });
    Ok(match path {
        "/etcdserverpb.Maintenance/Status" => StatusResponse {
            header,
            version: "3.6.16".into(),
            db_size: 20_480,
            leader: 9,
            raft_index: 8,
            raft_term: 3,
            raft_applied_index: 8,
            errors: vec!["memberID:9 alarm:NOSPACE ".into()],
            db_size_in_use: 16_384,
            is_learner: false,
            storage_version: "3.6.0".into(),
            downgrade_info: None,
            db_size_quota: 2_147_483_648,
        }
        .encode_to_vec(),
        "/etcdserverpb.KV/Range" => RangeResponse { header }.encode_to_vec(),
        "/etcdserverpb.Maintenance/Alarm" => {
            AlarmResponse { header, alarms: vec![AlarmMember { member_id: 9, alarm: 2 }] }.encode_to_vec()
        }
        "/etcdserverpb.Cluster/MemberList" => {
            let client_urls = vec!["https://10.0.0.1:2379".to_owned()];
            let member = Member { id: 9, name: "etcd-1".into(), client_urls, is_learner: false };
            MemberListResponse { header, members: vec![member] }.encode_to_vec()
        }
        _ => return Err(Some(Code::Unimplemented)),
    })
}

async fn etcd(say: impl Fn(&str, &[u8]) -> Said + Clone + Send + Sync + 'static) -> Server {
    Server::tls(tls(&TRUSTED.server(), None, b"h2"), move |stream| serve(stream, say.clone())).await
}

async fn serve(stream: TlsStream<TcpStream>, say: impl Fn(&str, &[u8]) -> Said + Clone + Send + Sync + 'static) {
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service_fn(move |request| answer(request, say.clone())))
        .await
        .ok();
}

type Answer = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>>;

async fn answer(
    request: Request<Incoming>,
    say: impl Fn(&str, &[u8]) -> Said,
) -> Result<Answer, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let said = say(&path, body.get(5..).unwrap_or_default());
    let (message, code) = match said {
        Ok(message) => (Some(message), Code::Ok),
        Err(Some(code)) => (None, code),
        Err(None) => std::future::pending().await,
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(i32::from(code)));
    let data = message.map(|message| {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.extend_from_slice(&message);
        Frame::data(framed.freeze())
    });
    let frames = data.into_iter().chain([Frame::trailers(trailers)]).map(Ok);
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

fn fixture(servers: &[Server]) -> Fixture {
    of(&servers.iter().map(|server| server.address).collect::<Vec<_>>())
}

/// With time enough for a loaded machine, where a test does not say otherwise.
fn of(addresses: &[SocketAddr]) -> Fixture {
    Fixture::new().etcd(addresses).policy(|p| p.etcd_member_timeout = SOON)
}

fn round(kind: ProbeKind) -> Probe {
    Probe::reused(Subject::Etcd(name("c"), name("e")), kind)
}

fn member() -> Subject {
    Subject::EtcdMember(name("c"), name("e"), name("m0"))
}

fn statuses(observation: &Observation) -> &[MemberAnswer<MemberStatus>] {
    let Ok(Reading::EtcdStatus(answers)) = &observation.outcome else { panic!("{observation:?}") };
    answers
}

/// A stream that leaves without a close_notify.
struct Rude(TlsStream<TcpStream>);

impl tokio::io::AsyncRead for Rude {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Rude {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        // The bare FIN of the socket under the TLS.
        std::pin::Pin::new(self.0.get_mut().0).poll_shutdown(cx)
    }
}
