use proptest::prelude::*;

use super::*;

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn object(namespace: &str, key: &str) -> Place {
    let [kind, namespace, name, key] = ["Secret", namespace, "api-tls", key].map(str::to_owned);
    Place::Object { cluster: "prod".parse().unwrap(), kind, namespace, name, key }
}

fn host(path: &str) -> Place {
    Place::Host { cluster: name("prod"), node: "node-1".into(), path: path.into() }
}

#[test]
fn each_kind_of_place_has_its_text_and_its_words() {
    let endpoint = |address: &str, server_name: &str| Place::Endpoint {
        subject: subject("prod/apiserver/api-1"),
        address: address.into(),
        server_name: server_name.into(),
    };
    for (place, text, words) in [
        (
            endpoint("10.0.0.1:6443", "kubernetes"),
            "endpoint:prod/apiserver/api-1@10.0.0.1:6443?name=kubernetes",
            "prod/apiserver/api-1",
        ),
        (endpoint("", ""), "endpoint:prod/apiserver/api-1", "prod/apiserver/api-1"),
        (
            endpoint("[2001:db8::1]:6443", "2001:db8::1"),
            "endpoint:prod/apiserver/api-1@[2001:db8::1]:6443?name=2001:db8::1",
            "prod/apiserver/api-1",
        ),
        (
            Place::file("/etc/kubernetes/pki/apiserver.crt"),
            "/etc/kubernetes/pki/apiserver.crt",
            "/etc/kubernetes/pki/apiserver.crt",
        ),
        (
            Place::File { path: "/etc/ssl/ca.pem".into(), entry: Some(3) },
            "/etc/ssl/ca.pem#3",
            "/etc/ssl/ca.pem (entry 3)",
        ),
        (Place::file("in the kubeconfig"), "in the kubeconfig", "in the kubeconfig"),
        (Place::file("/srv/a#3"), "file:/srv/a%233", "/srv/a#3"),
        (Place::file("host:odd"), "file:host:odd", "host:odd"),
        (
            object("kube-system", "tls.crt"),
            "object:prod/Secret/kube-system/api-tls#tls.crt",
            "Secret kube-system/api-tls (tls.crt) in cluster prod",
        ),
        (object("", ""), "object:prod/Secret//api-tls", "Secret api-tls in cluster prod"),
        (
            host("/var/lib/kubelet/pki/kubelet.crt"),
            "host:prod/node-1:/var/lib/kubelet/pki/kubelet.crt",
            "/var/lib/kubelet/pki/kubelet.crt on node node-1 of cluster prod",
        ),
    ] {
        assert_eq!(place.to_string(), text);
        assert_eq!(text.parse::<Place>(), Ok(place.clone()));
        assert_eq!(place.words(), words);
        assert_eq!(serde_json::to_string(&place).unwrap(), format!("\"{text}\""));
    }
}

#[test]
fn a_text_that_names_no_place_is_refused() {
    for text in [
        "endpoint:",
        "endpoint:a b",
        "endpoint:prod/vip@1%4",
        "object:prod/Secret/kube-system",
        "object:prod/Secret/kube-system/a/b",
        "host:prod",
        "host:prod/node-1",
        "file:/a%zz",
    ] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}

#[test]
fn what_an_older_version_wrote_is_read() {
    let read = |text: &str| serde_json::from_str::<Place>(text);

    assert_eq!(read(r#"{"served":"prod/vip"}"#).unwrap(), Place::served(subject("prod/vip")));
    assert_eq!(read(r#"{"file":"/srv/a#3"}"#).unwrap(), Place::file("/srv/a#3"));
    assert!(read(r#"{"odd":"/srv/a"}"#).is_err());
}

#[test]
fn endpoints_come_before_files_objects_and_hosts() {
    let in_order = [
        Place::served(subject("prod/vip")),
        Place::served(subject("prod/apiserver/api-1")),
        Place::file("/a"),
        Place::File { path: "/a".into(), entry: Some(1) },
        Place::file("/b"),
        object("default", "tls.crt"),
        object("kube-system", "ca.crt"),
        host("/a"),
        host("/b"),
    ];
    let mut sorted: Vec<Place> = in_order.iter().rev().cloned().collect();
    sorted.sort();

    assert_eq!(sorted, in_order);
}

#[test]
fn a_place_covers_itself_and_what_lies_in_it() {
    for (outer, inner) in [
        (Place::file("/etc/pki"), Place::file("/etc/pki/a.crt")),
        (Place::file("/etc/pki/a.crt"), Place::File { path: "/etc/pki/a.crt".into(), entry: Some(2) }),
        (object("default", ""), object("default", "tls.crt")),
        (host("/var/lib"), host("/var/lib/kubelet/pki")),
        (Place::served(subject("prod/vip")), Place::served(subject("prod/vip"))),
    ] {
        assert!(outer.covers(&inner) && outer.covers(&outer), "{outer} {inner}");
    }
    for (one, other) in [
        (Place::file("/etc/pki"), Place::file("/etc/pki-old/a.crt")),
        (Place::file("/etc/pki/a.crt"), Place::file("/etc/pki")),
        (Place::file("/var/lib"), host("/var/lib")),
        (object("default", "tls.crt"), object("default", "ca.crt")),
        (object("default", ""), object("kube-system", "")),
        (Place::served(subject("prod/vip")), Place::served(subject("prod/apiserver/api-1"))),
    ] {
        assert!(!one.covers(&other), "{one} {other}");
    }
}

fn places() -> impl Strategy<Value = Place> {
    let text = || "[ -~é]{0,12}";
    let cluster = || "[a-z][a-z0-9.:-]{0,8}".prop_map(|text| name(&text));
    prop_oneof![
        (cluster(), text(), text()).prop_map(|(cluster, address, server_name)| Place::Endpoint {
            subject: Subject::Cluster(cluster),
            address,
            server_name
        }),
        (text(), any::<Option<u32>>()).prop_map(|(path, entry)| Place::File { path, entry }),
        ("(endpoint|file|object|host):[a-z#0-9/%]{0,6}", any::<Option<u32>>())
            .prop_map(|(path, entry)| Place::File { path, entry }),
        (cluster(), text(), text(), text(), text()).prop_map(|(cluster, kind, namespace, name, key)| Place::Object {
            cluster,
            kind,
            namespace,
            name,
            key
        }),
        (cluster(), text(), text()).prop_map(|(cluster, node, path)| Place::Host { cluster, node, path }),
    ]
}

proptest! {
    #[test]
    fn every_place_reads_back_from_its_text(place in places()) {
        // The machine itself is no cluster, so its word is not the name of one.
        prop_assume!(!place.to_string().starts_with("endpoint:vantage"));

        prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
    }
}
