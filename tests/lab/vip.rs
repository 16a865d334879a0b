//! The VIP: HAProxy in TCP mode in front of the apiservers.
//!
//! Its health check only opens a connection, as common setups do. So it takes a killed apiserver out
//! after two seconds and keeps sending connections to a frozen one, which still accepts. [`check_readyz`] makes it one
//! that asks for /readyz.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::net::{Place, Size};
use crate::pki;
use crate::process::Server;

/// The load balancer, not started; writes its configuration into `folder`.
pub(crate) fn balancer(size: Size, folder: &Path, logs: &Path) -> Result<Server> {
    let config = write_config(size, folder, "default-server check inter 1s fall 2 rise 1")?;
    // -db: one process in the foreground, so that a signal reaches all of it.
    let arguments = vec!["-db".to_owned(), "-f".to_owned(), config.display().to_string()];
    Ok(Server::new("vip", Place::Vip, "haproxy", arguments, logs.join("vip.log")))
}

/// From its next start on the load balancer asks each apiserver for /readyz, as the Kubernetes documentation has it.
pub(crate) fn check_readyz(size: Size, folder: &Path) -> Result<()> {
    let checks = "option httpchk GET /readyz\n  http-check expect status 200\n  default-server check check-ssl verify none \
                  inter 1s fall 2 rise 1";
    write_config(size, folder, checks).map(drop)
}

fn write_config(size: Size, folder: &Path, checks: &str) -> Result<PathBuf> {
    let mut text = format!(
        "global\n  log stderr format raw local0 notice\n  maxconn 2000\n\
         defaults\n  log global\n  mode tcp\n  option dontlognull\n  option redispatch\n  retries 2\n  \
         timeout connect 4s\n  timeout client 1h\n  timeout server 1h\n\
         frontend apiserver\n  bind {}:6443\n  default_backend instances\n\
         backend instances\n  balance roundrobin\n  {checks}\n",
        Place::Vip.ip()
    );
    for n in 1..=size.instances {
        let place = Place::Api(n);
        writeln!(text, "  server {} {}:6443", place.name(), place.ip())?;
    }
    let config = folder.join("haproxy.cfg");
    pki::write(&config, &text, 0o644)?;
    Ok(config)
}
