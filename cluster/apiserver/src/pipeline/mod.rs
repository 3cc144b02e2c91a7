//! A write, stage by stage: `Decoded -> Admitted -> Valid -> Committed`. Each stage takes the one
//! before it by value, so that none can be skipped.

mod commit;
mod owners;
mod stages;

pub(crate) use commit::{Committed, overwrite, overwrite_with, put, remove, remove_with};
pub(crate) use stages::{Decoded, Valid};

use std::future::Future;
use std::sync::Arc;

use api::conversion::storage_api_version;
use api::{Ctx, Resource, Status};
use serde_json::Value;
use store::{Consistency, Guard, Object, Op, View};

use crate::convert;
use crate::failure::{Failure, unreadable};
use crate::identity::User;
use crate::server::Server;

/// How often a write is decided again because what it was decided on has changed.
const MOST_ATTEMPTS: usize = 24;

/// After so many attempts a write has collided, and waits for its turn: of many that decide at the
/// same time only one succeeds, and the others would use up their attempts.
const ATTEMPTS_AT_ONCE: usize = 2;

/// What a write wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
}

/// What a write is about; the same for all its attempts.
#[derive(Clone, Copy)]
pub(crate) struct Write<'c> {
    pub server: &'c Arc<Server>,
    /// As the client named it.
    pub resource: &'c Arc<Resource>,
    /// As it is stored: the stages work in this version.
    pub storage: &'c Arc<Resource>,
    pub subresource: Option<&'c str>,
    pub namespace: &'c str,
    pub user: &'c User,
    pub manager: &'c str,
    pub dry_run: bool,
    /// The lease that the writer must still hold.
    pub fence: Option<&'c Guard>,
}

impl Write<'_> {
    /// What the pure stages may not find out themselves.
    pub(crate) fn ctx(&self) -> Ctx {
        let user = api::pipeline::User {
            name: self.user.name.clone(),
            uid: self.user.uid.clone(),
            groups: self.user.groups.clone(),
            extra: self.user.extra.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        };
        Ctx {
            now: jiff::Timestamp::now(),
            uid: uuid::Uuid::new_v4().to_string(),
            name_suffix: name_suffix(),
            namespace: Some(self.namespace.to_owned()).filter(|n| !n.is_empty()),
            user,
            dry_run: self.dry_run,
        }
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.storage.key(self.namespace, name)
    }

    pub(crate) fn not_found(&self, name: &str) -> Status {
        Status::not_found(&self.resource.group, &self.resource.plural, name)
    }

    pub(crate) fn modified(&self, name: &str) -> Status {
        Status::modified(&self.resource.group, &self.resource.plural, name)
    }
}

/// A stored object with its parsed value.
#[derive(Clone)]
pub(crate) struct Stored {
    pub object: Arc<Object>,
    pub value: Value,
    /// It is stored in a version that is not the one to store in any more.
    pub stale: bool,
}

impl Stored {
    /// Reads the object at a key.
    pub(crate) fn read(view: &View, key: &str) -> Result<Option<Stored>, Status> {
        view.get(key).map(Self::parse).transpose()
    }

    pub(crate) fn parse(object: Arc<Object>) -> Result<Stored, Status> {
        let value = serde_json::from_slice(&object.value)
            .map_err(|e| Status::internal(format!("the stored object {} does not parse: {e}", object.key)))?;
        Ok(Stored { object, value, stale: false })
    }

    /// A custom resource in the version of the request, in which its stages work.
    pub(crate) async fn served(self, write: &Write<'_>) -> Result<Stored, Status> {
        match write.resource.custom {
            None => Ok(self),
            Some(_) => {
                let stale = self.value["apiVersion"] != storage_api_version(write.resource).as_str();
                let value = convert::served(write.server, write.resource, self.value).await?;
                Ok(Stored { object: self.object, value, stale })
            }
        }
    }

    /// Holds as long as nobody has changed it.
    pub(crate) fn guard(&self) -> Guard {
        Guard::AtRevision { key: self.object.key.to_string(), revision: self.object.revision }
    }
}

/// What goes with the object's own change in the same transaction.
#[derive(Default)]
pub(crate) struct Companions {
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
}

/// Decides on a view and commits, again when something it was decided on has changed.
///
/// The first attempt reads what this replica has, without asking the others: the guards of the
/// transaction make that safe. A refusal decided on such a view counts only when a confirmed read
/// leads to it, too.
pub(crate) async fn attempt<T, F, Fut>(server: &Arc<Server>, mut decide: F) -> Result<T, Status>
where
    F: FnMut(View) -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    let mut last = Status::internal("no attempt was made");
    let mut turn = None;
    for n in 0..MOST_ATTEMPTS {
        if n == ATTEMPTS_AT_ONCE {
            // The semaphore is never closed: without a permit the write only goes on as before.
            turn = server.turns.acquire().await.ok();
        }
        let consistency = if n == 0 { Consistency::Local } else { Consistency::Linearizable };
        let view = server.store.view(consistency).await.map_err(|e| unreadable(&e))?;
        match decide(view).await {
            Ok(done) => return Ok(done),
            Err(Failure::Final(status)) if n > 0 || is_about_the_write(&status) => return Err(status),
            Err(Failure::Final(status) | Failure::Stale(status) | Failure::Conflict(status)) => last = status,
        }
    }
    drop(turn);
    Err(last)
}

/// Says what happened to a proposed write, which must not be proposed again.
fn is_about_the_write(status: &Status) -> bool {
    matches!(status.code, 500..)
}

/// Five characters of the alphabet Kubernetes generates names from: nothing that spells a word.
fn name_suffix() -> String {
    use rand::seq::IndexedRandom;
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5).map(|_| *ALPHABET.choose(&mut rng).unwrap_or(&b'x') as char).collect()
}
