//! A server's data folder in which a cluster is founded from files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::server;

/// Which keys the new cluster has.
#[derive(clap::Args, Debug)]
pub struct Keys {
    /// Folder `pki` of a server of the old cluster: its nodes and clients go on with the new one.
    #[arg(long, value_name = "DIR")]
    pki: Option<PathBuf>,
    /// New keys: nodes and clients of the old cluster will not trust the new one.
    #[arg(long, conflicts_with = "pki")]
    new_keys: bool,
}

/// A folder that will hold the only member of a new cluster.
pub struct Founding {
    data_dir: PathBuf,
    /// The member's number.
    pub id: store::MemberId,
    has_keys: bool,
}

impl Founding {
    /// Checks that the folder is free, and gives it its keys.
    pub fn prepare(data_dir: &Path, keys: &Keys) -> Result<Founding> {
        let founding =
            Founding { data_dir: data_dir.to_owned(), id: server::new_member_id(), has_keys: true };
        if founding.store().exists() {
            bail!(
                "{} holds a store already: stop its server and move that folder away, or give another --data-dir",
                data_dir.display()
            );
        }
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let own = data_dir.join("pki");
        match &keys.pki {
            _ if own.exists() && keys.new_keys => {
                bail!("{} exists: remove it if new keys are wanted", own.display())
            }
            _ if own.exists() => {}
            Some(from) => copy_keys(from, &own)?,
            None if keys.new_keys => return Ok(Founding { has_keys: false, ..founding }),
            None => bail!(
                "a snapshot holds no keys: give --pki with the pki folder of a server of the old cluster, or --new-keys"
            ),
        }
        apiserver::pki::Pki::load(&own).with_context(|| format!("the keys in {}", own.display()))?;
        Ok(founding)
    }

    /// Where the store goes.
    pub fn store(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Makes the server know that it is this member.
    pub fn finish(&self) -> Result<()> {
        server::remember_member(&self.data_dir, self.id, self.has_keys)
    }
}

fn copy_keys(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).with_context(|| format!("create {}", to.display()))?;
    let files = std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))?;
    for file in files {
        let file = file?.path();
        let Some(name) = file.file_name().filter(|_| file.is_file()) else { continue };
        // Copies the permissions, too.
        std::fs::copy(&file, to.join(name)).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pki: Option<PathBuf>, new_keys: bool) -> Keys {
        Keys { pki, new_keys }
    }

    #[test]
    fn a_cluster_is_founded_only_where_nothing_is_and_only_with_keys() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        apiserver::pki::Pki::create(&old.join("pki")).unwrap();
        let refused = |name: &str, keys: Keys| {
            let error = Founding::prepare(&folder.path().join(name), &keys).err().expect("refused");
            format!("{error:#}")
        };
        assert!(refused("a", keys(None, false)).contains("--new-keys"));
        assert!(refused("b", keys(Some(folder.path().join("nothing")), false)).contains("nothing"));
        std::fs::create_dir_all(folder.path().join("used/store")).unwrap();
        assert!(refused("used", keys(None, true)).contains("holds a store already"));
        let copied = folder.path().join("c");
        Founding::prepare(&copied, &keys(Some(old.join("pki")), false)).unwrap();
        apiserver::pki::Pki::load(&copied.join("pki")).unwrap();
        Founding::prepare(&folder.path().join("d"), &keys(None, true)).unwrap();
        Founding::prepare(&old, &keys(None, false)).unwrap();
    }
}
