//! Every verb of kubectl that a user of the example needs.

use crate::cluster::Cluster;

pub fn all(cluster: &Cluster) {
    scale(cluster);
    set_image_and_undo(cluster);
    edit(cluster);
    label_and_annotate(cluster);
    patches(cluster);
    server_side_apply(cluster);
    watch_and_delete(cluster);
    explain_and_discover(cluster);
    permissions(cluster);
    custom_resources(cluster);
    metrics_and_health(cluster);
}

fn scale(cluster: &Cluster) {
    cluster.k("-n hello scale deploy/hello --replicas=5");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    assert_eq!(cluster.field("deploy/hello -n hello", ".status.readyReplicas"), "5");
    cluster.k("-n hello scale deploy/hello --replicas=3");
    cluster.k_until("-n hello get pods -l app=hello --no-headers", |shown| shown.lines().count() == 3);
}

fn set_image_and_undo(cluster: &Cluster) {
    let before = cluster.field("deploy/hello -n hello", ".spec.template.spec.containers[0].image");
    cluster.k("-n hello set image deploy/hello hello=trireme/hello:missing");
    cluster.k_until("-n hello get pods -l app=hello", |shown| {
        shown.contains("ErrImagePull")
            || shown.contains("ImagePullBackOff")
            || shown.contains("ErrImageNeverPull")
    });
    let available: u32 =
        cluster.field("deploy/hello -n hello", ".status.availableReplicas").parse().expect("a number");
    assert!(available >= 2, "a bad image took the service down to {available}");
    cluster.k("-n hello rollout undo deploy/hello");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    assert_eq!(cluster.field("deploy/hello -n hello", ".spec.template.spec.containers[0].image"), before);
    let history = cluster.k("-n hello rollout history deploy/hello");
    assert!(history.contains('3'), "{history}");
    cluster.k("-n hello rollout restart deploy/hello");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
}

fn edit(cluster: &Cluster) {
    let mut command = cluster.kubectl(&["-n", "hello", "edit", "configmap", "hello"]);
    command.env("KUBE_EDITOR", "sed -i s/Rowed/Still_rowed/");
    let output = command.output().expect("kubectl runs");
    assert!(output.status.success(), "{}", crate::cluster::text(&output));
    assert!(cluster.k("-n hello get configmap hello -o yaml").contains("Still_rowed"));
}

fn label_and_annotate(cluster: &Cluster) {
    cluster.k("-n hello label configmap hello tier=front");
    let refused = cluster.k_fails("-n hello label configmap hello tier=back");
    assert!(refused.contains("already has a value"), "{refused}");
    cluster.k("-n hello annotate configmap hello 'note=two words'");
    let listed = cluster.k("-n hello get configmaps -l tier=front -o name");
    assert_eq!(listed.trim(), "configmap/hello");
    assert_eq!(cluster.k("-n hello get configmaps -l tier!=front,tier -o name").trim(), "");
    cluster.k("-n hello label configmap hello tier-");
    let bad = cluster.k_fails("-n hello label configmap hello 'tier=not a label'");
    assert!(bad.contains("a valid label must be"), "{bad}");
}

fn patches(cluster: &Cluster) {
    cluster.k("-n hello patch configmap hello --type merge -p {\"data\":{\"a\":\"1\"}}");
    cluster.k("-n hello patch configmap hello --type json -p [{\"op\":\"add\",\"path\":\"/data/b\",\"value\":\"2\"}]");
    cluster.k("-n hello patch deploy hello --type strategic -p {\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"hello\",\"env\":[{\"name\":\"EXTRA\",\"value\":\"x\"}]}]}}}}");
    let shown = cluster.k("-n hello get configmap hello -o jsonpath={.data.a}{.data.b}");
    assert_eq!(shown, "12");
    let names = cluster.field("deploy/hello -n hello", ".spec.template.spec.containers[0].env[*].name");
    assert!(names.contains("EXTRA") && names.contains("POD_NAME"), "merged by name: {names}");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
}

fn server_side_apply(cluster: &Cluster) {
    let manifest = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: owned, namespace: hello}}\ndata: {{key: {value}}}\n"
        )
    };
    cluster.k_with_input("apply --server-side --field-manager=one -f -", &manifest("first"));
    let conflict =
        cluster.try_k_with_input("apply --server-side --field-manager=two -f -", &manifest("second"));
    let said = crate::cluster::text(&conflict);
    assert!(!conflict.status.success() && said.contains("conflict") && said.contains("\"one\""), "{said}");
    cluster
        .k_with_input("apply --server-side --field-manager=two --force-conflicts -f -", &manifest("second"));
    assert_eq!(cluster.field("configmap/owned -n hello", ".data.key"), "second");
}

