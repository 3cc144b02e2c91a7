//! The administrator's way to a running cluster: a kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde::Deserialize;

use crate::up::DATA_DIR;

/// Which cluster is meant.
#[derive(clap::Args, Debug)]
pub struct Target {
    /// Kubeconfig of an administrator [default: $KUBECONFIG, or that of the local cluster].
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Data folder of a server of this machine: its keys open the cluster without a kubeconfig.
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    data_dir: Option<PathBuf>,
    /// Server to ask instead of the kubeconfig's [with --data-dir: https://127.0.0.1:6443].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// The parts of a kubeconfig that are needed here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    context: ContextEntry,
}

#[derive(Debug, Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: ClusterEntry,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    user: UserEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserEntry {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
}

impl Target {
    /// A client of the cluster. Within a tokio runtime.
    pub fn client(&self) -> Result<kube::Client> {
        let mut endpoints = match &self.data_dir {
            Some(folder) => by_keys(folder)?,
            None => self.by_kubeconfig()?,
        };
        if let Some(server) = &self.server {
            endpoints.urls = vec![server.clone()];
        }
        Ok(client::connect(endpoints)?)
    }

    fn by_kubeconfig(&self) -> Result<client::Endpoints> {
        let path = self.path();
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("read {}: give an administrator's --kubeconfig, or a server's --data-dir", path.display())
        })?;
        endpoints(&text, path.parent().unwrap_or(Path::new("")))
            .with_context(|| format!("{} is not a usable kubeconfig", path.display()))
    }

    fn path(&self) -> PathBuf {
        if let Some(path) = &self.kubeconfig {
            return path.clone();
        }
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let first = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
        first.unwrap_or_else(|| Path::new(DATA_DIR).join("admin.kubeconfig"))
    }
}

/// An administrator made with the keys of a server's data folder.
fn by_keys(folder: &Path) -> Result<client::Endpoints> {
    let pki = apiserver::pki::Pki::load(&folder.join("pki"))
        .with_context(|| format!("the keys in {}", folder.display()))?;
    let admin = pki.issue_client("kubernetes-admin", &["system:masters"])?;
    Ok(client::Endpoints {
        urls: vec!["https://127.0.0.1:6443".to_owned()],
        ca_pem: pki.ca_pem().to_owned(),
        identity: Some((admin.cert_pem, admin.key_pem)),
        token: None,
    })
}

/// What the current context of a kubeconfig leads to; its files are relative to `folder`.
fn endpoints(text: &str, folder: &Path) -> Result<client::Endpoints> {
    let config: Kubeconfig = serde_saphyr::from_str(text)?;
    let wanted = &config.current_context;
    let context = config.contexts.into_iter().find(|context| context.name == *wanted);
    let context = context.with_context(|| format!("there is no context {wanted:?}"))?.context;
    let cluster = config.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.with_context(|| format!("there is no cluster {:?}", context.cluster))?.cluster;
    let user = config.users.into_iter().find(|user| user.name == context.user);
    let user = user.with_context(|| format!("there is no user {:?}", context.user))?.user;
    let pem = |what: &str, data: Option<&String>, file: Option<&PathBuf>| -> Result<Option<String>> {
        if let Some(data) = data {
            let bytes = STANDARD.decode(data).with_context(|| format!("{what} is not base64"))?;
            return String::from_utf8(bytes).map(Some).with_context(|| format!("{what} is not PEM"));
        }
        let Some(file) = file else { return Ok(None) };
        let path = folder.join(file);
        std::fs::read_to_string(&path).map(Some).with_context(|| format!("read {}", path.display()))
    };
    let ca = pem(
        "the authority",
        cluster.certificate_authority_data.as_ref(),
        cluster.certificate_authority.as_ref(),
    )?;
    let certificate =
        pem("the certificate", user.client_certificate_data.as_ref(), user.client_certificate.as_ref())?;
    let key = pem("the key", user.client_key_data.as_ref(), user.client_key.as_ref())?;
    let identity = certificate.zip(key);
    if identity.is_none() && user.token.is_none() {
        bail!("user {:?} has neither a client certificate with its key nor a token", context.user);
    }
    Ok(client::Endpoints {
        urls: vec![cluster.server],
        ca_pem: ca.context("the cluster has no certificate authority")?,
        identity,
        token: user.token,
    })
}

/// A request without resource.
pub fn request(method: &str, path: &str, body: Option<&serde_json::Value>) -> Result<Request<Vec<u8>>> {
    let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let built = Request::builder().method(method).uri(path).header("content-type", "application/json");
    Ok(built.body(bytes)?)
}

/// What the server said, and what can be done about it.
pub fn said(error: kube::Error) -> anyhow::Error {
    let kube::Error::Api(status) = error else { return error.into() };
    let hint = match status.code {
        403 => ": this needs a kubeconfig of an administrator (group system:masters)",
        503 if status.message.contains("no quorum") => {
            ". Start the servers that are missing; if most of them are lost for good: `trireme admin recover`"
        }
        _ => "",
    };
    anyhow::anyhow!("{}{hint}", status.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
apiVersion: v1
kind: Config
current-context: b
contexts:
- {name: a, context: {cluster: x, user: x}}
- {name: b, context: {cluster: c, user: u}}
clusters:
- {name: c, cluster: {server: "https://h:1", certificate-authority-data: Y2E=}}
users:
- {name: u, user: {client-certificate-data: Y2VydA==, client-key: key.pem}}
"#;

    #[test]
    fn the_current_context_leads_to_the_cluster() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.pem"), "key").unwrap();
        let found = endpoints(WHOLE, folder.path()).unwrap();
        assert_eq!((found.urls, found.ca_pem), (vec!["https://h:1".to_owned()], "ca".to_owned()));
        assert_eq!(found.identity, Some(("cert".to_owned(), "key".to_owned())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.pem"), "key").unwrap();
        let cases = [
            (WHOLE.replace("current-context: b", "current-context: z"), "context \"z\""),
            (WHOLE.replace("name: c, cluster:", "name: d, cluster:"), "cluster \"c\""),
            (WHOLE.replace("name: u, user:", "name: v, user:"), "user \"u\""),
            (WHOLE.replace("client-key: key.pem", "username: x"), "neither a client certificate"),
            (WHOLE.replace(", certificate-authority-data: Y2E=", ""), "no certificate authority"),
            (WHOLE.replace("Y2E=", "a_b"), "not base64"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", endpoints(&text, folder.path()).unwrap_err());
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
