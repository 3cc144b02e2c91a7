//! `trireme admin snapshot`: saved from a running cluster, checked and restored as files.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures::AsyncReadExt;
use store::offline::{self, SnapshotSummary};

use super::connect::{Target, request, said};
use super::folder::{self, Keys};

#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Saves everything that a running cluster holds (Secrets too) to a file.
    Save {
        /// The file; only its owner may read it.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Reads a snapshot and checks every byte of it.
    Verify {
        /// The file.
        file: PathBuf,
    },
    /// Founds a new cluster of one server from a snapshot.
    Restore {
        /// The file.
        file: PathBuf,
        /// Data folder of the server that is to run with it.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        #[command(flatten)]
        keys: Keys,
    },
}

/// Does it.
pub fn run(action: &Action) -> Result<()> {
    match action {
        Action::Save { file, target } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(save(file, target))
        }
        Action::Verify { file } => {
            let summary = offline::verify(file)?;
            println!("{} is whole.", file.display());
            tell(&summary);
            Ok(())
        }
        Action::Restore { file, data_dir, keys } => restore(file, data_dir, keys),
    }
}

async fn save(file: &Path, target: &Target) -> Result<()> {
    if file.exists() {
        bail!("{} exists already: choose another file", file.display());
    }
    let mut aside = file.as_os_str().to_owned();
    aside.push(".partial");
    let aside = PathBuf::from(aside);
    let saved = fetch(&aside, target).await;
    let Ok(summary) = saved else {
        // What failed is told; whether anything was left of it is not important beside that.
        drop(std::fs::remove_file(&aside));
        return saved.map(drop);
    };
    std::fs::rename(&aside, file).with_context(|| format!("write {}", file.display()))?;
    println!("Saved to {}.", file.display());
    tell(&summary);
    Ok(())
}

/// Writes the running cluster's snapshot to a file and checks it.
async fn fetch(aside: &Path, target: &Target) -> Result<SnapshotSummary> {
    let client = target.client()?;
    let mut pieces =
        client.request_stream(request("GET", "/trireme/v1/snapshot", None)?).await.map_err(said)?;
    let mut out = private(aside)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = pieces.read(&mut buffer).await.context("the snapshot broke off: save it again")?;
        if read == 0 {
            break;
        }
        out.write_all(&buffer[..read]).with_context(|| format!("write {}", aside.display()))?;
    }
    out.sync_all().with_context(|| format!("write {}", aside.display()))?;
    // What broke off or was changed on its way is not called a snapshot.
    offline::verify(aside).context("what arrived is not whole: save it again")
}

fn private(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| format!("create {}", path.display()))
}

fn tell(summary: &SnapshotSummary) {
    println!("  revision  {} (history from {})", summary.revision, summary.oldest);
    println!("  objects   {} ({} bytes)", summary.objects, summary.bytes);
    println!("  members   {}", summary.voters.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
}

fn restore(file: &Path, data_dir: &Path, keys: &Keys) -> Result<()> {
    let founding = folder::Founding::prepare(data_dir, keys)?;
    let summary = offline::restore(file, &founding.store(), founding.id, super::now_ms())?;
    founding.finish()?;
    println!("Restored to {}.", data_dir.display());
    tell(&summary);
    println!(
        "\nThe revision was raised and the history cut, so that no client mistakes a later state of the old \
         cluster for this one's: watches begin anew.\nStart it: trireme server --data-dir {}\nOther servers join \
         it with empty data folders.",
        data_dir.display()
    );
    Ok(())
}
