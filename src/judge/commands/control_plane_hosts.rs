//! The hosts of the control plane: containers, logs, disks, and who holds an address.

use crate::model::subject::Subject;

use super::{Command, Commands, Id};
use crate::judge::phrases;

/// A program of the control plane that runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    Apiserver,
}

impl Program {
    /// The name of its process and container.
    const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
        }
    }

    /// The program behind `subject`.
    pub(in crate::judge) fn of(subject: &Subject) -> Self {
        if subject.is_of_etcd() { Self::Etcd } else { Self::Apiserver }
    }
}

impl Commands<'_> {
    /// The containers of `program` on the host of `subject`, exited ones included.
    pub(in crate::judge) fn containers(&self, subject: &Subject, program: Program) -> Command {
        self.containers_on(std::slice::from_ref(subject), program)
    }

    /// The same on several hosts.
    pub(in crate::judge) fn containers_on(&self, subjects: &[Subject], program: Program) -> Command {
        let (sudo, name, hosts) = (self.sudo(), program.name(), self.host_names(subjects));
        let line = match (self.layout().map(|layout| (layout.crictl, layout.unit)), program) {
            (Some((Some(crictl), _)), _) => self.on_each(&hosts, &format!("{sudo}{crictl} ps -a --name \"^{name}$\"")),
            (Some((None, unit)), _) => self.on_each(&hosts, &format!("systemctl status --no-pager {unit} | head -20")),
            (None, Program::Etcd) => format!("talosctl -n {} service etcd", hosts.join(",")),
            (None, Program::Apiserver) => format!("talosctl -n {} containers -k | grep {name}", hosts.join(",")),
        };
        Command::read(Id::Containers, line)
    }

    /// The last lines of `program` on the host of `subject`.
    pub(in crate::judge) fn logs(&self, subject: &Subject, program: Program) -> Command {
        self.logs_on(std::slice::from_ref(subject), program)
    }

    /// The same on several hosts.
    pub(in crate::judge) fn logs_on(&self, subjects: &[Subject], program: Program) -> Command {
        let hosts = self.host_names(subjects);
        let line = match (self.layout(), program) {
            (Some(_), _) => self.on_each(&hosts, &self.log(program, 50, "")),
            (None, _) => self.talos_log(&hosts.join(","), program, 50),
        };
        Command::read(Id::Logs, line)
    }

    /// What etcd complains of on the host of `subject`: elections, slow disks.
    pub(in crate::judge) fn etcd_complaints(&self, subject: &Subject) -> Command {
        let filter = " 2>&1 | grep -iE \"elect|leader|overloaded|took too long|fdatasync\" | tail -30";
        self.filtered(Id::EtcdComplaints, subject, Program::Etcd, 2000, filter)
    }

    /// What kube-apiserver logs about etcd on the host of `subject`.
    pub(in crate::judge) fn apiserver_on_etcd(&self, subject: &Subject) -> Command {
        self.filtered(Id::ApiserverOnEtcd, subject, Program::Apiserver, 500, " 2>&1 | grep -i etcd | tail")
    }

    fn filtered(&self, id: Id, subject: &Subject, program: Program, lines: usize, filter: &str) -> Command {
        let host = self.host(subject);
        let line = match self.layout() {
            Some(_) => self.on(&host, &self.log(program, lines, filter)),
            None => format!("{}{filter}", self.talos_log(&host, program, lines)),
        };
        Command::read(id, line)
    }

    /// The script that shows the last lines of the newest container of `program`, exited ones included.
    fn log(&self, program: Program, lines: usize, filter: &str) -> String {
        let (sudo, name) = (self.sudo(), program.name());
        let Some(layout) = self.layout() else { return String::new() };
        let Some(crictl) = layout.crictl else {
            return format!("{sudo}journalctl -u {} -n {lines}{filter}", layout.unit);
        };
        let newest =
            format!("{sudo}{crictl} logs --tail {lines} $({sudo}{crictl} ps -aq --name \"^{name}$\" | head -1)");
        if !filter.is_empty() {
            return format!("{newest}{filter}");
        }
        // Without a container crictl fails; what the kubelet kept of the last one, or systemd, is still there.
        let kept = match program {
            Program::Etcd => format!("{sudo}journalctl -u etcd -n {lines}"),
            Program::Apiserver => {
                format!("{sudo}sh -c \"tail -n {lines} /var/log/pods/kube-system_{name}-*/*/*.log\"")
            }
        };
        format!("{newest} || {kept}")
    }

    fn talos_log(&self, hosts: &str, program: Program, lines: usize) -> String {
        match program {
            Program::Etcd => format!("talosctl -n {hosts} logs etcd --tail {lines}"),
            Program::Apiserver => format!(
                "for h in {}; do talosctl -n $h logs -k --tail {lines} $(talosctl -n $h containers -k | grep -oE 'kube-system/[^ ]*:kube-apiserver:[0-9a-f]+' | head -1); done",
                hosts.replace(',', " ")
            ),
        }
    }

    /// What the kubelet, or the service in its place, logged in the last quarter of an hour.
    pub(in crate::judge) fn kubelet_log(&self, subject: &Subject) -> Command {
        let host = self.host(subject);
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} logs kubelet --tail 50"),
            |layout| self.on(&host, &format!("{}journalctl -u {} --since -15min | tail -50", self.sudo(), layout.unit)),
        );
        Command::read(Id::KubeletLog, line)
    }

    /// The static pods of the host of `subject`, where it has any.
    pub(in crate::judge) fn manifests(&self, subject: &Subject) -> Option<Command> {
        let folder = self.layout()?.manifests.as_ref()?.folder;
        let line = self.on(&self.host(subject), &format!("{}ls -l --time-style=full-iso {folder}", self.sudo()));
        Some(Command::read(Id::Manifests, line))
    }

    /// The flags of kube-apiserver that name etcd.
    pub(in crate::judge) fn etcd_flags(&self, subject: &Subject) -> Option<Command> {
        self.layout()?;
        let script = format!("{} | grep -e --etcd", flags(Program::Apiserver));
        Some(Command::read(Id::EtcdFlags, self.on(&self.host(subject), &script)))
    }

    /// The addresses that etcd was started with.
    pub(in crate::judge) fn etcd_urls(&self, subject: &Subject) -> Option<Command> {
        self.layout()?;
        let script = format!("{} | grep -e -urls", flags(Program::Etcd));
        Some(Command::read(Id::EtcdUrls, self.on(&self.host(subject), &script)))
    }

    /// Which file `subject` serves as its certificate.
    pub(in crate::judge) fn certificate_flag(&self, subject: &Subject) -> Option<Command> {
        self.layout()?;
        let script = format!("{} | grep -e -cert-file", flags(Program::of(subject)));
        let command = Command::read(Id::CertificateFlag, self.on(&self.host(subject), &script));
        Some(command.note("which file does it serve? Is it the renewed one on that host?"))
    }

    /// Room on the disk of etcd.
    pub(in crate::judge) fn room(&self, member: &Subject) -> Command {
        let host = self.host(member);
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} mounts | grep -E 'FILESYSTEM|/var'"),
            |layout| self.on(&host, &format!("{}df -h {}", self.sudo(), layout.data)),
        );
        Command::read(Id::Room, line)
    }

    /// Room for logs on the host of `subject`.
    pub(in crate::judge) fn room_for_logs(&self, subject: &Subject) -> Command {
        let host = self.host(subject);
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} mounts | grep -E 'FILESYSTEM|/var'"),
            |_| self.on(&host, "df -h / /var/log"),
        );
        Command::read(Id::RoomForLogs, line)
    }

    /// How busy the hosts of `subjects` are with CPU, disks and memory.
    pub(in crate::judge) fn pressure(&self, subjects: &[Subject]) -> Command {
        let hosts = self.host_names(subjects);
        let line = match self.layout() {
            Some(_) => self.on_each(&hosts, "hostname; uptime; free -m; grep . /proc/pressure/*"),
            None => format!("for f in cpu io memory; do talosctl -n {} read /proc/pressure/$f; done", hosts.join(",")),
        };
        Command::read(Id::Pressure, line)
    }

    /// How long etcd's disks take: sums and counts since its start.
    pub(in crate::judge) fn disk_latency(&self, members: &[Subject]) -> Option<Command> {
        self.layout()?;
        let script = "curl -s http://127.0.0.1:2381/metrics | grep -E \"^etcd_disk_(wal_fsync|backend_commit)_duration_seconds_(sum|count)\"";
        let line = self.on_each(&self.host_names(members), script);
        let note = "sum divided by count: above 0.01 s for fsync, 0.025 s for commit, the disk is too slow";
        Some(Command::read(Id::DiskLatency, line).note(note))
    }

    /// Loss and delay between the host of `member` and those of the others.
    pub(in crate::judge) fn ping_peers(&self, member: &Subject, others: &[Subject]) -> Option<Command> {
        self.layout()?;
        let peers = self.host_names(others).join(" ");
        let script = format!("for peer in {peers}; do ping -qc20 -i0.2 $peer; done");
        Some(Command::read(Id::Ping, self.on(&self.host(member), &script)).note("loss and delay"))
    }

    /// Whether the host of `member` reaches the peer ports of the others.
    pub(in crate::judge) fn peer_ports(&self, member: &Subject, others: &[Subject]) -> Option<Command> {
        self.layout()?;
        let peers = self.host_names(others).join(" ");
        let script = format!(
            "for peer in {peers}; do timeout 2 bash -c \"</dev/tcp/$peer/2380\" && echo $peer ok || echo $peer FAILS; done"
        );
        Some(Command::read(Id::PeerPorts, self.on(&self.host(member), &script)))
    }

    /// The clock of the host of `subject` beside our own.
    pub(in crate::judge) fn clocks(&self, subject: &Subject) -> Command {
        let host = self.host(subject);
        let there = self.layout().map_or_else(|| format!("talosctl -n {host} time"), |_| self.on(&host, "date -u"));
        Command::read(Id::Clocks, format!("{there}; date -u"))
    }

    /// Our own clock, and whether a time service sets it.
    pub(in crate::judge) fn own_clock(&self) -> Command {
        Command::read(Id::Clocks, "timedatectl || date -u").note("is it synchronised, and by which service?")
    }

    /// Which process listens where `subject` should.
    pub(in crate::judge) fn listening(&self, subject: &Subject) -> Command {
        let (host, address) = (self.host(subject), self.address(subject));
        let port = address.rsplit(':').next().unwrap_or_default();
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} netstat -l -p | grep :{port}"),
            |_| self.on(&host, &format!("{}ss -ltnp \"sport = :{port}\"", self.sudo())),
        );
        Command::read(Id::Listening, line).note("what listens there?")
    }

    /// Whether the host of `instance` holds the API VIP `vip`.
    pub(in crate::judge) fn address_held(&self, instance: &Subject, vip: &str) -> Command {
        let host = self.host(instance);
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} get addresses | grep -F {vip}/ || echo no"),
            |_| self.on(&host, &format!("ip -brief address | grep -wF {vip} || echo no")),
        );
        Command::read(Id::AddressHeld, line)
    }

    /// What may balance on the host of `instance`.
    pub(in crate::judge) fn balancer(&self, instance: &Subject) -> Option<Command> {
        let containers = self.layout()?.crictl.map_or_else(String::new, |crictl| {
            format!("; {}{crictl} ps -a --name \"haproxy|kube-vip|keepalived\"", self.sudo())
        });
        let script = format!("systemctl --no-pager list-units --all \"haproxy*\" \"keepalived*\"{containers}");
        Some(Command::read(Id::Balancer, self.on(&self.host(instance), &script)))
    }

    /// Stops kube-apiserver by its manifest on the host of `subject`.
    pub(in crate::judge) fn stop_writers(&self, subject: &Subject) -> Option<Command> {
        let layout = self.layout()?;
        let script = layout.manifests.as_ref().map_or_else(
            || format!("{}systemctl stop {}", self.sudo(), layout.unit),
            |manifests| format!("{}mv {} /root/", self.sudo(), manifests.apiserver),
        );
        let command = Command::change(Id::StopApiserver, self.on(&self.host(subject), &script));
        Some(command.note("first, on every control-plane host: stop the writers"))
    }

    /// Ends the container of `subject`, which its kubelet starts anew.
    pub(in crate::judge) fn restart_server(&self, subject: &Subject) -> Command {
        let (host, sudo, name) = (self.host(subject), self.sudo(), Program::of(subject).name());
        let line = match self.layout().map(|layout| (layout.crictl, layout.unit)) {
            Some((Some(crictl), _)) => {
                // Without a time the container is killed at once.
                let newest = format!("$({sudo}{crictl} ps -q --name \"^{name}$\" | head -1)");
                self.on(&host, &format!("{sudo}{crictl} stop --timeout 60 {newest}"))
            }
            Some((None, unit)) => self.on(&host, &format!("{sudo}systemctl restart {unit}")),
            None => format!("talosctl -n {host} reboot"),
        };
        let note = "last: a restart, one host at a time, when all others are healthy";
        Command::change(Id::RestartServer, line).note(note)
    }

    /// Services of a proxy's host.
    pub(in crate::judge) fn proxy_host(&self, proxy: &Subject) -> Command {
        let line = format!("ssh {} 'ss -ltn; systemctl --no-pager list-units --failed'", phrases::host(proxy.short()));
        Command::read(Id::ProxyHost, line)
    }
}

/// The flags a process was started with, one a line.
fn flags(program: Program) -> String {
    format!("tr \"\\0\" \"\\n\" </proc/$(pidof -s {})/cmdline", program.name())
}
