//! Credentials: what vedette shows, whether it is accepted, and how it gets a new one.

use crate::model::subject::Subject;

use super::{Command, Commands, Id};

/// The configuration as the unit names it.
const CONFIGURATION: &str = "/etc/vedette/vedette.yaml";

impl Commands<'_> {
    /// Reads the configuration and every file it names.
    pub(in crate::judge) fn check(&self) -> Command {
        Command::read(Id::Check, format!("sudo -u vedette vedette check {CONFIGURATION}"))
    }

    /// Probes everything once.
    pub(in crate::judge) fn probe(&self) -> Command {
        Command::read(Id::Probe, format!("sudo -u vedette vedette probe --once {CONFIGURATION}"))
    }

    /// The server's chain against the configured CA.
    pub(in crate::judge) fn server_against_ca(&self, subject: &Subject) -> Command {
        let (proxy, address) = (self.through(subject), self.address(subject));
        // openssl takes no proxy with TLS or SOCKS.
        let ask = if proxy.is_empty() {
            format!("openssl s_client -connect {address} -CAfile CA-FILE </dev/null 2>&1")
        } else {
            format!("curl -sv{proxy} --max-time 10 --cacert CA-FILE -o /dev/null https://{address}/version 2>&1")
        };
        Command::read(Id::ServerAgainstCa, format!("{ask} | grep -iE 'verif|subject|issuer'"))
            .note("the CA named in the configuration")
    }

    /// The client certificate in the configuration.
    pub(in crate::judge) fn own_certificate(&self) -> Command {
        self.file("CLIENT-CERTIFICATE", "-subject -issuer -enddate").note("the file named in the configuration")
    }

    /// The CA in the configuration.
    pub(in crate::judge) fn configured_ca(&self) -> Command {
        let line = "openssl x509 -noout -subject -enddate -fingerprint -sha256 -in CA-FILE";
        Command::read(Id::ConfiguredCa, line).note("the CA named in the configuration")
    }

    /// etcd's answer to the credential. With TLS 1.3 a certificate is refused after the handshake only, so a request
    /// has to be sent.
    pub(in crate::judge) fn etcd_as_vedette(&self, subject: &Subject) -> Command {
        let address = self.address(subject);
        Command::read(
            Id::EtcdAsVedette,
            format!(
                "curl -sv --max-time 10 --cacert CA-FILE --cert CLIENT-CERTIFICATE --key CLIENT-KEY https://{address}/health 2>&1 | grep -iE 'alert|verif|HTTP/'"
            ),
        )
    }

    /// Whom the apiserver takes vedette for.
    pub(in crate::judge) fn who_am_i(&self) -> Command {
        let command = Command::read(Id::WhoAmI, "kubectl --kubeconfig VEDETTE-KUBECONFIG auth whoami");
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
        Command::read(
            Id::KubeconfigCertificate,
            format!(
                "kubectl --kubeconfig {path} config view --raw -o jsonpath='{{.users[0].user.client-certificate-data}}' | base64 -d | openssl x509 -noout -subject -enddate"
            ),
        )
    }

    /// The certificate in a talosconfig.
    pub(in crate::judge) fn talos_certificate(&self, path: &str) -> Command {
        Command::read(Id::TalosCertificate, format!("talosctl --talosconfig {path} config info"))
    }

    /// A new talosconfig.
    pub(in crate::judge) fn talos_renew(&self) -> Command {
        let command = Command::change(Id::TalosRenew, "talosctl config new NEW-TALOSCONFIG --roles os:admin");
        command.note("with a talosconfig that still works")
    }

    /// A file with a token.
    pub(in crate::judge) fn token_file(&self, path: &str) -> Command {
        Command::read(Id::TokenFile, format!("ls -l {path}")).note("a bearer token: its exp has the date")
    }

    /// The rights on the way to a file.
    pub(in crate::judge) fn path_to(&self, path: &str) -> Command {
        Command::read(Id::FilePath, format!("namei -l {path}"))
    }
}
