//! kube-controller-manager and kube-scheduler: one of each beside every apiserver, as kubeadm runs them.
//!
//! They reach the apiserver of their own host, serve on their secure ports, and elect a leader through a Lease. Few
//! drills want them (`Drill::with` and [`Extra::Controllers`](crate::tools::Extra)); they are started by those. The
//! controller-manager signs certificate requests with the cluster's CA.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock;
use crate::http::{self, Answer};
use crate::net::Place;
use crate::process::Server;
use crate::rbac;
use crate::world::World;

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    /// kube-controller-manager.
    Manager,
    /// kube-scheduler.
    Scheduler,
}

/// Both.
pub(crate) const BOTH: [Controller; 2] = [Controller::Manager, Controller::Scheduler];

/// A Lease of 15 s has to run out before another leads, and then the new one reads what there is.
const PATIENCE: Duration = Duration::from_secs(60);

impl Controller {
    /// What kubeadm calls its certificate and kubeconfig.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Manager => "controller-manager",
            Self::Scheduler => "scheduler",
        }
    }

    /// The program, and its Lease in `kube-system`.
    pub(crate) fn program(self) -> String {
        format!("kube-{}", self.name())
    }

    /// The name of the one beside apiserver `n` among the world's servers.
    pub(crate) fn server(self, n: u8) -> String {
        format!("{}-{n}", self.name())
    }

    const fn port(self) -> u16 {
        match self {
            Self::Manager => 10257,
            Self::Scheduler => 10259,
        }
    }
}

/// Starts both beside every apiserver and waits until they serve and one of each leads.
pub(crate) fn start(world: &mut World) -> Result<()> {
    for n in 1..=world.size.instances {
        for controller in BOTH {
            start_one(world, controller, n)?;
        }
    }
    BOTH.into_iter().try_for_each(|controller| wait_led(world, controller).map(drop))
}

/// Starts the one beside apiserver `n`.
pub(crate) fn start_one(world: &mut World, controller: Controller, n: u8) -> Result<Instant> {
    let server = describe(world, controller, n)?;
    world.add(server);
    world.start(&controller.server(n))
}

/// Ends the one that leads and starts it again as soon as it has ended; returns when it was told.
///
/// # Errors
/// When nobody leads, or it does not serve again.
pub(crate) fn restart_leader(world: &mut World, controller: Controller) -> Result<Instant> {
    let leader = wait_led(world, controller)?;
    let at = world.restart(&controller.server(leader))?;
    wait_serving(world, controller, leader)?;
    wait_led(world, controller)?;
    Ok(at)
}

fn describe(world: &World, controller: Controller, n: u8) -> Result<Server> {
    let (name, place) = (controller.name(), Place::Api(n));
    let leaf = world.pki.serve_beside(n, name)?;
    let kubeconfig = world.folder.join(format!("{}.kubeconfig", controller.server(n)));
    rbac::kubeconfig_for(&kubeconfig, &world.pki, name, place)?;
    let mut arguments: Vec<String> = ["", "authentication-", "authorization-"]
        .iter()
        .map(|which| format!("--{which}kubeconfig={}", kubeconfig.display()))
        .collect();
    arguments.extend([
        "--leader-elect=true".to_owned(),
        format!("--bind-address={}", place.ip()),
        format!("--secure-port={}", controller.port()),
        format!("--tls-cert-file={}", leaf.cert.display()),
        format!("--tls-private-key-file={}", leaf.key.display()),
    ]);
    if controller == Controller::Manager {
        let file = |name: &str, extension: &str| world.pki.file(name, extension).display().to_string();
        arguments.extend([
            "--use-service-account-credentials=true".to_owned(),
            format!("--client-ca-file={}", file("ca", "crt")),
            format!("--requestheader-client-ca-file={}", file("front-proxy-ca", "crt")),
            format!("--root-ca-file={}", file("ca", "crt")),
            format!("--service-account-private-key-file={}", file("sa", "key")),
            format!("--cluster-signing-cert-file={}", file("ca", "crt")),
            format!("--cluster-signing-key-file={}", file("ca", "key")),
        ]);
    }
    let program = world.tools.path(&controller.program())?.to_owned();
    let log = world.folder.join(format!("logs/{}.log", controller.server(n)));
    Ok(Server::new(&controller.server(n), place, program, arguments, log))
}

/// Waits until the one beside apiserver `n` answers on its secure port, which it does whether it leads or not.
fn wait_serving(world: &World, controller: Controller, n: u8) -> Result<()> {
    clock::wait_for(&format!("{} to serve", controller.server(n)), PATIENCE, || {
        Ok((get(world, controller, n, "/healthz")?.status == 200).then_some(()))
    })
}

/// Waits until one says that it leads, and returns beside which apiserver.
fn wait_led(world: &World, controller: Controller) -> Result<u8> {
    let leads = format!("leader_election_master_status{{name=\"{}\"}}", controller.program());
    clock::wait_for(&format!("a {} to lead", controller.name()), PATIENCE, || {
        for n in 1..=world.size.instances {
            if get(world, controller, n, "/metrics")?.series(&leads) == Some(1.0) {
                return Ok(Some(n));
            }
        }
        Ok(None)
    })
}

fn get(world: &World, controller: Controller, n: u8, path: &str) -> Result<Answer> {
    let url = format!("https://{}:{}{path}", Place::Api(n).ip(), controller.port());
    world.network.inside(Place::Bastion, || http::get(&url, Some(&world.credentials("admin"))))
}
