//! The four requests to a member, and its answers in the model's types.
//!
//! Absent in protobuf is zero; where etcd added a field later, zero means unknown. An answer without a header is none,
//! but for alarms.

use std::future::Future;

use http::Uri;
use tonic::{Code, Response};

use super::channel::Channel;
use super::rpc::alarm_request::AlarmAction;
use super::rpc::auth_client::AuthClient;
use super::rpc::cluster_client::ClusterClient;
use super::rpc::kv_client::KvClient;
use super::rpc::maintenance_client::MaintenanceClient;
use super::rpc::{
    AlarmRequest, AlarmResponse, AlarmType, AuthenticateRequest, AuthenticateResponse, MemberListRequest,
    MemberListResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse,
};
use crate::model::cost::body_limit;
use crate::model::etcd::{Downgrade, EtcdAlarm, EtcdAlarmKind, MemberListing, MemberStatus, ReadAnswer};
use crate::model::phase::Cause;
use crate::model::probe::ProbeKind;
use crate::parse::etcd as texts;

/// Bytes of one answer; a status has some hundred, a list of all members that are kept 20 KiB.
pub(super) const MAX_ANSWER: usize = body_limit(ProbeKind::EtcdStatus);
/// A key that is not in use: the read proves the quorum round, not the key.
const KEY: &[u8] = b"vedette";
/// Members kept of a list; etcd advises seven.
const MAX_MEMBERS: usize = 64;
/// Client URLs kept of one member.
const MAX_URLS: usize = 8;

/// A request to one member.
pub(super) trait Question {
    /// Its answer.
    type Answer: Send;
    /// Its answer on the wire.
    type Response: Send;

    /// Asks over `channel`, at `origin`.
    fn ask(
        channel: Channel,
        origin: Uri,
    ) -> impl Future<Output = Result<Response<Self::Response>, tonic::Status>> + Send;

    /// The decoded answer in the model's types; `None` when it is incomplete.
    fn read(wire: Self::Response) -> Option<Self::Answer>;

    /// What it means that the member denies the answer itself to our user; `None` when it means nothing.
    fn denied() -> Option<Self::Answer> {
        None
    }
}

/// Maintenance.Status.
pub(super) struct Status;
/// A linearizable count of one key.
pub(super) struct Read;
/// Maintenance.Alarm, asked only.
pub(super) struct Alarms;
/// Cluster.MemberList from the member's own memory, so that it answers without a quorum.
pub(super) struct Members;

impl Question for Status {
    type Answer = MemberStatus;
    type Response = StatusResponse;

    async fn ask(channel: Channel, origin: Uri) -> Result<Response<StatusResponse>, tonic::Status> {
        let mut client = MaintenanceClient::with_origin(channel, origin).max_decoding_message_size(MAX_ANSWER);
        client.status(StatusRequest {}).await
    }

    fn read(wire: StatusResponse) -> Option<MemberStatus> {
        let header = wire.header?;
        let errors = texts::errors(&wire.errors);
        let known = |value: i64| u64::try_from(value).ok().filter(|value| *value != 0);
        Some(MemberStatus {
            version: texts::label(&wire.version),
            cluster_id: header.cluster_id,
            member_id: header.member_id,
            leader: (wire.leader != 0).then_some(wire.leader),
            raft_term: wire.raft_term,
            raft_index: wire.raft_index,
            raft_applied_index: (wire.raft_applied_index != 0).then_some(wire.raft_applied_index),
            revision: header.revision,
            db_size_bytes: known(wire.db_size).unwrap_or(0),
            db_in_use_bytes: known(wire.db_size_in_use),
            db_quota_bytes: known(wire.db_size_quota),
            is_learner: wire.is_learner,
            storage_version: (!wire.storage_version.is_empty()).then(|| texts::label(&wire.storage_version)),
            downgrade: wire.downgrade_info.map(|info| match info.enabled {
                true => Downgrade::To(texts::label(&info.target_version)),
                false => Downgrade::Off,
            }),
            alarms: errors.alarms,
            errors: errors.others,
        })
    }
}

impl Question for Read {
    type Answer = ReadAnswer;
    type Response = RangeResponse;

    async fn ask(channel: Channel, origin: Uri) -> Result<Response<RangeResponse>, tonic::Status> {
        let mut client = KvClient::with_origin(channel, origin).max_decoding_message_size(MAX_ANSWER);
        client.range(RangeRequest { key: KEY.to_vec(), limit: 1, serializable: false, count_only: true }).await
    }

    fn read(wire: RangeResponse) -> Option<ReadAnswer> {
        Some(ReadAnswer { revision: Some(wire.header?.revision) })
    }

    /// A member asks the majority first and its rights second, in every version from 3.4 to 3.7: a user without a role
    /// is denied only what it did not want to know.
    fn denied() -> Option<ReadAnswer> {
        Some(ReadAnswer { revision: None })
    }
}

impl Question for Alarms {
    type Answer = Vec<EtcdAlarm>;
    type Response = AlarmResponse;

    async fn ask(channel: Channel, origin: Uri) -> Result<Response<AlarmResponse>, tonic::Status> {
        let mut client = MaintenanceClient::with_origin(channel, origin).max_decoding_message_size(MAX_ANSWER);
        client.alarm(AlarmRequest { action: AlarmAction::Get.into() }).await
    }

