//! Asks one resolver for the name servers of the root zone.
//!
//! Every resolver has the answer in its cache, the question belongs to no cluster, and a resolver that cannot answer it
//! cannot answer others either. No search lists and no retries, because the probe is to show whether this one server
//! answers now.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::error_cause;
use super::phase_timer::PhaseTimer;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::vantage::ResolverAnswer;

/// Largest answer by UDP that passes every network unfragmented (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;
/// Datagrams that do not answer our query. One may be a forgery; a stream of them is a fault of this resolver.
const MAX_STRAYS: usize = 16;
/// The response code of a resolver that gets no answer itself.
const SERVFAIL: u16 = 2;

/// Asks the resolver at `place`; by TCP again when the answer does not fit.
///
/// # Errors
///
/// After at most `limit` by UDP and as long again by TCP.
pub(crate) async fn ask(place: SocketAddr, limit: Duration, timer: &PhaseTimer) -> Result<ResolverAnswer, Unseen> {
    let question = Question::new().map_err(|cause| timer.unseen(cause))?;
    let mut answer = timer.step(Phase::FirstByte, limit, by_udp(place, &question)).await?;
    if answer.metadata.truncation {
        let mut stream = timer
            .step(Phase::Dial, limit, async {
                TcpStream::connect(place).await.map_err(|error| error_cause::of_io(&error))
            })
            .await?;
        answer = timer.step(Phase::FirstByte, limit, by_tcp(&mut stream, &question)).await?;
    }
    let rcode = u16::from(answer.metadata.response_code);
    // A resolver that reports that it reaches no server may itself be behind our lost network. One that refuses, as
    // those do that know only their own names, decides that without others.
    if rcode != SERVFAIL {
        timer.heard_from(place.ip());
    }
    Ok(ResolverAnswer { rcode, addresses: answer.answers.len() })
}

/// A question and the bytes it is asked by.
struct Question {
    id: u16,
    query: Query,
    bytes: Vec<u8>,
}

impl Question {
    fn new() -> Result<Self, Cause> {
        let mut id = [0; 2];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Cause::OwnFault)?;
        let id = u16::from_be_bytes(id);
        let query = Query::query(Name::root(), RecordType::NS);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES);
        message.edns = Some(edns);
        let bytes = message.to_bytes().map_err(|_| Cause::OwnFault)?;
        Ok(Self { id, query, bytes })
    }

    /// `None` for what does not answer this question: late answers to others, and forgeries.
    fn answer(&self, bytes: &[u8]) -> Option<Result<Message, Cause>> {
        if bytes.get(..2)? != self.id.to_be_bytes() {
            return None;
        }
        let Ok(message) = Message::from_bytes(bytes) else {
            return Some(Err(Cause::ProtocolBroken));
        };
        // Servers that refuse before parsing leave the question out.
        let is_ours = message.queries.is_empty() || message.queries == [self.query.clone()];
        (is_ours && message.metadata.message_type == MessageType::Response).then_some(Ok(message))
    }
}

async fn by_udp(place: SocketAddr, question: &Question) -> Result<Message, Cause> {
    let any: SocketAddr = if place.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let failed = |error| error_cause::of_io(&error);
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    // Connected, so that answers from elsewhere are dropped and a refusal by ICMP is heard.
    socket.connect(place).await.map_err(failed)?;
    socket.send(&question.bytes).await.map_err(failed)?;
    let mut buffer = [0; 4096];
    for _ in 0..=MAX_STRAYS {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        if let Some(answer) = question.answer(&buffer[..length]) {
            return answer;
        }
    }
    Err(Cause::ProtocolBroken)
}

async fn by_tcp(stream: &mut TcpStream, question: &Question) -> Result<Message, Cause> {
    let failed = |error| error_cause::of_io(&error);
    let length = u16::try_from(question.bytes.len()).map_err(|_| Cause::OwnFault)?;
    let framed = [&length.to_be_bytes()[..], &question.bytes].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.map_err(failed)?;
    question.answer(&bytes).unwrap_or(Err(Cause::ProtocolBroken))
}
