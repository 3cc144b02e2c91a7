//! What can be seen of a store from outside.

use crate::common::{Cluster, apply, create, delete, put, write};
use prometheus::Registry;
use store::{Store, StoreConfig};

/// The value of a gauge or counter; of one label value, when there are several.
fn value(registry: &Registry, name: &str, label: Option<&str>) -> Option<f64> {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    let fits = |metric: &&prometheus::proto::Metric| {
        label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label))
    };
    let metric = family.get_metric().iter().find(fits)?;
    Some(metric.get_gauge().get_value() + metric.get_counter().get_value())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_counted_by_kind_also_after_a_restart() {
    let mut cluster = Cluster::empty();
    cluster.addrs.push(crate::common::free_port());
    let mut registry = Registry::new();
    let open = async |cluster: &Cluster, registry: &Registry| {
        Store::open(StoreConfig { registry: registry.clone(), ..cluster.config(0) }).await.expect("opens")
    };
    let mut store = open(&cluster, &registry).await;
    store.init_cluster().await.expect("a cluster");
    for (key, data) in [("/core/pods/a/1", "x"), ("/core/pods/a/2", "x"), ("/apps/deployments/a/1", "x")] {
        apply(&store, create(key, data)).await.expect("written");
    }
    apply(&store, write(put("/core/pods/a/1", &"y".repeat(1_000)))).await.expect("written");
    apply(&store, delete("/core/pods/a/2")).await.expect("deleted");
    for _ in 0..2 {
        let kind = |name: &str, kind: &str| value(&registry, name, Some(kind)).expect(kind);
        assert_eq!(kind("trireme_store_kind_objects", "core/pods"), 1.0);
        assert_eq!(kind("trireme_store_kind_objects", "apps/deployments"), 1.0);
        let (pods, deployments) = (
            kind("trireme_store_kind_bytes", "core/pods"),
            kind("trireme_store_kind_bytes", "apps/deployments"),
        );
        assert!(pods > 1_000.0 && deployments < 1_000.0, "{pods} {deployments}");
        let all = value(&registry, "etcd_mvcc_db_total_size_in_use_in_bytes", None).expect("a sum");
        assert_eq!(pods + deployments, all);
        assert_eq!(value(&registry, "trireme_store_history_revisions", None), Some(5.0));
        assert_eq!(value(&registry, "trireme_store_voters", None), Some(1.0));
        store.kill().await;
        registry = Registry::new();
        store = open(&cluster, &registry).await;
        crate::common::linearizable(&store).await;
    }
    store.kill().await;
}
