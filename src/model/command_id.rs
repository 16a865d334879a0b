//! Which command it is, whatever hosts and paths it names: tests list them, and know which of them were run.

use std::fmt;

/// Defines the ids together with the word that lists show and whether they run on the cluster's hosts.
macro_rules! ids {
    ($($name:ident $word:literal $on_hosts:literal,)*) => {
        /// A command, whatever hosts and paths it names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is named after what it shows or does, and its word says the same")]
        pub enum Id {
            $($name,)*
        }

        impl Id {
            /// Every command.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for lists.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Whether it needs the cluster's hosts, and so their distribution and a login.
            #[must_use]
            pub const fn is_on_hosts(self) -> bool {
                match self {
                    $(Self::$name => $on_hosts,)*
                }
            }
        }
    };
}

ids! {
    Containers "containers" true,
    Logs "logs" true,
    EtcdComplaints "etcd-complaints" true,
    ApiserverOnEtcd "apiserver-on-etcd" true,
    KubeletLog "kubelet-log" true,
    Manifests "manifests" true,
    EtcdFlags "etcd-flags" true,
    EtcdUrls "etcd-urls" true,
    CertificateFlag "certificate-flag" true,
    Room "room" true,
    RoomForLogs "room-for-logs" true,
    Pressure "pressure" true,
    DiskLatency "disk-latency" true,
    Ping "ping" true,
    PeerPorts "peer-ports" true,
    Clocks "clocks" true,
    Listening "listening" true,
    AddressHeld "address-held" true,
    Balancer "balancer" true,
    ProxyHost "proxy-host" true,
    Etcdctl "etcdctl" true,
    EtcdStatus "etcd-status" true,
    EtcdMembers "etcd-members" true,
    EtcdAlarms "etcd-alarms" true,
    EtcdHashes "etcd-hashes" true,
    EtcdRevision "etcd-revision" true,
    EtcdSnapshot "etcd-snapshot" true,
    EtcdCompact "etcd-compact" true,
    EtcdDefragment "etcd-defragment" true,
    EtcdDisarm "etcd-disarm" true,
    EtcdRemove "etcd-remove" true,
    CopyData "copy-data" true,
    StopApiserver "stop-apiserver" true,
    RestartServer "restart-server" true,
    RestartReaders "restart-readers" true,
    Expirations "expirations" true,
    Renew "renew" true,
    FileOnHost "file-on-host" true,
    CaOnHost "ca-on-host" true,
    Readyz "readyz" false,
    ReadyzAgain "readyz-again" false,
    ReadyzVerbose "readyz-verbose" false,
    Version "version" false,
    Phases "phases" false,
    Direct "direct" false,
    LargeHello "large-hello" false,
    SmallHello "small-hello" false,
    FullPacket "full-packet" false,
    KubectlSmallHello "kubectl-small-hello" false,
    PlainEtcd "plain-etcd" false,
    Objects "objects" false,
    Nodes "nodes" false,
    PriorityLevels "priority-levels" false,
    Requests "requests" false,
    OpenWatches "open-watches" false,
    Metric "metric" false,
    Webhooks "webhooks" false,
    DryRun "dry-run" false,
    Flags "flags" false,
    ApplyThrottle "apply-throttle" false,
    UndoThrottle "undo-throttle" false,
    ApplyRights "apply-rights" false,
    CertManager "cert-manager" false,
    ServedCertificate "served-certificate" false,
    FileCertificate "file-certificate" false,
    KubeconfigCertificate "kubeconfig-certificate" false,
    TalosCertificate "talos-certificate" false,
    TalosRenew "talos-renew" false,
    TokenFile "token-file" false,
    ConfiguredCa "configured-ca" false,
    FilePath "file-path" false,
    ServerAgainstCa "server-against-ca" false,
    EtcdAsVedette "etcd-as-vedette" false,
    WhoAmI "who-am-i" false,
    MayRead "may-read" false,
    NewKey "new-key" false,
    SignKey "sign-key" false,
    TakeCertificate "take-certificate" false,
    Check "check" false,
    Probe "probe" false,
    Links "links" false,
    DefaultRoute "default-route" false,
    Route "route" false,
    Path "path" false,
    Firewall "firewall" false,
    Name "name" false,
    Resolve "resolve" false,
    Nameserver "nameserver" false,
    Port "port" false,
    ProxyAsked "proxy-asked" false,
    AnyHost "any-host" false,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
