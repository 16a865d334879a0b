//! What a usable configuration means: defaults, kubeconfigs, and the engine's view of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret as _;
use vedette::config::budget::Planned;
use vedette::config::environment::{Environment, Sources};
use vedette::config::settings::{Settings, Source};
use vedette::model::certificate::Class;
use vedette::model::policy::Policy;

use crate::config_errors::machine;

const MAIL: &str = "mail: { relay: smtp.example.com:587, from: vedette@example.com, to: [oncall@example.com] }\n";

#[test]
fn a_kubeconfig_gives_credentials_and_the_address_clients_use() {
    let folder = machine();
    let settings = load(
        "clusters: [{ name: prod, kubeconfig: { path: prod.kubeconfig }, vip: { failover: true } }]",
        folder.path(),
    );
    let cluster = &settings.clusters[0];
    let vip = cluster.vip.as_ref().unwrap();

    assert_eq!(
        (vip.address.to_string().as_str(), vip.server_name.to_string().as_str()),
        ("10.0.0.10:6443", "10.0.0.10")
    );
    assert!(cluster.vip_fails_over);
    let anchors = cluster.credentials.anchors.as_ref().unwrap().read().unwrap();
    assert!(anchors.expose_secret().starts_with(b"-----BEGIN CERTIFICATE-----"));
    assert!(cluster.credentials.client.is_some());
}

#[test]
fn a_key_of_another_certificate_is_warned_of_and_its_own_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    for name in ["one", "other"] {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        write(&format!("{name}.crt"), made.cert.pem());
        write(&format!("{name}.key"), made.signing_key.serialize_pem());
    }
    let environment = Environment {
        host_name: "bastion".to_owned(),
        state_directory: None,
        resolvers: Vec::new(),
        sources: Sources::Examined,
    };
    let mixed_up = |key: &str| {
        let text = format!(
            "{MAIL}clusters: [{{ name: prod, vip: {{ address: '10.0.0.10:6443' }}, credentials: {{ ca: {{ file: one.crt }}, \
             client_certificate: {{ file: one.crt }}, client_key: {{ file: {key} }} }} }}]"
        );
        let (_, warnings) = Settings::from_text(&text, &folder.path().join("vedette.yaml"), &environment).unwrap();
        warnings
            .iter()
            .any(|warning| warning.to_string().contains("the client key is not that of the client certificate"))
    };

    assert!(!mixed_up("one.key"));
    assert!(mixed_up("other.key"));
}

#[test]
fn a_written_address_goes_before_the_kubeconfigs() {
    let folder = machine();
    let settings = load(
        "clusters: [{ name: prod, kubeconfig: { path: path.kubeconfig }, vip: { address: 'api.example.com:443' } }]",
        folder.path(),
    );
    let vip = settings.clusters[0].vip.as_ref().unwrap();

    assert_eq!(vip.server_name.to_string(), "api.example.com");
}

#[test]
fn a_kubeconfig_that_points_at_an_instance_names_no_vip() {
    let folder = machine();
    let settings = load(
        "clusters: [{ name: prod, kubeconfig: { path: prod.kubeconfig }, \
            apiservers: [{ name: api-1, address: '10.0.0.10:6443' }] }]",
        folder.path(),
    );

    assert!(settings.clusters[0].vip.is_none());
}

#[test]
fn files_of_a_kubeconfig_start_at_its_own_folder() {
    let folder = machine();
    let moved = folder.path().join("folder/files.kubeconfig");
    let text = std::fs::read_to_string(folder.path().join("files.kubeconfig")).unwrap();
    std::fs::write(moved, text.replace("client.crt", "../client.crt").replace("open.key", "../client.key")).unwrap();
    let settings = load("clusters: [{ name: prod, kubeconfig: { path: folder/files.kubeconfig } }]", folder.path());

    let client = settings.clusters[0].credentials.client.as_ref().unwrap();
    assert!(matches!(&client.key, Source::File(path) if *path == folder.path().join("folder/../client.key")));
}

