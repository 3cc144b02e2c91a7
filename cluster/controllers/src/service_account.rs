//! What every namespace has from its first moment: the ServiceAccount `default`, and the ConfigMap
//! with which pods verify the API servers.

use crate::{
    Acting,
    caches::ROOT_CA,
    drive::{Controller, drive, is_code, on, on_self},
    objects::{api_in, name},
};
use async_trait::async_trait;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{collections::BTreeMap, time::Duration};

const DEFAULT: &str = "default";
const DESCRIPTION_KEY: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "The certificate authority that signs the serving certificates of the API servers, as \
    seen from inside the cluster. It is not meant for anything else.";

pub(crate) async fn run_accounts(acting: Acting) {
    let deleted = on(&acting.caches.service_accounts, |change| {
        let gone = change.new.is_none() && &*change.key.name == DEFAULT;
        gone.then(|| ObjectKey::new("", change.key.namespace.clone()))
    });
    let sources = vec![on_self(&acting.caches.namespaces), deleted];
    drive(acting.clone(), Accounts { acting }, sources).await;
}

pub(crate) async fn run_root_ca(acting: Acting) {
    let changed = on(&acting.caches.root_ca, |change| Some(ObjectKey::new("", change.key.namespace.clone())));
    let sources = vec![on_self(&acting.caches.namespaces), changed];
    drive(acting.clone(), RootCa { acting }, sources).await;
}

/// Whether things can be made in the namespace.
fn is_active(namespace: &Namespace) -> bool {
    let terminating = namespace.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Terminating");
    namespace.metadata.deletion_timestamp.is_none() && !terminating
}

/// Somebody else made it, or the namespace went away: both are fine.
fn settled<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(made) => Ok(Some(made)),
        Err(error) if is_code(&error, 409) || is_code(&error, 404) => Ok(None),
        Err(kube::Error::Api(status))
            if status
                .details
                .as_ref()
                .is_some_and(|d| d.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Accounts {
    acting: Acting,
}

#[async_trait]
impl Controller for Accounts {
    fn name(&self) -> &'static str {
        "serviceaccount"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let active = caches.namespaces.get("", &key.name).is_some_and(|n| is_active(&n));
        if !active || caches.service_accounts.get(&key.name, DEFAULT).is_some() {
            return Ok(None);
        }
        let api: Api<ServiceAccount> = api_in(&self.acting.client, &key.name);
        let account = ServiceAccount { metadata: meta(DEFAULT, &key.name), ..ServiceAccount::default() };
        if let Some(made) = settled(api.create(&PostParams::default(), &account).await)? {
            caches.service_accounts.note(made);
        }
        Ok(None)
    }
}

struct RootCa {
    acting: Acting,
}

#[async_trait]
impl Controller for RootCa {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        if !caches.namespaces.get("", &key.name).is_some_and(|n| is_active(&n)) {
            return Ok(None);
        }
        let api: Api<ConfigMap> = api_in(&self.acting.client, &key.name);
        let wanted = bundle(&self.acting.options.ca_pem, &key.name);
        match caches.root_ca.get(&key.name, ROOT_CA) {
            None => {
                settled(api.create(&PostParams::default(), &wanted).await)?;
            }
            Some(found) if found.data != wanted.data => {
                let mut repaired = (*found).clone();
                repaired.data = wanted.data;
                repaired
                    .metadata
                    .annotations
                    .get_or_insert_default()
                    .extend(wanted.metadata.annotations.into_iter().flatten());
                settled(api.replace(name(&repaired.metadata), &PostParams::default(), &repaired).await)?;
            }
            Some(_) => {}
        }
        Ok(None)
    }
}

fn meta(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some(namespace.into()), ..ObjectMeta::default() }
}

fn bundle(ca_pem: &str, namespace: &str) -> ConfigMap {
    let mut metadata = meta(ROOT_CA, namespace);
    metadata.annotations = Some(BTreeMap::from([(DESCRIPTION_KEY.to_owned(), DESCRIPTION.to_owned())]));
    ConfigMap {
        metadata,
        data: Some(BTreeMap::from([("ca.crt".to_owned(), ca_pem.to_owned())])),
        ..ConfigMap::default()
    }
}