    /// etcd 3.4 answers this question without a header.
    fn read(wire: AlarmResponse) -> Option<Vec<EtcdAlarm>> {
        let raised = wire.alarms.iter().filter(|raised| raised.alarm != i32::from(AlarmType::None));
        let alarm = |raised: &super::rpc::AlarmMember| {
            let kind = match AlarmType::try_from(raised.alarm) {
                Ok(AlarmType::Nospace) => EtcdAlarmKind::NoSpace,
                Ok(AlarmType::Corrupt) => EtcdAlarmKind::Corrupt,
                Ok(AlarmType::None) | Err(_) => EtcdAlarmKind::Other,
            };
            EtcdAlarm { member_id: raised.member_id, kind }
        };
        Some(raised.take(texts::MAX_ALARMS).map(alarm).collect())
    }
}

impl Question for Members {
    type Answer = Vec<MemberListing>;
    type Response = MemberListResponse;

    async fn ask(channel: Channel, origin: Uri) -> Result<Response<MemberListResponse>, tonic::Status> {
        let mut client = ClusterClient::with_origin(channel, origin).max_decoding_message_size(MAX_ANSWER);
        client.member_list(MemberListRequest { linearizable: false }).await
    }

    fn read(wire: MemberListResponse) -> Option<Vec<MemberListing>> {
        wire.header?;
        let listing = |member: super::rpc::Member| MemberListing {
            id: member.id,
            name: texts::label(&member.name),
            is_learner: member.is_learner,
            client_urls: member.client_urls.iter().take(MAX_URLS).map(|url| texts::label(url)).collect(),
        };
        Some(wire.members.into_iter().take(MAX_MEMBERS).map(listing).collect())
    }
}

/// Gets a token for a password.
pub(super) async fn authenticate(
    channel: Channel,
    origin: Uri,
    request: AuthenticateRequest,
) -> Result<Response<AuthenticateResponse>, tonic::Status> {
    AuthClient::with_origin(channel, origin).max_decoding_message_size(MAX_ANSWER).authenticate(request).await
}

/// What a refusal by the server itself means.
pub(super) const fn cause_of(code: Code) -> Cause {
    match code {
        Code::Unavailable => Cause::Unavailable,
        // With RBAC on, a caller whom etcd cannot name gets InvalidArgument ("user name is empty"); nothing else in
        // our questions can be invalid.
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => Cause::CredentialRejected,
        Code::DeadlineExceeded => Cause::Timeout,
        Code::Unimplemented => Cause::ProtocolBroken,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::OutOfRange
        | Code::DataLoss => Cause::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rpc::{AlarmMember, DowngradeInfo, ResponseHeader};
    use super::*;

    const HEADER: ResponseHeader = ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };

    #[test]
    fn what_an_old_member_does_not_tell_is_unknown_not_zero() {
        let wire =
            StatusResponse { header: Some(HEADER), version: "3.3.27".into(), db_size: 20_480, ..Default::default() };

        let status = Status::read(wire).unwrap();

        assert_eq!((status.member_id, status.revision, status.db_size_bytes), (2, 3, 20_480));
        assert_eq!((status.leader, status.raft_applied_index), (None, None));
        assert_eq!((status.db_in_use_bytes, status.db_quota_bytes), (None, None));
        assert_eq!((status.storage_version, status.downgrade), (None, None));
    }

    #[test]
    fn a_downgrade_is_off_only_when_the_member_says_so() {
        let read = |downgrade_info| {
            Status::read(StatusResponse { header: Some(HEADER), downgrade_info, ..Default::default() }).unwrap()
        };
        let to = DowngradeInfo { enabled: true, target_version: "3.5.0".into() };

        assert_eq!(read(Some(DowngradeInfo::default())).downgrade, Some(Downgrade::Off));
        assert_eq!(read(Some(to)).downgrade, Some(Downgrade::To("3.5.0".into())));
    }

    #[test]
    fn status_errors_become_alarms() {
        let errors = vec!["memberID:7 alarm:NOSPACE ".to_owned(), "etcdserver: no leader".to_owned()];

        let status = Status::read(StatusResponse { header: Some(HEADER), errors, ..Default::default() }).unwrap();

        assert_eq!(status.alarms, [EtcdAlarm { member_id: 7, kind: EtcdAlarmKind::NoSpace }]);
        assert_eq!(status.errors, ["etcdserver: no leader"]);
    }

    #[test]
    fn an_answer_without_a_header_is_none() {
        assert_eq!(Status::read(StatusResponse::default()), None);
        assert_eq!(Read::read(RangeResponse::default()), None);
        assert_eq!(Members::read(MemberListResponse::default()), None);
    }

    #[test]
    fn alarms_come_without_a_header_from_3_4() {
        assert_eq!(Alarms::read(AlarmResponse::default()), Some(Vec::new()));
    }

    #[test]
    fn alarms_of_unknown_kinds_are_kept_and_absent_ones_dropped() {
        let alarms = [0, 1, 2, 9].map(|alarm| AlarmMember { member_id: 5, alarm }).to_vec();

        let alarms = Alarms::read(AlarmResponse { header: Some(HEADER), alarms }).unwrap();

        let kinds: Vec<_> = alarms.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds, [EtcdAlarmKind::NoSpace, EtcdAlarmKind::Corrupt, EtcdAlarmKind::Other]);
    }
}
