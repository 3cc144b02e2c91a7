//! What clients are warned about, with Kubernetes' words.

use api::pipeline;

use crate::{create, create_warned, resource, yaml};

/// A kind, a body, and the warnings, in any order.
type Row = (&'static str, &'static str, &'static [&'static str]);

const POD: &str = "/v1/pods";
const DEPLOYMENT: &str = "apps/v1/deployments";
const SERVICE: &str = "/v1/services";

const ROWS: &[Row] = &[
    (
        POD,
        "{metadata: {name: a.b, annotations: {scheduler.alpha.kubernetes.io/critical-pod: '', seccomp.security.alpha.kubernetes.io/pod: x, container.apparmor.security.beta.kubernetes.io/c: runtime/default}}, spec: {containers: [{name: c, image: i}], nodeSelector: {beta.kubernetes.io/os: linux}, hostAliases: [{ip: 1.1.1.1}, {ip: 1.1.1.1}], imagePullSecrets: [{name: s}, {name: s}, {}]}}",
        &[
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead",
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.hostAliases[1].ip: duplicate ip \"1.1.1.1\"",
            "spec.imagePullSecrets[1].name: duplicate name \"s\"",
            "spec.imagePullSecrets[2].name: invalid empty name \"\"",
        ],
    ),
    (
        POD,
        "{metadata: {name: p}, spec: {terminationGracePeriodSeconds: -1, overhead: {}, containers: [{name: c, image: i, env: [{name: A, value: a}, {name: A, value: b}, {name: A, value: $(A)c}], resources: {limits: {memory: 1500m}}, ports: [{containerPort: 1, name: x}, {containerPort: 1, hostPort: 2}]}, {name: d, image: i, ports: [{containerPort: 1, hostPort: 2, hostIP: 1.1.1.1}, {containerPort: 3, name: x}]}]}}",
        &[
            "spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: dangerously ambiguous port definition with spec.containers[0].ports[1]",
            "spec.containers[1].ports[1]: duplicate port name \"x\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    ),
    (
        POD,
        "{metadata: {name: p}, spec: {containers: [{name: c, image: i}], dnsPolicy: None, dnsConfig: {nameservers: ['::ffff:1.2.3.4', '2001:DB8::1']}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: failure-domain.beta.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}], affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: beta.kubernetes.io/arch, operator: In, values: [a b]}]}}]}, podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: k}}]}}}}",
        &[
            "spec.dnsConfig.nameservers[0]: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"",
            "spec.dnsConfig.nameservers[1]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]: a b is invalid, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
        ],
    ),
    (
        POD,
        "{metadata: {name: p}, spec: {containers: [{name: c, image: i}], volumes: [{name: v, rbd: {monitors: [m], image: i}}, {name: w, configMap: {name: m, items: [{key: a, path: x}, {key: b, path: x/y}]}}, {name: q, projected: {sources: [{secret: {name: s, items: [{key: a, path: z}]}}, {downwardAPI: {items: [{path: z/y, fieldRef: {fieldPath: metadata.name}}]}}]}}]}}",
        &[
            "spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
            "volume \"w\" (ConfigMap \"m\"): overlapping paths: \"x/y\" with \"x\"",
            "volume \"q\" (Projected): overlapping paths: \"z/y\" (DownwardAPI) with \"z\" (Secret \"s\")",
        ],
    ),
    (
        DEPLOYMENT,
        "{metadata: {name: a.b}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}, annotations: {container.apparmor.security.beta.kubernetes.io/c: runtime/default}}, spec: {containers: [{name: c, image: i}], nodeSelector: {node-role.kubernetes.io/master: ''}}}}}",
        &[
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the \"appArmorProfile\" field instead",
            "spec.template.spec.nodeSelector[node-role.kubernetes.io/master]: use \"node-role.kubernetes.io/control-plane\" instead",
        ],
    ),
    (
        "apps/v1/statefulsets",
        "{metadata: {name: s}, spec: {revisionHistoryLimit: -1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}, volumeClaimTemplates: [{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1500m}}}}]}}",
        &[
            "spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
        ],
    ),
    (
        "batch/v1/jobs",
        "{metadata: {name: j}, spec: {completions: 100001, parallelism: 10001, completionMode: Indexed, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}",
        &[
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        ],
    ),
    (
        "/v1/persistentvolumes",
        "{metadata: {name: v, annotations: {volume.beta.kubernetes.io/storage-class: c, volume.beta.kubernetes.io/mount-options: o}}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, persistentVolumeReclaimPolicy: Recycle, cephfs: {monitors: [m]}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: beta.kubernetes.io/os, operator: Exists}]}]}}}}",
        &[
            "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
            "metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use \"mountOptions\" attribute instead",
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
        ],
    ),
    (
        "/v1/persistentvolumeclaims",
        "{metadata: {name: c, annotations: {volume.beta.kubernetes.io/storage-class: c}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1500m}}}}",
        &[
            "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
            "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
        ],
    ),
    (
        "storage.k8s.io/v1/storageclasses",
        "{metadata: {name: c}, provisioner: p, allowedTopologies: [{matchLabelExpressions: [{key: failure-domain.beta.kubernetes.io/zone, values: [a]}]}]}",
        &[
            "allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        ],
    ),
    (
        "storage.k8s.io/v1/csistoragecapacities",
        "{metadata: {name: c}, storageClassName: s, nodeTopology: {matchLabels: {beta.kubernetes.io/os: l}}}",
        &[
            "nodeTopology.matchLabels.beta.kubernetes.io/os: deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ],
    ),
    (
        "storage.k8s.io/v1/csidrivers",
        "{metadata: {name: d}, spec: {tokenRequests: [{audience: a}]}}",
        &[
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes",
        ],
    ),
    (
        "node.k8s.io/v1/runtimeclasses",
        "{metadata: {name: r}, handler: h, scheduling: {nodeSelector: {beta.kubernetes.io/os: l}}}",
        &["scheduling.nodeSelector: deprecated since v1.14; use \"kubernetes.io/os\" instead"],
    ),
    (
        SERVICE,
        "{metadata: {name: s, annotations: {service.kubernetes.io/topology-aware-hints: auto}}, spec: {clusterIP: None, sessionAffinity: ClientIP, externalIPs: [2001:DB8::1], externalName: x, trafficDistribution: PreferClose, ports: [{port: 80}]}}",
        &[
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead",
            "spec.externalIPs is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services",
            "spec.externalIPs[0]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
        ],
    ),
    (
        SERVICE,
        "{metadata: {name: s}, spec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1/8], externalIPs: [1.2.3.4], ports: [{port: 80}]}}",
        &[
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
        ],
    ),
    (
        "discovery.k8s.io/v1/endpointslices",
        "{metadata: {name: e}, addressType: FQDN, endpoints: [{addresses: [a.example.com]}]}",
        &["spec.addressType: FQDN endpoints are deprecated"],
    ),
    (
        "networking.k8s.io/v1/networkpolicies",
        "{metadata: {name: n}, spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 2001:DB8::/32}}]}]}}",
        &[
            "spec.egress[0].to[0].ipBlock.cidr: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")",
        ],
    ),
    (
        "networking.k8s.io/v1/ingresses",
        "{metadata: {name: i, annotations: {kubernetes.io/ingress.class: x}}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
        &[
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ],
    ),
    (
        "/v1/nodes",
        "{metadata: {name: n}, spec: {externalID: x, podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}}",
        &["spec.externalID: this field is deprecated, and is unused by Kubernetes"],
    ),
    (
        "/v1/serviceaccounts",
        "{metadata: {name: s, annotations: {kubernetes.io/enforce-mountable-secrets: 'true'}}}",
        &[
            "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
        ],
    ),
    (
        "/v1/resourcequotas",
        "{metadata: {name: q}, spec: {hard: {cpu: 2, limits.cpu: 1, requests.memory: 1, limits.memory: 2}}}",
        &["ResourceQuota cpu (2) should be less than limits.cpu (1)"],
    ),
];

#[test]
fn of_new_objects() {
    for (path, body, wanted) in ROWS {
        let (_, mut found) = create_warned(&resource(path), &yaml(body))
            .unwrap_or_else(|status| panic!("{body}: {}", status.message));
        let mut wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{body}");
    }
}

/// A changed template warns, a changed label does not; pods are warned about when they are new.
#[test]
fn of_changes() {
    let warned = |path: &str, body: &str, change: fn(&mut serde_json::Value)| {
        let (r, old) = (resource(path), create(path, body).unwrap());
        let mut new = old.clone();
        change(&mut new);
        pipeline::prepare_update(&r, None, &mut new, &old, &crate::ctx(&r)).unwrap();
        pipeline::validate_update(&r, None, &new, &old).unwrap().len()
    };
    let spec = "{containers: [{name: c, image: i}], nodeSelector: {beta.kubernetes.io/os: l}}";
    let deployment = format!(
        "{{metadata: {{name: d}}, spec: {{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {spec}}}}}}}"
    );
    let pod = format!("{{metadata: {{name: p}}, spec: {spec}}}");
    assert_eq!(
        warned(DEPLOYMENT, &deployment, |d| d["metadata"]["labels"] = serde_json::json!({"x": "y"})),
        0
    );
    assert_eq!(warned(DEPLOYMENT, &deployment, |d| d["spec"]["replicas"] = 5.into()), 1);
    assert_eq!(warned(POD, &pod, |p| p["metadata"]["labels"] = serde_json::json!({"x": "y"})), 0);
}
