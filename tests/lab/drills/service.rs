//! The unit under a real systemd: installed as the README says, started, wedged, killed, misled, stopped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::machine::{Machine, SOURCE};
use crate::net::Place;
use crate::smtp::{PASSWORD, STARTTLS_PORT, USER};
use crate::vedette::BINARY;
use crate::world::World;
use crate::{pki, rbac};

/// Bound on every wait for systemd, and for vedette's first mail.
const PATIENCE: Duration = Duration::from_secs(60);
/// Instead of the unit's 30 s, so that the drill is short.
const WATCHDOG: &str = "[Service]\nWatchdogSec=4s\n";
/// The unit.
const UNIT: &str = "vedette";
/// The repository.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The family.
pub(crate) const DRILLS: &[Drill] = &[Drill::new("service_under_systemd", service).without_cluster().on_a_machine()];

fn service(world: &mut World) -> Result<()> {
    let source = pack(world)?;
    let machine = Machine::boot(world, &source)?;
    install(world, &machine)?;
    starts_when_ready(world, &machine)?;
    is_confined(&machine)?;
    sees_and_mails(world, &machine)?;
    gets_up_again(world, &machine)?;
    reloads(world, &machine)?;
    goes_on_with_the_last_good_configuration(world, &machine)?;
    stays_down_on_a_useless_configuration(&machine)?;
    stops_in_order(&machine)?;
    world.quiet_for(Duration::from_secs(2)).context("an incident that was known is mailed again")?;
    machine.power_off(world)
}

/// What an operator has in his hands before step 2 of the README.
fn pack(world: &World) -> Result<std::path::PathBuf> {
    let source = world.folder.join("source");
    fs::create_dir_all(source.join("target/release"))?;
    fs::hard_link(BINARY, source.join("target/release/vedette"))
        .or_else(|_| fs::copy(BINARY, source.join("target/release/vedette")).map(drop))?;
    for file in ["config/systemd/vedette.service", "config/systemd/vedette.sysusers", "config/minimal.yaml"] {
        pki::write(&source.join(file), &fs::read_to_string(Path::new(HERE).join(file))?, 0o644)?;
    }
    rbac::kubeconfig(&source.join("prod.kubeconfig"), &world.pki, "vedette")?;
    pki::write(&source.join("smtp-password"), PASSWORD, 0o600)?;
    pki::write(&source.join("mail-ca.pem"), &fs::read_to_string(world.pki.file("mail/ca", "crt"))?, 0o644)?;
    pki::write(&source.join("vedette.yaml"), &configuration(), 0o644)?;
    Ok(source)
}

/// Two apiservers that refuse, and a relay that wants the password.
fn configuration() -> String {
    let (relay, api) = (Place::Mail.ip(), Place::Api(1).ip());
    format!(
        "vantage:\n  name: bastion-1\n  resolvers: []\n  references: [{{ name: relay, address: \"relay.test:{STARTTLS_PORT}\" }}]\n\
         mail:\n  relay: \"{relay}:{STARTTLS_PORT}\"\n  ca: {{ file: mail-ca.pem }}\n  username: {USER}\n  \
         password: {{ credential: smtp-password }}\n  from: vedette@bastion.test\n  to: [oncall@ops.test]\n\
         clusters:\n  - name: prod\n    kubeconfig: {{ path: prod.kubeconfig }}\n    \
         apiservers: [{{ name: api-1, address: \"{api}:6443\" }}]\n"
    )
}

/// Runs the README's own commands, all but the build.
fn install(world: &World, machine: &Machine) -> Result<()> {
    let [installing, secrets] = readme("**2. Install", "**4. Try")?;
    let installing = installing.replace("cargo build --release --locked\n", "");
    let relay = Place::Mail.ip();
    machine.run(&format!("cd {SOURCE}\n{installing}\n{secrets}"))?;
    machine.run(&format!(
        "cd {SOURCE}; install -m 0640 -g vedette vedette.yaml mail-ca.pem /etc/vedette/\n\
         printf '{WATCHDOG}' >/etc/systemd/system/vedette.service.d/drill.conf; systemctl daemon-reload\n\
         echo '{relay} relay.test' >>/etc/hosts"
    ))?;
    ensure!(world.mails().is_empty(), "a mail before anything runs");
    Ok(())
}

