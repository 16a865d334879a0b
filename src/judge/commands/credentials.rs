//! Credentials: what vedette shows, whether it is accepted, and how it gets a new one.

use crate::model::host_access::Credential;
use crate::model::subject::Subject;

use super::{Command, Commands, Id, path_word};

/// The configuration as the unit names it.
const CONFIGURATION: &str = "/etc/vedette/vedette.yaml";

impl Commands<'_> {
    /// Reads the configuration and every file it names.
    pub(in crate::judge) fn check(&self) -> Command {
        Command::read(Id::Check, format!("sudo -u vedette vedette check {}", self.configuration()))
    }

    /// Probes everything once.
    pub(in crate::judge) fn probe(&self) -> Command {
        Command::read(Id::Probe, format!("sudo -u vedette vedette probe {}", self.configuration()))
    }

    fn configuration(&self) -> String {
        path_word(self.hosts.named.configuration.as_deref().unwrap_or(CONFIGURATION))
    }

    /// The CA for `subject`; a word to fill in where it is in no file of its own.
    fn ca(&self, subject: &Subject) -> String {
        named(self.credential(subject).and_then(|known| known.ca.as_ref()), "CA-FILE")
    }

    /// The server's chain against the configured CA.
    pub(in crate::judge) fn server_against_ca(&self, subject: &Subject) -> Command {
        let (proxy, address, ca) = (self.through(subject), self.address(subject), self.ca(subject));
        // openssl takes no proxy with TLS or SOCKS.
        let ask = if proxy.is_empty() {
            let name = self.server_name(subject);
            format!("openssl s_client -connect {address}{name} -CAfile {ca} </dev/null 2>&1")
        } else {
            format!("curl -sv{proxy} --max-time 10 --cacert {ca} -o /dev/null https://{address}/version 2>&1")
        };
        Command::read(Id::ServerAgainstCa, format!("{ask} | grep -iE 'verif|subject|issuer'"))
            .note("the CA named in the configuration")
    }

    /// The client certificate that vedette shows `subject`.
    pub(in crate::judge) fn own_certificate(&self, subject: &Subject) -> Command {
        match self.credential(subject) {
            Some(Credential { certificate: None, kubeconfig: Some(path), .. }) => self.kubeconfig_certificate(path),
            known => {
                let file = known.and_then(|known| known.certificate.as_deref()).unwrap_or("CLIENT-CERTIFICATE");
                self.file(file, "-subject -issuer -enddate").note("the file named in the configuration")
            }
        }
    }

    /// The CA in the configuration for `subject`.
    pub(in crate::judge) fn configured_ca(&self, subject: &Subject) -> Command {
        let line = format!("openssl x509 -noout -subject -enddate -fingerprint -sha256 -in {}", self.ca(subject));
        Command::read(Id::ConfiguredCa, line).note("the CA named in the configuration")
    }

    /// etcd's answer to the credential. With TLS 1.3 a certificate is refused after the handshake only, so a request
    /// has to be sent.
    pub(in crate::judge) fn etcd_as_vedette(&self, subject: &Subject) -> Command {
        let (address, known) = (self.address(subject), self.credential(subject));
        let certificate = named(known.and_then(|known| known.certificate.as_ref()), "CLIENT-CERTIFICATE");
        let key = named(known.and_then(|known| known.key.as_ref()), "CLIENT-KEY");
        let shown = format!("--cacert {} --cert {certificate} --key {key}", self.ca(subject));
        Command::read(
            Id::EtcdAsVedette,
            format!("curl -sv --max-time 10 {shown} https://{address}/health 2>&1 | grep -iE 'alert|verif|HTTP/'"),
        )
    }

    /// Whom the apiserver `subject` takes vedette for.
    pub(in crate::judge) fn who_am_i(&self, subject: &Subject) -> Command {
        let known = self.credential(subject).and_then(|known| known.kubeconfig.as_ref());
        let kubeconfig = named(known, "VEDETTE-KUBECONFIG");
        let command = Command::read(Id::WhoAmI, format!("kubectl --kubeconfig {kubeconfig} auth whoami"));
        command.note("the kubeconfig named in the configuration")
    }

    /// Whether vedette may ask for health.
    pub(in crate::judge) fn may_read(&self) -> Command {
        let command = Command::read(Id::MayRead, "kubectl auth can-i get /readyz --as vedette");
        command.note("with admin rights; 'no': apply config/rbac/vedette.yaml")
    }

    /// A new key and certificate for vedette at the apiservers.
    pub(in crate::judge) fn new_credential(&self) -> Vec<Command> {
        let request = "kubectl create -f - <<< '{\"apiVersion\":\"certificates.k8s.io/v1\",\"kind\":\"CertificateSigningRequest\",\"metadata\":{\"name\":\"vedette\"},\"spec\":{\"signerName\":\"kubernetes.io/kube-apiserver-client\",\"usages\":[\"client auth\"],\"request\":\"'$(base64 -w0 <vedette.csr)'\"}}'";
        vec![
            Command::change(
                Id::NewKey,
                "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=vedette -keyout vedette.key -out vedette.csr",
            )
            .note("a new certificate, with admin rights"),
            Command::change(Id::SignKey, format!("{request} && kubectl certificate approve vedette")),
            Command::change(
                Id::TakeCertificate,
                "kubectl get csr vedette -o jsonpath='{.status.certificate}' | base64 -d >vedette.crt",
            )
            .note("empty: wait a few seconds; put both in place, vedette reads them without a restart"),
        ]
    }

    /// The certificate in a kubeconfig.
    pub(in crate::judge) fn kubeconfig_certificate(&self, path: &str) -> Command {
        let path = path_word(path);
        Command::read(
            Id::KubeconfigCertificate,
            format!(
                "kubectl --kubeconfig {path} config view --raw -o jsonpath='{{.users[0].user.client-certificate-data}}' | base64 -d | openssl x509 -noout -subject -enddate"
            ),
        )
    }

    /// The certificate in a talosconfig.
    pub(in crate::judge) fn talos_certificate(&self, path: &str) -> Command {
        Command::read(Id::TalosCertificate, format!("talosctl --talosconfig {} config info", path_word(path)))
    }

    /// A new talosconfig.
    pub(in crate::judge) fn talos_renew(&self) -> Command {
        let command = Command::change(Id::TalosRenew, "talosctl config new NEW-TALOSCONFIG --roles os:admin");
        command.note("with a talosconfig that still works")
    }

    /// A file with a token.
    pub(in crate::judge) fn token_file(&self, path: &str) -> Command {
        Command::read(Id::TokenFile, format!("ls -l {}", path_word(path))).note("a bearer token: its exp has the date")
    }

    /// The rights on the way to a file.
    pub(in crate::judge) fn path_to(&self, path: &str) -> Command {
        Command::read(Id::FilePath, format!("namei -l {}", path_word(path)))
    }
}

/// A file that the configuration names, or a word to fill in.
fn named(path: Option<&String>, word: &str) -> String {
    path.map_or_else(|| word.to_owned(), |path| path_word(path))
}
