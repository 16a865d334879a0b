//! The lab's network: one bridge, and a network namespace with one address for every server.
//!
//! The bridge lives in the namespace of the lab process itself and has no address, so nothing can
//! come to depend on it. Faults are nftables rules on the bridge, replaced as one transaction, so a
//! fault over many links takes effect at once. A dropped packet is dropped silently, as a dead
//! switch would; senders see neither an error nor a lost carrier.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::clock;

/// A namespace of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Where vedette, kubectl and a person's commands run.
    Bastion,
    /// A member of the etcd cluster, from 1.
    Etcd(u8),
    /// A kube-apiserver, from 1.
    Api(u8),
    /// The load balancer in front of the apiservers.
    Vip,
    /// Postfix, the programmable mail server and the heartbeat receiver.
    Mail,
}

/// How large the control plane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Members of etcd, up to 9.
    pub(crate) members: u8,
    /// kube-apiservers, up to 10.
    pub(crate) instances: u8,
}

impl Size {
    /// Three members and two apiservers.
    pub(crate) const USUAL: Self = Self { members: 3, instances: 2 };
    /// Five members and ten apiservers.
    pub(crate) const LARGE: Self = Self { members: 5, instances: 10 };

    /// All places, in the order they are made.
    fn places(self) -> Vec<Place> {
        let etcd = (1..=self.members).map(Place::Etcd);
        let apiservers = (1..=self.instances).map(Place::Api);
        [Place::Bastion].into_iter().chain(etcd).chain(apiservers).chain([Place::Vip, Place::Mail]).collect()
    }
}

/// The places of a control plane of the usual size.
pub(crate) const PLACES: [Place; 8] = [
    Place::Bastion,
    Place::Etcd(1),
    Place::Etcd(2),
    Place::Etcd(3),
    Place::Api(1),
    Place::Api(2),
    Place::Vip,
    Place::Mail,
];

impl Place {
    /// The name used for namespaces, links, certificates and servers.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Bastion => "bastion".to_owned(),
            Self::Etcd(n) => format!("etcd-{n}"),
            Self::Api(n) => format!("api-{n}"),
            Self::Vip => "vip".to_owned(),
            Self::Mail => "mail".to_owned(),
        }
    }

    /// The address on the lab's network, 10.89.0.0/24.
    pub(crate) fn ip(self) -> Ipv4Addr {
        let host = match self {
            Self::Bastion => 10,
            Self::Etcd(n) => 20 + n,
            Self::Api(n) => 30 + n,
            Self::Vip => 48,
            Self::Mail => 50,
        };
        Ipv4Addr::new(10, 89, 0, host)
    }

    fn link(self) -> String {
        format!("v-{}", self.name())
    }
}

/// Packets the bridge drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// IPv4 packets of one direction of one link.
    OneWay { from: Place, to: Place },
    /// Every frame from or to a place, address resolution included.
    AllOf(Place),
    /// Every frame of everybody.
    Everything,
}

/// The namespaces and what is currently dropped between them.
pub(crate) struct Network {
    folder: PathBuf,
    places: Vec<Place>,
    drops: BTreeSet<Loss>,
}