/// The two shell blocks of the README between two of its steps.
fn readme(from: &str, to: &str) -> Result<[String; 2]> {
    let text = fs::read_to_string(Path::new(HERE).join("README.md"))?;
    let part = text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).context("the README has other steps")?.0;
    let blocks = part.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0.to_owned()));
    let blocks: Vec<String> = blocks.collect();
    blocks.try_into().map_err(|blocks: Vec<String>| anyhow::anyhow!("{} blocks in the README", blocks.len()))
}

fn starts_when_ready(world: &World, machine: &Machine) -> Result<()> {
    machine.run("systemctl enable --now vedette && systemctl status --no-pager vedette")?;
    world.page("/healthz").context("active before it was ready")?;
    // Its lines reach the journal on a thread of their own.
    clock::wait_until("the journal to say that it has started", PATIENCE, || {
        machine
            .run("journalctl --unit vedette --output cat --no-pager")
            .is_ok_and(|log| ["started: ", "Started vedette.service"].iter().all(|words| log.contains(words)))
    })?;
    let status = machine.property(UNIT, "StatusText")?;
    ensure!(status.contains("1 clusters"), "status says '{status}'");
    Ok(())
}

fn is_confined(machine: &Machine) -> Result<()> {
    let status = machine.run(&format!("cat /proc/{}/status; id -u vedette", machine.property(UNIT, "MainPID")?))?;
    let user = status.lines().last().unwrap_or_default();
    let uids = format!("Uid:\t{user}\t{user}\t{user}\t{user}");
    for line in
        [uids.as_str(), "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"]
    {
        ensure!(status.lines().any(|known| known == line), "no '{line}' in {status}");
    }
    for (property, value) in [("ProtectSystem", "strict"), ("PrivateUsers", "yes"), ("MemoryDenyWriteExecute", "yes")] {
        ensure!(machine.property(UNIT, property)? == value, "{property} is not {value}");
    }
    machine.run("systemd-analyze security --threshold=15 --no-pager vedette")?;
    let verified = machine.run("systemd-analyze verify vedette.service 2>&1")?;
    ensure!(verified.is_empty(), "systemd-analyze verify says {verified}");
    Ok(())
}

/// The credential opens the relay, a name leads to the reference target, and the database is where it belongs.
fn sees_and_mails(world: &World, machine: &Machine) -> Result<()> {
    let mail = world.await_mails(1, PATIENCE)?.remove(0);
    ensure!(mail.account.as_deref() == Some(USER), "no login: {mail:?}");
    let reference = "vedette_instance_up{component=\"reference\",instance=\"relay\"}";
    clock::wait_until("the reference point", PATIENCE, || {
        world.page("/metrics").is_ok_and(|page| page.series(reference) == Some(1.0))
    })?;
    machine.run("test -O /etc/vedette && test \"$(stat -c %U%a /var/lib/vedette/vedette.db)\" = vedette600").map(drop)
}

/// Frozen, wedged and killed: each time it is back, and knows what it knew.
fn gets_up_again(world: &mut World, machine: &Machine) -> Result<()> {
    let before = clock::now();
    falls(machine, "kill -STOP $(systemctl show -P MainPID vedette)", "frozen", "watchdog")?;
    world.table.note("service: frozen to running again", before, clock::now());

    // One thread stands still and the others go on: what a wedged scheduler looks like from outside. The loop runs on
    // the main thread; ptrace can stop a single one, and every Debian has perl.
    let pid = machine.property(UNIT, "MainPID")?;
    let before = clock::now();
    let mut tracer = machine.start(&format!("exec perl -e '{}' {pid}", WEDGE.replace('\n', " ")))?;
    let back = falls(machine, "true", "wedged", "watchdog");
    tracer.kill()?;
    tracer.wait()?;
    back?;
    world.table.note("service: scheduler wedged to running again", before, clock::now());

    falls(machine, "systemctl kill --signal=KILL vedette", "killed", "signal")?;
    ensure!(world.mails().len() == 1, "known incidents are mailed anew: {:?}", world.mails().last());
    Ok(())
}