#[test]
fn a_plugin_is_kept_only_when_it_may_run_and_one_that_is_not_there_is_told() {
    let folder = machine();
    let written = std::fs::read_to_string(folder.path().join("exec.kubeconfig")).unwrap();
    for (command, warning) in [("sh", None), ("./corp-login", Some("corp-login is not there"))] {
        std::fs::write(folder.path().join("exec.kubeconfig"), written.replace("aws", command)).unwrap();
        let text =
            format!("{MAIL}clusters: [{{ name: prod, kubeconfig: {{ path: exec.kubeconfig, allow_exec: true }} }}]");

        let (settings, warnings) =
            Settings::from_text(&text, &folder.path().join("vedette.yaml"), &environment()).unwrap();

        let plugin = settings.clusters[0].credentials.exec.as_ref().unwrap();
        assert!(plugin.command.ends_with(command.trim_start_matches("./")), "{:?}", plugin.command);
        assert_eq!(plugin.args.join(" "), "eks get-token");
        let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), usize::from(warning.is_some()), "{said:?}");
        assert!(warning.is_none_or(|warning| said[0].contains(warning)), "{said:?}");
    }
}

#[test]
fn even_and_missing_members_are_no_mistake() {
    let folder = machine();
    let settings = load(
        "clusters: [{ name: prod, etcd: [{ name: main, ca: { file: ca.pem }, members: [] }, { name: events, \
            ca: { file: ca.pem }, members: [{ name: a, address: '10.0.0.1:1' }, { name: b, address: '10.0.0.2:1' }] }] }]",
        folder.path(),
    );

    let members: Vec<usize> =
        settings.inventory().clusters.values().flat_map(|c| c.etcds.values()).map(|e| e.members.len()).collect();
    assert_eq!(members, [2, 0]);
}

#[test]
fn references_are_the_listed_the_relay_and_the_resolvers_as_far_as_remote() {
    let cluster = "clusters: [{ name: prod, etcd: [{ name: main, ca: { file: ca.pem }, members: [] }] }]\n";
    let folder = machine();
    let references = |text: &str| {
        let settings = load(&format!("{cluster}{text}"), folder.path());
        settings.inventory().references.iter().map(|r| format!("{}={}", r.name, r.address)).collect::<Vec<_>>()
    };

    assert_eq!(references(""), ["relay=smtp.example.com:587", "10.0.0.53:53=10.0.0.53:53"]);
    assert_eq!(references("vantage: { resolvers: ['127.0.0.53:53'] }"), ["relay=smtp.example.com:587"]);
    assert_eq!(
        references("vantage: { resolvers: [], references: [{ name: mx, address: 'smtp.example.com:587' }] }"),
        ["mx=smtp.example.com:587"]
    );
}

#[test]
fn the_store_lies_where_systemd_says() {
    let text = format!("{MAIL}clusters: [{{ name: a, kubeconfig: {{ path: x }} }}]");
    let store = |state_directory: Option<&str>| {
        let environment = Environment {
            state_directory: state_directory.map(Into::into),
            sources: Sources::Untouched,
            ..environment()
        };
        Settings::from_text(&text, Path::new("vedette.yaml"), &environment).unwrap().0.vantage.store
    };

    assert_eq!(store(None), Path::new("/var/lib/vedette/vedette.db"));
    assert_eq!(store(Some("/run/x")), Path::new("/run/x/vedette.db"));
}

#[test]
fn the_default_timing_keeps_every_promise_of_load() {
    let folder = machine();
    for (apiservers, members) in (0..8).flat_map(|a| (0..8).map(move |m| (a, m))) {
        let list = |n: usize, net: u8| {
            (0..n).map(|i| format!("{{ name: n{i}, address: '10.{net}.0.{i}:1' }}")).collect::<Vec<_>>().join(", ")
        };
        let settings = load(
            &format!(
                "clusters: [{{ name: prod, credentials: {{ ca: {{ file: ca.pem }} }}, vip: {{ address: 'vip:1' }}, \
                    apiservers: [{}], etcd: [{{ name: main, ca: {{ file: ca.pem }}, members: [{}] }}] }}]",
                list(apiservers, 1),
                list(members, 2)
            ),
            folder.path(),
        );

        let planned = Planned::new(&settings.clusters[0], &Policy::default());
        assert!(planned.apiservers <= planned.apiservers_goal, "{apiservers}: {planned:?}");
        assert!(planned.etcd <= planned.etcd_goal + 1e-9, "{members}: {planned:?}");
    }
}

