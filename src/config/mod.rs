//! The configuration: a file to [`settings`], with all errors reported together.
//!
//! The file is a tree ([`crate::parse::yaml`]) that one reader per section walks (`raw` knows its keys, the
//! sections their meaning). Complaints gather in [`problem`]; only at the end it is decided whether there are
//! settings. Nothing here dials or resolves anything, and no secret is kept: [`source`] reads each on use.

pub mod address;
pub mod blocking;
pub mod budget;
mod canaries;
mod cluster;
mod credentials;
pub mod duration;
pub mod environment;
mod etcd;
pub mod file_stamp;
pub mod files;
mod inventory;
mod key_pair;
mod kubeconfig;
pub mod last_good;
mod links;
pub mod load;
mod mail_and_heartbeat;
mod material;
pub mod problem;
pub mod proxy;
mod read_context;
mod scalar;
pub mod schema;
pub mod settings;
mod size;
pub mod source;
mod timing;
mod vantage;
pub mod web;
mod written_source;
mod yaml_tree;

#[cfg(test)]
mod tests {
    use super::{
        canaries, cluster, etcd, files, kubeconfig, links, load, mail_and_heartbeat, timing, vantage, written_source,
    };

    #[test]
    fn the_example_mentions_every_key() {
        let example = include_str!("../../config/vedette.example.yaml");
        let knobs = timing::KNOBS.map(|timing_key| timing_key.key);
        let sections: [&[&str]; 19] = [
            &canaries::KEYS,
            &canaries::WRITER_KEYS,
            &load::KEYS,
            &vantage::KEYS,
            &vantage::REFERENCE_KEYS,
            &mail_and_heartbeat::MAIL_KEYS,
            &mail_and_heartbeat::HEARTBEAT_KEYS,
            &links::KEYS,
            &written_source::SOURCE_KEYS,
            &cluster::KEYS,
            &cluster::CREDENTIALS_KEYS,
            &cluster::VIP_KEYS,
            &cluster::ENDPOINT_KEYS,
            &cluster::ETCD_KEYS,
            &files::KEYS,
            &etcd::MEMBER_KEYS,
            &etcd::LISTENER_KEYS,
            &kubeconfig::KEYS,
            &knobs,
        ];
        for key in sections.into_iter().flatten() {
            assert!(example.contains(&format!("{key}: ")) || example.contains(&format!("{key}:\n")), "{key}");
        }
    }
}
