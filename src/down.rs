//! `trireme down`: ends a local cluster and leaves no trace but its data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host::privilege;
use crate::host::process::Process;
use crate::progress::Progress;
use crate::up::layout::{Cluster, Files};
use crate::up::{self, DATA_DIR, egress, lock, switch};

/// How long a process may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(8);

/// Options of `trireme down`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Folder of the cluster.
    #[arg(long, default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Remove the data folder too: objects, images, logs, keys.
    #[arg(long)]
    purge: bool,
}

/// Stops everything; running it twice is no error.
pub fn run(options: &Options) -> Result<()> {
    privilege::check()?;
    if !options.data_dir.join("cluster.json").exists() {
        println!("There is no cluster in {}.", options.data_dir.display());
        return Ok(());
    }
    let (files, cluster) = up::load(&options.data_dir)?;
    let lock = lock::take(&files)?;
    let shown = Progress::new();
    let nodes: Vec<String> = cluster.node_hosts().map(|node| node.name).collect();
    let servers: Vec<String> = cluster.server_hosts().map(|server| server.name).collect();
    shown.step("agents", || end(&files, &nodes))?;
    shown.step("containers", || containers(&files, &cluster))?;
    shown.step("servers", || end(&files, &servers))?;
    shown.step("balancer", || end(&files, &["balancer".to_owned()]))?;
    shown.step("network", || network(&files, &cluster))?;
    shown.step("mounts", || unmount_below(&files.root))?;
    if options.purge {
        shown.step("data", || remove_data(&files))?;
    }
    drop(lock);
    Ok(())
}

/// Ends the named processes, all at the same time.
fn end(files: &Files, names: &[String]) -> Result<()> {
    std::thread::scope(|scope| {
        let ending: Vec<_> = names.iter().map(|name| scope.spawn(move || end_one(files, name))).collect();
        ending.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked while it ended a process")))
        })
    })
}

fn end_one(files: &Files, name: &str) -> Result<()> {
    let record = files.process(name);
    if let Some(process) = Process::find(&record)? {
        process.end(PATIENCE).with_context(|| format!("end {name}"))?;
    }
    match std::fs::remove_file(&record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", record.display()))
        }
        _ => Ok(()),
    }
}

fn containers(files: &Files, cluster: &Cluster) -> Result<()> {
    for node in cluster.node_hosts() {
        let root = crate::agent::runtime_root(&files.host(&node.name));
        runtime::Runtime::purge(&root, &cluster.cgroup_parent(&node.name))
            .with_context(|| format!("end the containers of {}", node.name))?;
    }
    remove_cgroups(&format!("trireme-{}", cluster.id))
}

/// Removes the cgroup that held those of the nodes, from every hierarchy (v1 has one per controller).
fn remove_cgroups(name: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies =
        std::fs::read_dir(root).context("read /sys/fs/cgroup")?.flatten().map(|entry| entry.path());
    for cgroup in hierarchies.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(name)) {
        if cgroup.is_dir() {
            std::fs::remove_dir(&cgroup).with_context(|| format!("remove {}", cgroup.display()))?;
        }
    }
    Ok(())
}

fn network(files: &Files, cluster: &Cluster) -> Result<()> {
    egress::remove(files, cluster)?;
    switch::remove(&cluster.id)?;
    let folder = PathBuf::from(format!("/run/trireme-{}", cluster.id));
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Unmounts whatever is still mounted below `root`, the deepest first.
fn unmount_below(root: &Path) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    for path in mounts_below(&table, root).into_iter().rev() {
        rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("unmount {}", path.display()))?;
    }
    Ok(())
}

/// Mount points below `root` from a mountinfo table (proc_pid_mountinfo(5), field 5), in mount order.
fn mounts_below(table: &str, root: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|point| PathBuf::from(unescape(point))).filter(|point| point.starts_with(root)).collect()
}

/// Space, tab, newline and backslash stand as octal escapes in the table.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

fn remove_data(files: &Files) -> Result<()> {
    std::fs::remove_dir_all(&files.root).with_context(|| format!("remove {}", files.root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_found() {
        let table = "1 0 8:1 / / rw - ext4 x rw\n2 1 0:5 / /data/a\\040b rw - tmpfs t rw\n3 1 0:6 / /database rw - tmpfs t rw\n";
        assert_eq!(mounts_below(table, Path::new("/data")), [PathBuf::from("/data/a b")]);
    }
}
