//! A kubeconfig that the configuration names, to credentials and the address clients use.
//!
//! Complaints about its content are placed in the kubeconfig itself. Called by the reader of clusters.

use std::path::Path;

use super::address::BadAddress;
use super::material::{Named, Use, open_to_everyone};
use super::proxy::Proxy;
use super::read_context::ReadContext;
use super::settings::{Address, Credentials, Endpoint, ExecPlugin, Host, Source};
use super::source;
use super::yaml_tree::{Section, Wrong};
use crate::model::error_chain::chain;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::kubeconfig::{self, Chosen, Exec, Located, Material, Server};
use crate::parse::yaml::Node;
use secrecy::ExposeSecret as _;

pub(super) const KEYS: [&str; 3] = ["path", "context", "allow_exec"];

/// What a kubeconfig gave.
#[derive(Default)]
pub(super) struct Given {
    pub(super) credentials: Credentials,
    /// Where its server URL points.
    pub(super) endpoint: Option<Endpoint>,
    /// The diagnostic to report if that endpoint is to be used: it stands for more than one cluster.
    pub(super) detour: Option<(String, Diagnostic)>,
}

impl ReadContext<'_> {
    /// Reads `node`; `None` when nothing useful is known, also because files are not to be touched.
    pub(super) fn kubeconfig(&self, node: &Node) -> Option<Given> {
        let section = Section::open(node, &KEYS, self.complaints)?;
        let path = section.read_required("path", |text| Ok(self.folder.join(text)));
        let context = section.read("context", |text| Ok(text.to_owned()));
        let allows_exec = section.flag("allow_exec");
        let path = path.filter(|_| self.examines())?;
        let named = section.find("path").map_or(section.position, |node| node.position);
        self.kubeconfigs.borrow_mut().push(path.clone());
        let contents = match source::read_file(&path) {
            Ok(contents) => contents,
            Err(error) => {
                self.complaints.add(Diagnostic::error(named, chain(&error)));
                return None;
            }
        };
        let file = path.display().to_string();
        let (chosen, diagnostics) = kubeconfig::choose(contents.bytes.expose_secret(), context.as_deref());
        for diagnostic in diagnostics {
            match diagnostic.position {
                Some(_) => self.complaints.add_in(&file, diagnostic),
                // Not about a place in it, but about what was asked of it.
                None => {
                    let asked = section.find("context").map_or(named, |node| node.position);
                    self.complaints.add(Diagnostic {
                        position: Some(asked),
                        what: format!("{file}: {}", diagnostic.what),
                        ..diagnostic
                    });
                }
            }
        }
        let chosen = chosen?;
        let embeds = |material: Option<&Located<Material>>| {
            material.is_some_and(|material| matches!(material.value, Material::Inline(_)))
        };
        if (embeds(chosen.key.as_ref()) || embeds(chosen.token.as_ref()))
            && let Some(diagnostic) = open_to_everyone(&path, contents.mode, named)
        {
            self.complaints.add(diagnostic);
        }
        Some(self.given(chosen, &path, &file, allows_exec))
    }

    fn given(&self, chosen: Chosen, path: &Path, file: &str, allows_exec: bool) -> Given {
        let folder = path.parent().unwrap_or(Path::new(""));
        let source = |material: Option<Located<Material>>, purpose: Use| {
            let Located { position, value } = material?;
            let source = match value {
                Material::Inline(bytes) => Source::Inline(bytes),
                Material::File(name) => Source::File(folder.join(name)),
            };
            self.examine(&source, purpose, Named { file: Some(file), position });
            Some(source)
        };
        let say = |diagnostic: Diagnostic| self.complaints.add_in(file, diagnostic);
        match (&chosen.certificate, &chosen.key) {
            (Some(alone), None) => say(Diagnostic::error(alone.position, "a client certificate without its key")),
            (None, Some(alone)) => say(Diagnostic::error(alone.position, "a client key without its certificate")),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let exec = chosen.exec.and_then(|Located { position, value }| {
            if allows_exec {
                let plugin = plugin(value, folder);
                if !is_there(&plugin.command) {
                    let what = format!("the exec plugin {} is not there", plugin.command.display());
                    let hint = "install it where the user that vedette runs as finds it, or name it with its folder";
                    say(Diagnostic::warning(position, what).hint(hint));
                }
                return Some(plugin);
            }
            let what = format!("the credential comes from a command, '{}', which is not allowed to run", value.command);
            let hint = "set 'allow_exec: true' beside the kubeconfig's path, or give vedette a credential of its own";
            say(Diagnostic::error(position, what).hint(hint));
            None
        });
        let pair_position = chosen.key.as_ref().map(|key| key.position);
        let certificate = source(chosen.certificate, Use::Certificate);
        let key = source(chosen.key, Use::Key);
        let client = certificate.zip(key).zip(pair_position);
        let credentials = Credentials {
            anchors: source(chosen.authorities, Use::Authorities),
            kubeconfig: Some(path.to_owned()),
            client: client.map(|((certificate, key), position)| {
                self.paired(certificate, key, Named { file: Some(file), position })
            }),
            token: source(chosen.token, Use::Token),
            exec,
            proxy: chosen.proxy.and_then(|Located { position, value }| {
                let wrong = |bad: BadAddress| Wrong::new(format!("proxy-url: {}", bad.what), bad.hint).at(position);
                value.expose_secret().parse::<Proxy>().map_err(wrong).map_err(say).ok()
            }),
        };
        let detour = chosen.server.as_ref().filter(|server| !server.path.is_empty()).map(|server| {
            let what =
                format!("the server URL has the path '{}', so it leads to a proxy, not to the cluster", server.path);
            let hint = "give the cluster's own address as 'vip: { address: ... }'";
            (file.to_owned(), Diagnostic::error(server.position, what).hint(hint))
        });
        let server_name = chosen.server_name.and_then(|name| {
            let parsed = name.value.parse::<Host>().map_err(|bad| Wrong::new(bad.what, bad.hint).at(name.position));
            parsed.map_err(say).ok()
        });
        let endpoint = chosen.server.as_ref().and_then(|server| {
            let address = address(server).map_err(say).ok()?;
            Some(Endpoint::new(address, server_name))
        });
        Given { credentials, endpoint, detour }
    }
}

fn address(server: &Server) -> Result<Address, Diagnostic> {
    let host = match &server.host {
        url::Host::Domain(name) => {
            name.parse().map_err(|bad: BadAddress| Wrong::new(bad.what, bad.hint).at(server.position))?
        }
        url::Host::Ipv4(ip) => Host::Ip((*ip).into()),
        url::Host::Ipv6(ip) => Host::Ip((*ip).into()),
    };
    if server.port == 0 {
        return Err(Diagnostic::error(server.position, "'0' is not a valid port"));
    }
    Ok(Address { host, port: server.port })
}

/// Whether there is a file of that name, for a bare one in `PATH`.
fn is_there(command: &Path) -> bool {
    let is_file = |path: &Path| path.metadata().is_ok_and(|found| found.is_file());
    if command.components().count() > 1 {
        return is_file(command);
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_file(&folder.join(command))))
}

/// A command with a slash starts at the kubeconfig's folder, as with kubectl; a bare one is looked up in `PATH`.
fn plugin(exec: Exec, folder: &Path) -> ExecPlugin {
    let Exec { api_version, command, args, env, provides_cluster_info } = exec;
    let command = if command.contains('/') { folder.join(command) } else { command.into() };
    ExecPlugin { api_version, command, args, env, provides_cluster_info }
}
