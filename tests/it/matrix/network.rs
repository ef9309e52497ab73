//! Networks, addresses, names and ports.

use serde_json::json;

use super::frame::{Matrix, engine};

#[test]
fn networks_addresses_and_ports_come_back_as_they_were() {
    let mut m = Matrix::new();
    // Subnets and ports that no other test uses.
    let fixed = m.bench.network(
        "fixed",
        &[
            "--subnet",
            "10.213.0.0/24",
            "--ip-range",
            "10.213.0.128/25",
            "--gateway",
            "10.213.0.1",
            "--aux-address",
            "router=10.213.0.2",
            "--ipv6",
            "--subnet",
            "fd00:213::/64",
            "-o",
            "com.docker.network.bridge.name=monkey213",
            "-o",
            "com.docker.network.driver.mtu=1400",
            "--label",
            "empty=",
        ],
    );
    let inner = m.bench.network("inner", &["--internal", "--attachable", "--subnet", "10.213.1.0/24"]);
    let pool = m.bench.network("pool", &[]);
    let gone = m.bench.network("gone", &["--subnet", "10.213.2.0/24"]);

    m.run(
        "static",
        &[
            "--network",
            &fixed,
            "--ip",
            "10.213.0.77",
            "--ip6",
            "fd00:213::77",
            "--network-alias",
            "db",
            "--network-alias",
            "base",
        ],
        &[],
    );
    let several =
        m.run("several", &["--network", &pool, "--network-alias", "pool-name", "-h", "several-host"], &[]);
    m.bench.docker(&["network", "connect", "--ip", "10.213.1.9", "--alias", "inner-name", &inner, &several]);
    m.bench.docker(&["network", "connect", "--ip", "10.213.0.78", "--driver-opt", "a=b", &fixed, &several]);
    let left = m.run("left-its-own", &["--network", &gone], &[]);
    m.bench.docker(&["network", "connect", &pool, &left]);
    m.bench.docker(&["network", "disconnect", &gone, &left]);
    let nowhere = m.run("nowhere", &["--network", &gone], &[]);
    m.bench.docker(&["network", "disconnect", &gone, &nowhere]);
    let also = m.api("bridge-and-more", json!({ "MacAddress": "02:42:ac:11:aa:01" }));
    m.bench.docker(&["network", "connect", "--alias", "more", &pool, &also]);
    m.run("host", &["--network", "host"], &[]);
    m.run("none", &["--network", "none"], &[]);
    let parent = m.run("parent", &["-p", "127.0.0.1:23130:80"], &[]);
    let through = format!("container:{parent}");
    m.run("through-parent", &["--network", &through], &[]);
    let link = format!("{parent}:web");
    let other = format!("{parent}:other");
    m.run("linked", &["--link", &link, "--link", &other], &[]);
    let pool_link = format!("{several}:friend");
    m.run("linked-on-network", &["--network", &pool, "--link", &pool_link], &[]);
    m.run(
        "ports",
        &[
            "-p",
            "127.0.0.1:23100:80",
            "-p",
            "127.0.0.2:23101:80",
            "-p",
            "[::1]:23102:80",
            "-p",
            "23103-23105:7003-7005",
            "-p",
            "23106-23109:8000",
            "-p",
            "23110:53/udp",
            "-p",
            "127.0.0.1:23110:53/tcp",
            "-p",
            "90",
            "-p",
            "127.0.0.1::91",
            "--expose",
            "1000-1002",
        ],
        &[],
    );
    m.run("all-ports", &["-P", "--expose", "80", "--expose", "81/udp"], &[]);
    m.create("ports-later", &["-p", "23120:80", "-p", "81"], &[]);
    // The command line of a later version refuses this with an early engine.
    m.api(
        "own-mac",
        json!({ "MacAddress": "02:42:0a:d5:00:4d", "HostConfig": { "NetworkMode": &fixed },
            "NetworkingConfig": { "EndpointsConfig": { &fixed: { "IPAMConfig": { "IPv4Address": "10.213.0.79" } } } } }),
    );
    // As Portainer does: the network by id, bindings of nothing.
    let id = m.bench.docker(&["network", "inspect", "-f", "{{.Id}}", &pool]);
    m.api(
        "network-by-id",
        json!({ "ExposedPorts": { "80/tcp": {}, "81/tcp": {} },
            "HostConfig": { "NetworkMode": id, "PortBindings": { "80/tcp": [{}], "81/tcp": [] } },
            "NetworkingConfig": { "EndpointsConfig": { &pool: { "Aliases": ["by-id"] } } } }),
    );
    assert_eq!(engine("GET", &format!("/networks/{gone}"), &json!(null)).0, 200);
    m.round_trip(|_| {});
}
