//! Owners of fields who wrote in another version of a custom resource than the request.

use api::managed;
use api::pipeline::refused_apply;
use api::{Status, resource};

use super::{Stored, Valid, Write};
use crate::convert;

impl Valid {
    /// Takes what has changed from the owners who wrote in other versions. Answers the conflicts with
    /// them, which are for an apply that is not forced.
    pub(crate) async fn yield_across_versions(
        &mut self,
        write: &Write<'_>,
        old: &Stored,
    ) -> Result<Option<Status>, Status> {
        let Some(custom) = &write.resource.custom else { return Ok(None) };
        let (family, own) = (&custom.family, write.resource.api_version());
        let mut conflicts = None;
        for version in managed::other_versions(&old.value, &self.object, &own) {
            let group = &write.resource.group;
            let short = version.rsplit('/').next().unwrap_or_default();
            let schema = family.schema(short).filter(|_| version == resource::api_version(group, short));
            let Some(schema) = schema else {
                managed::forget_version(&mut self.object, &version);
                continue;
            };
            let both = vec![old.value.clone(), self.object.clone()];
            let seen = convert::convert(write.server, family, &version, both).await?;
            let [before, after] = &seen[..] else {
                return Err(Status::internal("a conversion lost its object"));
            };
            let found =
                managed::yield_in_version(&schema, &version, [before, after], &old.value, &mut self.object);
            conflicts = conflicts.or(found.map(refused_apply));
        }
        Ok(conflicts)
    }
}