impl Network {
    /// Makes the bridge and all namespaces; their handles are files under `folder`.
    ///
    /// # Errors
    /// When `ip` or `unshare` refuse; the message is theirs.
    pub(crate) fn lay(folder: &Path, size: Size) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let here = |text: &str| run(words("ip", text));
        here("link set lo up")?;
        here("link add br0 type bridge forward_delay 0 mcast_snooping 0")?;
        here("link set br0 up")?;
        let network = Self { folder: folder.to_owned(), places: size.places(), drops: BTreeSet::new() };
        for place in network.places.iter().copied() {
            let handle = network.handle(place);
            File::create(&handle)?;
            run(Command::new("unshare").arg(joined("--net=", &handle)).arg("true"))?;
            let (link, ip) = (place.link(), place.ip());
            here(&format!("link add {link} type veth peer name eth0 netns {}", handle.display()))?;
            here(&format!("link set {link} master br0 up"))?;
            for text in
                ["link set lo up".to_owned(), format!("addr add {ip}/24 dev eth0"), "link set eth0 up".to_owned()]
            {
                run(network.command(place, "ip").args(text.split_whitespace()))?;
            }
        }
        Ok(network)
    }

    /// Removes bridge and namespaces; nothing may run in them any more.
    pub(crate) fn remove(&self) -> Result<()> {
        for place in self.places.iter().copied() {
            let handle = self.handle(place);
            run(words("ip", &format!("link del {}", place.link())))?;
            run(Command::new("umount").arg(&handle))?;
            fs::remove_file(handle)?;
        }
        run(words("ip", "link del br0"))
    }

    /// A command that runs `program` in `place`.
    pub(crate) fn command(&self, place: Place, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(joined("--net=", &self.handle(place))).arg("--").arg(program.as_ref());
        command
    }

    /// Runs `work` on a thread of this process that is in `place`: sockets made there stay there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub(crate) fn inside<T: Send>(&self, place: Place, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        inside(&self.handle(place), work)
    }

    /// Gives a place a second address, which leads to the same servers.
    pub(crate) fn give_address(&self, place: Place, ip: Ipv4Addr) -> Result<()> {
        let address = format!("addr add {ip}/24 dev eth0");
        run(self.command(place, "ip").args(address.split_whitespace()))?;
        self.filter(
            place,
            "second",
            &format!("type nat hook prerouting priority -100;\nip daddr {ip} dnat to {}", place.ip()),
        )
    }

    /// Lets the bastion reach a place no more by its first address: nobody answers there, as where a machine has gone.
    pub(crate) fn abandon_address(&self, place: Place) -> Result<()> {
        let (from, to) = (Place::Bastion.ip(), place.ip());
        // Before any address is translated.
        self.filter(
            place,
            "first",
            &format!("type filter hook prerouting priority -300;\nip saddr {from} ip daddr {to} drop"),
        )
    }

    /// Swallows the part of a ClientHello that needs more than one packet on its way from the bastion to the API of a
    /// place, as a middlebox does that expects the whole of it in one.
    pub(crate) fn swallow_large_hellos(&self, place: Place) -> Result<()> {
        let from = Place::Bastion.ip();
        // Type 22 after a TCP header with timestamps: of TLS 1.3 only the hello is sent in the clear.
        self.filter(
            place,
            "narrow",
            &format!(
                "type filter hook prerouting priority -300;\n\
                 ip saddr {from} tcp dport 6443 ip length > 1400 @th,256,8 22 drop"
            ),
        )
    }

    /// Lets them pass again.
    pub(crate) fn pass_large_hellos(&self, place: Place) -> Result<()> {
        run(self.command(place, "nft").arg("delete table ip narrow"))
    }

    /// One chain of rules inside `place`.
    fn filter(&self, place: Place, name: &str, chain: &str) -> Result<()> {
        let text = format!("table ip {name} {{\nchain only {{\n{chain}\n}}\n}}\n");
        run(self.command(place, "nft").arg(text))
    }

    /// The file that holds the namespace of `place`, as `nsenter --net=` takes it.
    pub(crate) fn handle(&self, place: Place) -> PathBuf {
        self.folder.join(place.name())
    }

    /// Drops IPv4 packets from one place to another, not the answers' direction.
    pub(crate) fn drop_one_way(&mut self, from: Place, to: Place) -> Result<Instant> {
        self.drops.insert(Loss::OneWay { from, to });
        self.apply()
    }

    /// Cuts a place off from all others; its loopback stays.
    pub(crate) fn cut(&mut self, place: Place) -> Result<Instant> {
        self.drops.insert(Loss::AllOf(place));
        self.apply()
    }

    /// Connects a place again that was cut off.
    pub(crate) fn reconnect(&mut self, place: Place) -> Result<Instant> {
        self.drops.remove(&Loss::AllOf(place));
        self.apply()
    }

    /// Drops every frame, or no longer.
    pub(crate) fn drop_everything(&mut self, drop: bool) -> Result<Instant> {
        if drop {
            self.drops.insert(Loss::Everything);
        } else {
            self.drops.remove(&Loss::Everything);
        }
        self.apply()
    }

    /// Drops nothing any more.
    pub(crate) fn heal(&mut self) -> Result<Instant> {
        self.drops.clear();
        self.apply()
    }

    /// Counts the connections that the bastion opens to places of the control plane from now on. Read by
    /// [`Network::opened`].
    pub(crate) fn count_connections(&self) -> Result<()> {
        nft(&format!(
            "table bridge count {{\nchain forward {{\ntype filter hook forward priority -10; policy accept;\n\
             ip saddr {} ip daddr 10.89.0.20-10.89.0.48 tcp flags & (syn | ack) == syn counter\n}}\n}}\n",
            Place::Bastion.ip()
        ))
    }

    /// Connections opened since [`Network::count_connections`], attempts included.
    pub(crate) fn opened(&self) -> Result<u64> {
        let listed = Command::new("nft").args(["list", "table", "bridge", "count"]).output().context("starting nft")?;
        let text = String::from_utf8(listed.stdout)?;
        let packets = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        packets.and_then(|count| count.parse().ok()).ok_or_else(|| anyhow!("no counter in\n{text}"))
    }

    fn apply(&self) -> Result<Instant> {
        let rules: String = self.drops.iter().map(Loss::rules).collect();
        // Declaring a table before deleting it makes the deletion valid the first time as well.
        let text = format!(
            "table bridge lab {{\n}}\ndelete table bridge lab\n\
             table bridge lab {{\nchain forward {{\n\
             type filter hook forward priority 0; policy accept;\n{rules}}}\n}}\n"
        );
        nft(&text)?;
        Ok(clock::now())
    }
}

fn nft(text: &str) -> Result<()> {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().context("starting nft")?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    if !nft.wait()?.success() {
        bail!("nft refused:\n{text}");
    }
    Ok(())
}

impl Loss {
    fn rules(&self) -> String {
        match *self {
            Self::OneWay { from, to } => {
                format!("ip saddr {} ip daddr {} drop\n", from.ip(), to.ip())
            }
            Self::AllOf(place) => {
                let link = place.link();
                format!("iifname \"{link}\" drop\noifname \"{link}\" drop\n")
            }
            Self::Everything => "drop\n".to_owned(),
        }
    }
}

/// Runs `work` on a thread of this process inside the network namespace of a handle.
///
/// # Errors
/// When the namespace cannot be entered, or `work` fails.
pub(crate) fn inside<T: Send>(handle: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = File::open(handle)?;
    let enter_and_work = move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("entering a network namespace")?;
        work()
    };
    thread::scope(|scope| {
        let thread = scope.spawn(enter_and_work);
        thread.join().unwrap_or_else(|_| Err(anyhow!("a thread inside {} panicked", handle.display())))
    })
}

fn words(program: &str, text: &str) -> Command {
    let mut command = Command::new(program);
    command.args(text.split_whitespace());
    command
}

fn joined(option: &str, path: &Path) -> String {
    format!("{option}{}", path.display())
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or fails; its error output is the message.
pub(crate) fn run(mut command: impl std::borrow::BorrowMut<Command>) -> Result<()> {
    output(command.borrow_mut()).map(drop)
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; its error output is the message.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
