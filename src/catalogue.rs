//! Every rule in one line: its name, the file in `judge` that holds it, and its type there.
//!
//! This list is the only place that names all of them. `model` makes [`RuleId`](crate::model::rule::RuleId) of it,
//! `judge` its modules, the table of rules and the way from a name to its rule. It is tokens and imports nothing. What
//! else there is to say of a rule is in its own file.

/// Calls `$then` with the lines of all rules, in the order of their names.
macro_rules! catalogue {
    ($then:ident) => {
        $then! {
            F01 quorum QuorumLost,
            F02 member_down MemberDown,
            F03 etcd_partition EtcdPartition,
            F04 isolated Isolated,
            F05 leader_changes LeaderChanges,
            F08 quota NearQuota,
            F09 nospace NoSpace,
            F10 corrupt Corrupt,
            F16 clock_skew ClockSkew,
            F17 version_skew VersionSkew,
            F18 overload Overload,
            F21 admission Admission,
            F22 apiserver_down OneBad,
            F23 vip VipDead,
            F24 api_down AllDown,
            F25 etcd_unreachable EtcdUnreachable,
            F26 expiry CertificateEnds,
            F27 untrusted ChainUntrusted,
            F28 certificate_files StoredEnds,
            F34 authorization AuthorizationSlow,
            F35 decryption Undecryptable,
            F36 audit_loss AuditEventsLost,
            F37 restart_loop RestartLoop,
            F38 stale_cache StaleCache,
            F39 watches_ended WatchesEnded,
            F43 deprecated_api DeprecatedApis,
            F45 event_flood EventFlood,
            F46 egress EgressFails,
            F49 slow Slow,
            F50 not_ready NotReady,
            F51 redundancy SinglePoints,
            F52 credential_rejected Refused,
            F53 monitoring_gap MonitoringGap,
            F54 not_reloaded NotReloaded,
            F55 reference_target ReferenceSilent,
            F56 client_hello HelloDropped,
            F57 etcd_membership EtcdMembership,
            F58 not_an_apiserver NotAnApiserver,
            F59 address AddressDead,
            F60 proxy ProxyFails,
            F61 balancer BalancerLosesConnections,
            F62 flags_differ FlagsDiffer,
            F63 etcd_servers EtcdServers,
            F64 configuration_reload ConfigurationNotLoaded,
            F65 seats SeatsTaken,
        }
    };
}

pub(crate) use catalogue;