#[test]
fn who_renews_certificates_is_inherited_until_it_is_said_anew() {
    let folder = machine();
    let settings = load(
        "clusters:\n\
         - name: prod\n  kubeconfig: { path: prod.kubeconfig }\n  certificates: restart\n\
         \x20 apiservers:\n\
         \x20 - { name: api-1, address: '10.0.0.11:6443' }\n\
         \x20 - { name: api-2, address: '10.0.0.12:6443', certificates: manual }\n\
         \x20 etcd:\n\
         \x20 - { name: a, ca: { file: ca.pem }, members: [{ name: m, address: 'a:1' }] }\n\
         \x20 - { name: b, ca: { file: ca.pem }, certificates: automatic, members: [{ name: m, address: 'b:1' }] }\n\
         - { name: plain, kubeconfig: { path: prod.kubeconfig } }\n\
         - { name: own, kubeconfig: { path: prod.kubeconfig }, vip: { certificates: automatic } }",
        folder.path(),
    );

    let inventory = settings.inventory();
    let class = |subject: &str| inventory.endpoint(&subject.parse().unwrap()).unwrap().certificates;
    for (subject, renewed) in [
        ("prod/vip", Class::Restart),
        ("prod/apiserver/api-1", Class::Restart),
        ("prod/apiserver/api-2", Class::Manual),
        ("prod/etcd/a/m", Class::Restart),
        ("prod/etcd/b/m", Class::Automatic),
        ("plain/vip", Class::Manual),
        ("own/vip", Class::Automatic),
    ] {
        assert_eq!(class(subject), renewed, "{subject}");
    }
}

#[test]
fn commands_get_to_know_which_files_the_configuration_names() {
    let folder = machine();
    let settings = load(
        "clusters:\n\
         - name: prod\n  kubeconfig: { path: prod.kubeconfig }\n\
         \x20 vip: { address: '10.0.0.10:6443', server_name: api.example }\n\
         \x20 etcd:\n\
         \x20 - { name: main, ca: { file: ca.pem }, members: [{ name: m, address: 'a:1' }] }",
        folder.path(),
    );
    let here = |name: &str| Some(folder.path().join(name).display().to_string());

    let named = settings.inventory().named(Some(&"prod".parse().unwrap()));

    assert_eq!(named.configuration, here("vedette.yaml"));
    assert_eq!(named.apiservers.kubeconfig, here("prod.kubeconfig"));
    assert_eq!(named.apiservers.ca, None, "it is inside the kubeconfig");
    assert_eq!(named.etcds[&"main".parse().unwrap()].ca, here("ca.pem"));
    let expected: Vec<(String, &str)> =
        named.server_names.iter().map(|(subject, name)| (subject.to_string(), name.as_str())).collect();
    assert_eq!(expected, [("prod/vip".to_owned(), "api.example")]);
    assert_eq!(settings.inventory().named(None).configuration, here("vedette.yaml"));
}

/// The settings of a configuration with nothing to complain about.
fn load(text: &str, folder: &Path) -> Settings {
    let result = Settings::from_text(&format!("{MAIL}{text}"), &folder.join("vedette.yaml"), &environment());
    match result {
        Ok((settings, warnings)) if warnings.is_empty() => settings,
        Ok((_, problems)) | Err(problems) => {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn environment() -> Environment {
    Environment {
        host_name: "bastion".to_owned(),
        state_directory: None,
        resolvers: vec!["10.0.0.53:53".parse().unwrap()],
        sources: Sources::Examined,
    }
}
