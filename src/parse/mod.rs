//! Bytes from elsewhere to values: pure, bounded, total. What is wrong comes back beside what could be read.
//!
//! Nothing here opens, dials, knows a path's meaning or asks for the time. What comes from a peer is shortened and
//! escaped, so that it can go on a screen or into a mail as it is.

pub mod answer_origin;
pub mod apiserver_page;
pub mod canary;
pub mod certificate_files;
mod der;
pub mod diagnostic;
pub(crate) mod error_output;
pub mod etcd;
pub mod etcd_page;
pub mod exposition;
pub mod flow_control;
pub mod health;
pub(crate) mod invisible;
pub mod java_keystore;
pub mod jwt;
pub mod kubeadm;
pub mod kubeconfig;
mod line_buffer;
pub mod pem;
pub mod pkcs12;
pub mod pkcs7;
mod sanitize;
mod talosconfig;
pub mod text;
pub mod tls_certificates;
pub mod version;
pub mod x509;
pub mod yaml;
pub mod zpages;
