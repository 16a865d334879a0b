//! Postfix, the real mail server, in the mail place: takes everything from the lab's network for
//! ops.test and delivers into one Maildir.
//!
//! It needs the system users of the Debian package, so without root it needs a mapping of more than
//! one user (newuidmap and a range in /etc/subuid); where that is missing the lab goes without it and
//! says why. All its files are under the lab's volatile folder, which only the lab's processes see.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::clock;
use crate::mail::Mail;
use crate::net::{Network, Place};
use crate::pki::{self, Pki};
use crate::process::Server;

/// The domain Postfix delivers for.
pub(crate) const DOMAIN: &str = "ops.test";

/// Where Postfix keeps its files.
pub(crate) struct Postfix {
    folder: PathBuf,
}

impl Postfix {
    /// Writes the configuration below `folder` and describes the server.
    ///
    /// # Errors
    /// When the system users do not exist or are not mapped; the message says so.
    pub(crate) fn prepare(folder: &Path, pki: &Pki, logs: &Path) -> Result<(Self, Server)> {
        let config = folder.join("config");
        let (uid, gid) = account("postfix").context("no user postfix (package postfix)")?;
        for name in ["config", "queue", "data", "box"] {
            let path = folder.join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        for name in ["data", "box"] {
            chown(folder.join(name), Some(uid), Some(gid))
                .context("this user namespace maps only one user (newuidmap and /etc/subuid give more)")?;
        }
        let tls = pki.leaf("mail/server");
        let here = folder.display();
        let log = logs.join("postfix.log");
        // Names are neither looked up nor needed; the mailbox belongs to Postfix's own user, the one
        // unprivileged user that is surely there.
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {here}/queue\n\
             data_directory = {here}/data\n\
             mail_owner = postfix\n\
             setgid_group = postdrop\n\
             inet_interfaces = all\n\
             inet_protocols = ipv4\n\
             myhostname = mail.{DOMAIN}\n\
             mydestination =\n\
             mynetworks = 127.0.0.0/8 10.89.0.0/24\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_peername_lookup = no\n\
             smtpd_client_connection_rate_limit = 0\n\
             virtual_mailbox_domains = {DOMAIN}\n\
             virtual_mailbox_base = {here}/box\n\
             virtual_mailbox_maps = static:inbox/\n\
             virtual_minimum_uid = {uid}\n\
             virtual_uid_maps = static:{uid}\n\
             virtual_gid_maps = static:{gid}\n\
             alias_maps =\n\
             local_recipient_maps =\n\
             disable_dns_lookups = yes\n\
             smtpd_tls_security_level = may\n\
             smtpd_tls_cert_file = {}\n\
             smtpd_tls_key_file = {}\n\
             maillog_file = {}\n\
             maillog_file_prefixes = {}\n",
            tls.cert.display(),
            tls.key.display(),
            log.display(),
            logs.display(),
        );
        pki::write(&config.join("main.cf"), &main, 0o644)?;
        pki::write(&config.join("master.cf"), MASTER, 0o644)?;
        let arguments = vec!["-c".to_owned(), config.display().to_string(), "start-fg".to_owned()];
        let server = Server::new("postfix", Place::Mail, "postfix", arguments, logs.join("postfix-start.log"));
        Ok((Self { folder: folder.to_owned() }, server))
    }

    /// Waits until the port answers.
    pub(crate) fn wait_ready(&self, network: &Network, limit: Duration) -> Result<()> {
        let address = (Place::Mail.ip(), 25).into();
        clock::wait_for("Postfix to listen", limit, || {
            network.inside(Place::Bastion, || {
                Ok(Some(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?))
            })
        })
        .map(drop)
    }

    /// Everything delivered so far, oldest first. Arrival is the time stamp of the delivered file.
    pub(crate) fn mails(&self) -> Result<Vec<Mail>> {
        let mut mails = Vec::new();
        for folder in ["new", "cur"] {
            let Ok(entries) = fs::read_dir(self.folder.join("box/inbox").join(folder)) else { continue };
            for entry in entries {
                let entry = entry?;
                let age = clock::wall().duration_since(entry.metadata()?.modified()?).unwrap_or_default();
                let arrived = clock::now().checked_sub(age).ok_or_else(|| anyhow!("a mail older than the machine"))?;
                mails.push(Mail::parse(&fs::read(entry.path())?, arrived));
            }
        }
        mails.sort_by_key(|mail| mail.arrived);
        Ok(mails)
    }
}

/// User and group number of a system account.
fn account(name: &str) -> Option<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The services a delivering Postfix needs, none of them in a chroot.
const MASTER: &str = "\
smtp      inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
local     unix - n n - - local
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
";
