//! The committed client of etcd's interface is exactly what its description generates.

use std::path::Path;

#[test]
fn the_generated_client_equals_its_description() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/collect/etcd");
    let scratch = tempfile::tempdir().unwrap();
    let description = protox::compile(["rpc.proto"], [&folder]).unwrap();

    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(scratch.path())
        .compile_fds(description)
        .unwrap();

    let fresh = std::fs::read_to_string(scratch.path().join("etcdserverpb.rs")).unwrap();
    let committed = folder.join("rpc.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&committed, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&committed).unwrap_or_default() == fresh,
        "src/collect/etcd/rpc.rs differs from what rpc.proto generates; run UPDATE=1 cargo test --test it rpc_in_sync"
    );
}