fn watch_and_delete(cluster: &Cluster) {
    let watch = cluster.k_follow("-n hello get configmaps -w");
    watch.wait_for(|line| line.contains("kube-root-ca.crt"));
    cluster.k("-n hello create configmap seen --from-literal=x=y");
    watch.wait_for(|line| line.starts_with("seen"));
    cluster.k("-n hello delete configmap seen");
    let gone = cluster.k_fails("-n hello get configmap seen");
    assert!(gone.contains("configmaps \"seen\" not found"), "{gone}");
    cluster.k("create namespace short");
    cluster.k("-n short create deployment d --image=trireme/hello");
    cluster.k("-n short wait --for=condition=Available deploy/d --timeout=60s");
    cluster.k("delete namespace short --wait=true --timeout=60s");
    assert!(cluster.k_fails("get namespace short").contains("not found"));
}

fn explain_and_discover(cluster: &Cluster) {
    let explained = cluster.k("explain deployment.spec.strategy");
    assert!(explained.contains("rollingUpdate") && explained.contains("KIND:"), "{explained}");
    let resources = cluster.k("api-resources");
    for expected in
        ["deployments", "endpointslices", "customresourcedefinitions", "flowschemas", "deviceclasses"]
    {
        assert!(resources.contains(expected), "no {expected} in\n{resources}");
    }
    assert!(cluster.k("api-versions").contains("apps/v1"));
    let version = cluster.k("version");
    assert!(version.contains("v1.36") || version.contains("Minor:\"36"), "{version}");
    assert!(cluster.k("get --raw /version").contains("v1.36"));
}

fn permissions(cluster: &Cluster) {
    cluster.k("-n hello create serviceaccount reader");
    let may = |who: &str, what: &str| {
        let output = cluster.try_k(&format!("auth can-i {what} --as={who} -n hello"));
        crate::cluster::text(&output).trim().ends_with("yes")
    };
    let reader = "system:serviceaccount:hello:reader";
    assert!(!may(reader, "list pods"));
    cluster.k("-n hello create rolebinding readers --clusterrole=view --serviceaccount=hello:reader");
    assert!(may(reader, "list pods") && !may(reader, "delete pods") && !may(reader, "get secrets"));
    let refused = cluster.k_fails(&format!("-n hello delete configmap hello --as={reader}"));
    assert!(
        refused.contains("Forbidden") && refused.contains("cannot delete resource \"configmaps\""),
        "{refused}"
    );
    assert!(
        may("system:admin-of-nothing", "create selfsubjectaccessreviews") || !may("nobody", "list secrets")
    );
}

fn custom_resources(cluster: &Cluster) {
    cluster.apply(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: boats.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt]}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    additionalPrinterColumns: [{name: Oars, type: integer, jsonPath: .spec.oars}]\n    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, required: [oars], properties: {oars: {type: integer, minimum: 1}}}}}}\n",
    );
    cluster.k("wait --for=condition=Established crd/boats.example.com --timeout=30s");
    let boat = |oars: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Boat\nmetadata: {{name: b, namespace: hello}}\nspec: {{oars: {oars}}}\n"
        )
    };
    cluster.k_until("get boats -A", |_| true);
    cluster.apply(&boat("170"));
    assert!(cluster.k("-n hello get bt").contains("170"));
    let refused = cluster.try_k_with_input("apply -f -", &boat("0"));
    assert!(
        crate::cluster::text(&refused).contains("should be greater than or equal to 1"),
        "{}",
        crate::cluster::text(&refused)
    );
    cluster.k("delete crd boats.example.com --wait=true --timeout=60s");
}

fn metrics_and_health(cluster: &Cluster) {
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(cluster.k(&format!("get --raw {path}")), "ok");
    }
    assert!(cluster.k("get --raw /readyz?verbose").contains("[+]ping ok"));
    let metrics = cluster.k("get --raw /metrics");
    for expected in ["apiserver_request_total", "apiserver_request_duration_seconds_bucket", "trireme_store_"]
    {
        assert!(metrics.contains(expected), "no {expected} at /metrics");
    }
    let node = cluster.k("get --raw /api/v1/nodes/node-1/proxy/metrics");
    assert!(node.contains("kubelet_running_pods"), "no kubelet_running_pods at the node's /metrics");
    assert_eq!(cluster.k("get --raw /api/v1/nodes/node-1/proxy/healthz"), "ok");
}
