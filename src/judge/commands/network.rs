//! Over the network from the vedette host: endpoints, names, routes. A cluster's proxy is taken where there is one.

use std::net::IpAddr;

use crate::judge::phrases;
use crate::model::subject::Subject;

use super::{Command, Commands, Id};

impl Commands<'_> {
    /// What curl needs to take the way vedette takes to an apiserver: nothing, or ` --proxy 'http://proxy:3128'`. A
    /// login is two words to fill in.
    pub(super) fn through(&self, subject: &Subject) -> String {
        self.proxy_before(subject).map_or_else(String::new, |url| format!(" --proxy '{url}'"))
    }

    /// Messages about one cluster name at most its one proxy, and only apiservers are behind it.
    pub(super) fn proxy_before(&self, subject: &Subject) -> Option<&str> {
        if !subject.is_api() {
            return None;
        }
        let mut known = self.addresses.iter().filter(|(known, _)| known.is_proxy());
        known.next().map(|(_, url)| url.as_str())
    }

    /// kubectl by the same path, whether or not the person's kubeconfig has a proxy.
    fn kubectl(&self, subject: &Subject) -> String {
        let proxy = self.proxy_before(subject).map_or_else(String::new, |url| format!("HTTPS_PROXY='{url}' "));
        format!("{proxy}kubectl")
    }

    /// The detailed health of an apiserver, which needs no credential on a default cluster.
    pub(in crate::judge) fn readyz_verbose(&self, subject: &Subject) -> Command {
        let (proxy, address) = (self.through(subject), self.address(subject));
        let command = Command::read(
            Id::ReadyzVerbose,
            format!("curl -skS{proxy} --max-time 10 'https://{address}/readyz?verbose'"),
        );
        command.note("401: it is alive, and anonymous access is off")
    }

    /// Connection, handshake and health, step by step.
    pub(in crate::judge) fn readyz(&self, subject: &Subject) -> Command {
        let (proxy, address) = (self.through(subject), self.address(subject));
        Command::read(Id::Readyz, format!("curl -vk{proxy} --max-time 5 'https://{address}/readyz'"))
    }

    /// Health many times, for what fails at times.
    pub(in crate::judge) fn readyz_again(&self, subject: &Subject) -> Command {
        let (proxy, address) = (self.through(subject), self.address(subject));
        Command::read(
            Id::ReadyzAgain,
            format!(
                "for i in $(seq 20); do curl -sk{proxy} -o /dev/null --max-time 3 -w '%{{http_code}} in %{{time_total}} s\\n' 'https://{address}/readyz'; done"
            ),
        )
    }

    /// Who answers at `subject`, where that is no apiserver: what it says, and whose certificate it shows.
    pub(in crate::judge) fn who_answers(&self, subject: &Subject) -> [Command; 2] {
        let (proxy, address) = (self.through(subject), self.address(subject));
        let version = Command::read(Id::Version, format!("curl -vk{proxy} --max-time 5 'https://{address}/version'"));
        [
            version.note("an apiserver tells its gitVersion"),
            self.served(subject, "-subject -issuer -ext subjectAltName"),
        ]
    }

    /// Where the time goes.
    pub(in crate::judge) fn phases(&self, subject: &Subject) -> Command {
        let (proxy, address) = (self.through(subject), self.address(subject));
        Command::read(
            Id::Phases,
            format!(
                "curl -sk{proxy} -o /dev/null -w 'seconds since start: connect %{{time_connect}} tls %{{time_appconnect}} processing %{{time_starttransfer}}\\n' 'https://{address}/readyz'"
            ),
        )
    }

    /// Who waits for whom inside an apiserver.
    pub(in crate::judge) fn priority_levels(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let path = "/debug/api_priority_and_fairness/dump_priority_levels";
        Command::read(Id::PriorityLevels, format!("{kubectl} --server=https://{address} get --raw {path}"))
    }

    /// Who holds the seats of an apiserver, and who waits for them.
    pub(in crate::judge) fn requests(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let path = "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1";
        Command::read(
            Id::Requests,
            format!("{kubectl} --server=https://{address} get --raw '{path}' | cut -c-400 | head -40"),
        )
    }

    /// Which resources clients watch, by the number of open watches.
    pub(in crate::judge) fn open_watches(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!(
            "{kubectl} --server=https://{address} get --raw /metrics | grep '^apiserver_longrunning_requests' | sort -k2 -gr | head"
        );
        Command::read(Id::OpenWatches, line).note("which resources are watched most; a large page")
    }

    /// What an apiserver counts in the families whose names begin with `family`, a pattern of grep.
    pub(in crate::judge) fn metric(&self, subject: &Subject, family: &str) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} get --raw /metrics | grep '^{family}' | head -40");
        Command::read(Id::Metric, line).note("a large page")
    }

    /// Which webhooks take part in admission: their configurations, what happens when they fail, and what they call.
    pub(in crate::judge) fn webhooks(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let columns = "CONFIGURATION:.metadata.name,WEBHOOKS:.webhooks[*].name,POLICY:.webhooks[*].failurePolicy,\
                       SECONDS:.webhooks[*].timeoutSeconds,SERVICE:.webhooks[*].clientConfig.service.name";
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
        let line = format!("{kubectl} --server=https://{address} get {kinds} -o custom-columns='{columns}'");
        Command::read(Id::Webhooks, line).note("no webhook takes part in reading or changing these")
    }

    /// What a client gets that creates something, with nothing stored.
    pub(in crate::judge) fn dry_run(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} create configmap vedette-test --dry-run=server -v=6");
        Command::read(Id::DryRun, line).note("stores nothing; shows the error and how long it takes")
    }

    /// What an apiserver runs with for the flags of these names.
    pub(in crate::judge) fn flags(&self, subject: &Subject, names: &[&str]) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} get --raw /flagz | grep -E '^({})'", names.join("|"));
        Command::read(Id::Flags, line)
    }

    /// Throttles one client by the object of that name.
    pub(in crate::judge) fn apply_throttle(&self, subject: &Subject, name: &str) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} apply -f {name}.yaml");
        Command::change(Id::ApplyThrottle, line).note("the object below; throttles that client alone")
    }

    /// Undoes that.
    pub(in crate::judge) fn undo_throttle(&self, subject: &Subject, name: &str) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} delete -f {name}.yaml");
        Command::change(Id::UndoThrottle, line).note("undoes it, once the client is fixed")
    }

    /// Gives vedette its rights, and seats of its own.
    pub(in crate::judge) fn apply_rights(&self, subject: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(subject), self.address(subject));
        let line = format!("{kubectl} --server=https://{address} apply -f vedette.yaml");
        Command::change(Id::ApplyRights, line).note("config/rbac/vedette.yaml: vedette's rights, and seats of its own")
    }

    /// Work past the API VIP.
    pub(in crate::judge) fn nodes(&self, instance: &Subject) -> Command {
        let (kubectl, address) = (self.kubectl(instance), self.address(instance));
        Command::read(Id::Nodes, format!("{kubectl} --server=https://{address} get nodes")).note("past the API VIP")
    }

    /// What fills etcd, by resource.
    pub(in crate::judge) fn objects(&self) -> Command {
        let line = "kubectl get --raw /metrics | grep -E '^apiserver_(storage|resource)_objects' | sort -k2 -gr | head";
        Command::read(Id::Objects, line).note("what fills it; stop whoever writes it, or it fills again")
    }

    /// Each of `dead`, addresses of the name of `subject` that do not answer, asked by itself.
    pub(in crate::judge) fn directly(&self, subject: &Subject, dead: &[IpAddr]) -> Vec<Command> {
        let place = self.address(subject);
        let port = place.rsplit_once(':').map_or("6443", |(_, port)| port);
        let path = if subject.is_of_etcd() { "health" } else { "readyz" };
        let host = phrases::host(&place);
        let direct = dead.iter().map(|address| {
            let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            let line = format!("curl -vk --max-time 5 --resolve '{host}:{port}:{address}' 'https://{place}/{path}'");
            Command::read(Id::Direct, line)
        });
        direct.collect()
    }

    /// Commands that show whether the path drops large ClientHellos, and a way around it.
    pub(in crate::judge) fn hellos(&self, subject: &Subject) -> Vec<Command> {
        let (proxy, address) = (self.through(subject), self.address(subject));
        let ask = |curves: &str| {
            format!("curl -vk{proxy} --max-time 5 --curves {curves} -o /dev/null 'https://{address}/version'")
        };
        vec![
            Command::read(Id::LargeHello, ask("X25519MLKEM768")).note("fails (needs OpenSSL 3.5)"),
            Command::read(Id::SmallHello, ask("X25519")).note("works"),
            Command::read(Id::FullPacket, format!("ping -M do -s 1472 -c 3 {}", phrases::host(&address)))
                .note("does a full packet get through?"),
            Command::read(Id::KubectlSmallHello, "GODEBUG=tlsmlkem=0 kubectl version")
                .note("a way around for kubectl, until the path is fixed"),
        ]
    }

    /// etcd without TLS.
    pub(in crate::judge) fn plain_etcd(&self, member: &Subject) -> Command {
        Command::read(Id::PlainEtcd, format!("curl -s --max-time 5 http://{}/version", self.address(member)))
    }

    /// The proxy of a cluster, asked for `target`.
    pub(in crate::judge) fn ask_proxy(&self, url: &str, target: &str) -> Command {
        let line = format!("curl -vk --max-time 10 --proxy '{url}' -o /dev/null 'https://{target}/version'");
        Command::read(Id::ProxyAsked, line).note("what does it say?")
    }

    /// Whether a name leads where it should.
    pub(in crate::judge) fn name(&self, host: &str, note: &str) -> Command {
        Command::read(Id::Name, format!("getent ahosts {host}")).note(note)
    }

    /// What DNS has for a name, and which server answered.
    pub(in crate::judge) fn resolve(&self, host: &str) -> Command {
        Command::read(Id::Resolve, format!("getent ahosts {host}; resolvectl query {host}"))
    }

    /// Whether a DNS server or another place answers.
    pub(in crate::judge) fn place_answers(&self, subject: &Subject) -> [Command; 2] {
        let address = self.address(subject);
        let host = phrases::host(&address);
        let port = address.rsplit_once(':').map_or("PORT", |(_, port)| port);
        let ask = if subject.is_resolver() {
            Command::read(Id::Nameserver, format!("dig @{host} +time=2 . NS"))
        } else {
            Command::read(Id::Port, format!("timeout 3 bash -c '</dev/tcp/{host}/{port}' && echo ok || echo no answer"))
        };
        [ask, path_to(host)]
    }

    /// Our own network, from the next hop outwards.
    pub(in crate::judge) fn own_network(&self) -> Vec<Command> {
        let mut commands = vec![
            Command::read(
                Id::DefaultRoute,
                "ip route show default; ping -c3 -W1 $(ip route show default | awk '{print $3; exit}')",
            )
            .note("from another network, check a cluster now: it may be fine. Here: does the gateway respond"),
            Command::read(Id::Links, "ip -brief link; ip -brief address"),
        ];
        if let Some(address) = self.addresses.values().find(|address| !address.is_empty()) {
            let host = phrases::host(address);
            commands.push(Command::read(Id::Route, format!("ip route get {host}")));
            commands.push(path_to(host));
        }
        commands.push(Command::read(Id::Firewall, "sudo nft list ruleset | head -50"));
        commands
    }
}

/// The hops towards `host`. Each one that is silent costs three seconds.
fn path_to(host: &str) -> Command {
    Command::read(Id::Path, format!("tracepath -n -m 15 {host}"))
}

/// Whether any host of a site responds: pings some of its `hosts` from `vantage`. For the mail about an unreachable
/// site, which belongs to no rule.
#[must_use]
pub fn any_host(hosts: &[&str], vantage: &str) -> Command {
    let line = format!("for host in {}; do ping -qc2 -W1 $host; done", hosts.join(" "));
    Command::read(Id::AnyHost, line).note(format!("on {vantage}: does any host there respond"))
}
