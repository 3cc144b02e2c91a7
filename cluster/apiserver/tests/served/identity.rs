//! Who may do what: certificates over TLS, tokens, impersonation, RBAC, joining.

use crate::support::{Client, Cluster};
use apiserver::pki::{JoinError, JoinRole, JoinToken, Pki, join_agent, join_server};
use serde_json::{Value, json};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn bind(admin: &Client, namespace: &str, role: &str, user: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("{user}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    admin.post(&format!("{ROLES}/namespaces/{namespace}/rolebindings"), &binding).await.expect(201);
}

/// Waits until the server's index of roles has seen a change.
async fn until(client: &Client, path: &str, code: u16) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while client.get(path).await.code.as_u16() != code {
        assert!(tokio::time::Instant::now() < deadline, "{path} never answered {code}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_decide_and_nobody_escalates() {
    let cluster = Cluster::start().await;
    let (admin, ada) = (cluster.admin(), cluster.user("ada", &[]));
    let pods = "/api/v1/namespaces/default/pods";
    let refused = ada.get(pods).await.expect(403);
    assert_eq!(
        refused["message"],
        "pods is forbidden: User \"ada\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    bind(&admin, "default", "admin", "ada").await;
    until(&ada, pods, 200).await;
    ada.get("/api/v1/nodes").await.expect(403);
    let role = |verbs: Value, resource: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"generateName": "r-"},
            "rules": [{"apiGroups": [""], "resources": [resource], "verbs": verbs}],
        })
    };
    let roles = format!("{ROLES}/namespaces/default/roles");
    ada.post(&roles, &role(json!(["get"]), "pods")).await.expect(201);
    ada.post(&roles, &role(json!(["get"]), "nodes")).await.expect(403);
    let to_root = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "root"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
    });
    ada.post(&format!("{ROLES}/namespaces/default/rolebindings"), &to_root).await.expect(403);
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "default", "verb": "create", "resource": "pods"}},
    });
    let answer = ada.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
    assert_eq!(answer.expect(201)["status"]["allowed"], true);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_needs_a_right_of_its_own() {
    let cluster = Cluster::start().await;
    let (admin, ada) = (cluster.admin(), cluster.user("ada", &[]));
    let who = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let headers =
        [("content-type", "application/json"), ("impersonate-user", "bob"), ("impersonate-group", "devs")];
    let post = || http::Method::POST;
    let answer = admin.request(post(), path, &headers, &who).await.expect(201);
    let user = &answer["status"]["userInfo"];
    assert_eq!(user["username"], "bob");
    assert_eq!(user["groups"], json!(["devs", "system:authenticated"]));
    assert_eq!(ada.request(post(), path, &headers, &who).await.code, 403);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_account_tokens_live_as_long_as_what_they_are_bound_to() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    });
    admin.post("/api/v1/namespaces/default/pods", &pod).await.expect(201);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}},
    });
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let token = admin.post(path, &request).await.expect(201)["status"]["token"].clone();
    let review = |audiences: Value| {
        let admin = admin.clone();
        let token = token.clone();
        async move {
            let review = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"token": token, "audiences": audiences},
            });
            admin.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.expect(201)["status"]
                .clone()
        }
    };
    let known = review(json!([])).await;
    assert_eq!(known["authenticated"], true, "{known}");
    assert_eq!(known["user"]["username"], "system:serviceaccount:default:default");
    assert_eq!(known["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert!(review(json!(["somebody-else"])).await["authenticated"].is_null());
    admin.delete("/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").await.expect(200);
    assert!(review(json!([])).await["authenticated"].is_null());
    let mut short = request.clone();
    short["spec"]["expirationSeconds"] = 60.into();
    admin.post(path, &short).await.expect(422);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_servers_join_over_tls() {
    let cluster = Cluster::start().await;
    let urls = [format!("https://127.0.0.1:{}", cluster.api.local_addr().port())];
    let dir = tempfile::tempdir().unwrap();
    let node_token = cluster.api.create_join_token(JoinRole::Node).await.unwrap();
    let addresses = ["10.1.2.3".parse().unwrap()];
    let node_dir = dir.path().join("node");
    let node = join_agent(&urls, &node_token, "n1", &addresses, &node_dir).await.unwrap();
    assert_eq!(node.ca_pem, cluster.pki.ca_pem());
    // What was kept is used again, without a server.
    let again = join_agent(&[], &node_token, "n1", &addresses, &node_dir).await.unwrap();
    assert_eq!(again.client.cert_pem, node.client.cert_pem);

    // A node's token does not open the keys of the cluster; names of servers are not for nodes.
    let refused = join_server(&urls, &node_token, &dir.path().join("thief")).await;
    assert!(matches!(refused, Err(JoinError::Refused { status: 403, .. })));
    let posing =
        join_agent(&urls, &node_token, "kubernetes.default.svc", &addresses, &dir.path().join("poser")).await;
    assert!(matches!(posing, Err(JoinError::Refused { status: 400, .. })));
    let unknown = JoinToken { secret: "0".repeat(16), ..node_token.clone() };
    let unknown = join_agent(&urls, &unknown, "n2", &addresses, &dir.path().join("unknown")).await;
    assert!(matches!(unknown, Err(JoinError::Refused { status: 401, .. })));
    let foreign = JoinToken { ca_hash: [7; 32], ..node_token };
    let foreign = join_agent(&urls, &foreign, "n2", &addresses, &dir.path().join("foreign")).await;
    assert!(matches!(foreign, Err(JoinError::WrongCa(_))));

    let server_token = cluster.api.create_join_token(JoinRole::Server).await.unwrap();
    let joined: Pki = join_server(&urls, &server_token, &dir.path().join("server")).await.unwrap();
    assert_eq!(joined.ca_hash(), cluster.pki.ca_hash());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_can_not_write() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "boss"},
        "spec": {"holderIdentity": "s1", "leaseTransitions": 1, "leaseDurationSeconds": 2},
    });
    admin.post(leases, &lease).await.expect(201);
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string();
    let write = |epoch: &'static str, body: String| {
        let admin = admin.clone();
        async move {
            let fence = format!("kube-system/boss/{epoch}");
            let headers = [("content-type", "application/json"), ("trireme-fence", fence.as_str())];
            let path = "/api/v1/namespaces/default/configmaps";
            admin.request(http::Method::POST, path, &headers, &body).await
        }
    };
    write("s1%2F1", map("a")).await.expect(201);
    admin
        .merge(&format!("{leases}/boss"), &json!({"spec": {"holderIdentity": "s2", "leaseTransitions": 2}}))
        .await
        .expect(200);
    let refused = write("s1%2F1", map("b")).await.expect(409);
    assert!(refused["message"].as_str().unwrap().contains("fenced"), "{refused}");
    admin.get("/api/v1/namespaces/default/configmaps/b").await.expect(404);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_requests_are_signed() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "bob");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    use base64::Engine;
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "bob"},
        "spec": {
            "request": base64::engine::general_purpose::STANDARD.encode(pem),
            "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"],
        },
    });
    let mut made = admin.post(path, &request).await.expect(201);
    made["status"] = json!({"conditions": [
        {"type": "Approved", "status": "True", "reason": "Test", "message": "yes"},
    ]});
    admin.put(&format!("{path}/bob/approval"), &made).await.expect(200);
    let signed = |e: &[Value]| e.iter().any(|e| e["object"]["status"]["certificate"].is_string());
    admin.watch(&format!("{path}?watch=1&fieldSelector=metadata.name%3Dbob"), signed).await;
    cluster.stop().await;
}