/// `PTRACE_SEIZE`, `PTRACE_INTERRUPT`, and wait for the end: whoever is traced is not dead before its tracer knows.
const WEDGE: &str = "$n = `uname -m` =~ /aarch64/ ? 117 : 101;
    for (0x4206, 0x4207) { syscall($n, $_, $ARGV[0] + 0, 0, 0) == 0 or die \"ptrace: $!\" }
    1 while waitpid($ARGV[0], 0x40000000) > 0;";

/// Does it, and waits until systemd has brought the service back for the reason it gives in its journal.
fn falls(machine: &Machine, deed: &str, what: &str, reason: &str) -> Result<()> {
    let restarts = |machine: &Machine| Ok::<u32, anyhow::Error>(machine.property(UNIT, "NRestarts")?.parse()?);
    let before = restarts(machine)?;
    machine.run(deed)?;
    clock::wait_for(&format!("the {what} service to run again"), PATIENCE, || {
        Ok((restarts(machine)? > before && machine.property(UNIT, "ActiveState")? == "active").then_some(()))
    })?;
    let log = machine.run("journalctl --unit vedette --output cat --no-pager")?;
    let failed = log.lines().rfind(|line| line.contains("Failed with result")).unwrap_or_default();
    ensure!(failed.contains(&format!("'{reason}'")), "{what}, but {failed}");
    Ok(())
}

/// `systemctl reload` returns when vedette has said that it is ready again, and a mistake changes nothing.
fn reloads(world: &World, machine: &Machine) -> Result<()> {
    let pid = machine.property(UNIT, "MainPID")?;
    let successful = "vedette_config_last_reload_successful";
    machine.run("cp -p /etc/vedette/vedette.yaml /root/; systemctl reload vedette")?;
    shows(world, successful, 1.0)?;
    machine.run("echo 'nonsense: [' >>/etc/vedette/vedette.yaml; systemctl reload vedette")?;
    shows(world, successful, 0.0)?;
    // The metric tells of the reload before systemd has seen its own command end.
    clock::wait_until("systemd to call it active after a reload", PATIENCE, || {
        machine.property(UNIT, "ActiveState").is_ok_and(|state| state == "active")
    })?;
    ensure!(machine.property(UNIT, "MainPID")? == pid, "a reload is no restart");
    Ok(())
}

/// The file is broken still; a copy of what was good lies beside the store.
fn goes_on_with_the_last_good_configuration(world: &World, machine: &Machine) -> Result<()> {
    machine.run("systemctl restart vedette")?;
    shows(world, "vedette_config_copy_in_use", 1.0)
}

fn shows(world: &World, series: &str, value: f64) -> Result<()> {
    clock::wait_until(&format!("{series} {value}"), PATIENCE, || {
        world.page("/metrics").is_ok_and(|page| page.series(series) == Some(value))
    })
    .map(drop)
}

fn stays_down_on_a_useless_configuration(machine: &Machine) -> Result<()> {
    machine.run("rm /var/lib/vedette/last-good.yaml")?;
    ensure!(machine.run("systemctl restart vedette").is_err(), "it starts with a broken configuration");
    ensure!(machine.property(UNIT, "ExecMainStatus")? == "78", "another exit code");
    // Longer than RestartSec.
    clock::stays("the service to stay down", Duration::from_secs(4), || {
        machine.property(UNIT, "ActiveState").is_ok_and(|state| state == "failed")
    })?;
    machine.run("cp -p /root/vedette.yaml /etc/vedette/; systemctl start vedette").map(drop)
}

fn stops_in_order(machine: &Machine) -> Result<()> {
    let start = clock::now();
    machine.run("systemctl stop vedette")?;
    ensure!(clock::since(start) < Duration::from_secs(20), "stopping took {:?}", clock::since(start));
    ensure!(machine.property(UNIT, "Result")? == "success", "it did not stop by itself");
    Ok(())
}
