//! Certificates: what is served, what lies on a host, and how it is renewed.

use crate::model::subject::Subject;

use super::control_plane_hosts::Program;
use super::{Command, Commands, Id, path_word};

impl Commands<'_> {
    /// What `subject` serves; `fields` are options of `openssl x509`.
    pub(in crate::judge) fn served(&self, subject: &Subject, fields: &str) -> Command {
        let address = self.address(subject);
        let chain = match self.proxy_before(subject) {
            None => {
                let name = self.server_name(subject);
                format!("openssl s_client -connect {address}{name} </dev/null 2>/dev/null")
            }
            // openssl knows no SOCKS and no TLS to a proxy; curl shows certificates since 7.88.
            Some(url) => {
                format!("curl -sk --proxy '{url}' --max-time 10 -o /dev/null -w '%{{certs}}' https://{address}/")
            }
        };
        Command::read(Id::ServedCertificate, format!("{chain} | openssl x509 -noout {fields}"))
    }

    /// When the certificates of the host of `subject` expire.
    pub(in crate::judge) fn expirations(&self, subject: &Subject) -> Command {
        let line = match self.layout().map(|layout| layout.expirations) {
            Some(Some(call)) => self.on(&self.host(subject), &format!("{}{call}", self.sudo())),
            Some(None) => "oc get clusteroperators kube-apiserver etcd".to_owned(),
            None => format!("talosctl -n {} get certsans", self.host(subject)),
        };
        Command::read(Id::Expirations, line)
    }

    /// Renews what the host of `subject` serves, and lets those load it that do not by themselves.
    pub(in crate::judge) fn renew(&self, subject: &Subject) -> Vec<Command> {
        let (host, sudo) = (self.host(subject), self.sudo());
        let Some(layout) = self.layout() else { return Vec::new() };
        let Some((call, note)) = layout.renew else {
            let approve = "oc get csr -o name | xargs oc adm certificate approve";
            return vec![Command::change(Id::Renew, approve).note("operators renew; requests may wait for approval")];
        };
        let renew = Command::change(Id::Renew, self.on(&host, &format!("{sudo}{call}"))).note(note);
        // k3s and RKE2 renew by a restart.
        if call.starts_with("systemctl") {
            return vec![renew];
        }
        let crictl = layout.crictl.unwrap_or("crictl");
        let script = format!(
            "for c in controller-manager scheduler; do {sudo}{crictl} stop --timeout 30 $({sudo}{crictl} ps -q --name \"^kube-$c\\$\"); done"
        );
        // kube-apiserver (1.17 and later) and etcd load a renewed certificate by themselves.
        let restart = Command::change(Id::RestartReaders, self.on(&host, &script));
        vec![renew, restart.note("on each; apiserver and etcd need no restart")]
    }

    /// Renews what the apiserver of `subject` shows etcd.
    pub(in crate::judge) fn renew_client(&self, subject: &Subject) -> Option<Command> {
        let layout = self.layout()?;
        let (call, _) = layout.renew?;
        let (call, note) = if call.starts_with("kubeadm") {
            let note = "if it has expired; usually all have: kubeadm certs renew all. No restart is needed";
            ("kubeadm certs renew apiserver-etcd-client", note)
        } else {
            (call, "if it has expired: it is renewed at the start")
        };
        let line = self.on(&self.host(subject), &format!("{}{call}", self.sudo()));
        Some(Command::change(Id::Renew, line).note(note))
    }

    /// The date of a certificate of the control plane on the host of `subject`: what it serves.
    pub(in crate::judge) fn served_file(&self, subject: &Subject) -> Option<Command> {
        let pki = &self.layout()?.pki;
        let file = if Program::of(subject) == Program::Etcd { pki.etcd } else { pki.apiserver };
        Some(self.file_on_host(subject, file))
    }

    /// The date of what etcd shows its peers on the host of `member`.
    pub(in crate::judge) fn peer_file(&self, member: &Subject) -> Option<Command> {
        Some(self.file_on_host(member, self.layout()?.pki.peer))
    }

    /// The date of what kube-apiserver shows etcd on the host of `subject`.
    pub(in crate::judge) fn client_file(&self, subject: &Subject) -> Option<Command> {
        Some(self.file_on_host(subject, self.layout()?.pki.client))
    }

    fn file_on_host(&self, subject: &Subject, file: &str) -> Command {
        let script = format!("{}openssl x509 -noout -subject -enddate -in {file}", self.sudo());
        Command::read(Id::FileOnHost, self.on(&self.host(subject), &script))
    }

    /// The CA that is in use on the host of `subject`.
    pub(in crate::judge) fn ca_on_host(&self, subject: &Subject, is_etcd: bool) -> Option<Command> {
        let pki = &self.layout()?.pki;
        let file = if is_etcd { pki.etcd_ca } else { pki.ca };
        let script = format!("{}openssl x509 -noout -subject -enddate -fingerprint -sha256 -in {file}", self.sudo());
        Some(Command::read(Id::CaOnHost, self.on(&self.host(subject), &script)).note("the CA in use there"))
    }

    /// The dates of a file on the vedette host.
    pub(in crate::judge) fn file(&self, path: &str, fields: &str) -> Command {
        Command::read(Id::FileCertificate, format!("openssl x509 -noout {fields} -in {}", path_word(path)))
    }

    /// What cert-manager renews.
    pub(in crate::judge) fn cert_manager(&self) -> Command {
        let command = Command::read(Id::CertManager, "kubectl get certificates,certificaterequests -A");
        command.note("if cert-manager renews it")
    }
}
