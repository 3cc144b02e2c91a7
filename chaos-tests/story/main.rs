//! The main job, end to end: real processes, the real kubectl, real containers, a kill -9.
//!
//! One cluster of three servers and two nodes is made by `trireme up`; each step of the story is a file.
//! It needs root. What else it needs (kubectl, a registry, a static busybox) it installs itself.

mod admin;
mod clients;
mod cluster;
mod containers;
mod errors;
mod failover;
mod hello;
mod images;
mod kubectl;
mod network;
mod nodes;
mod oci;
mod tools;
mod verbs;
mod writer;

use std::time::Instant;

use cluster::Cluster;

/// A step of the story: what it shows, and how.
type Step = (&'static str, fn(&Cluster));

const STORY: &[Step] = &[
    ("wrong use is refused with what to do", errors::wrong_use),
    ("hello: apply, roll out, look at it", hello::apply_and_look),
    ("bad manifests are refused by name", errors::bad_manifests),
    ("services: cluster IP, node port, DNS", network::services),
    ("images: import, pull, a missing one", images::import_and_pull),
    ("exec, logs, cp, port-forward, attach", containers::streams),
    ("a killed container is restarted", containers::restarts),
    ("pod features: init, probes, volumes, env", containers::features),
    ("every verb of kubectl", verbs::all),
    ("the official Python client", clients::python),
    ("kill -9 the leading server", failover::leader),
    ("kill -9 an agent: it adopts its containers", failover::agent),
    ("remove a node: its pods come back", nodes::remove),
    ("up repairs what was killed", failover::up_repairs),
    ("admin: members and snapshots", admin::members_and_snapshots),
    ("a server that lost its data gets its seat back", admin::lost_folder),
    ("two of three servers lost for good: recover", admin::lost_quorum),
];

#[test]
fn the_main_job() {
    let cluster = Cluster::up();
    for (what, step) in STORY {
        let begun = Instant::now();
        println!("--- {what}");
        step(&cluster);
        println!("    ok, {:.1} s", begun.elapsed().as_secs_f64());
    }
    cluster.down_leaves_no_trace();
}
