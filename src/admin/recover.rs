//! `trireme admin recover`: a cluster whose quorum is lost for good, founded again from what is left.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use store::offline::{self, Looked, Recovery, Replica};

use crate::server;

/// Options of `trireme admin recover`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Data folder of a server that is left and does not run (may be repeated: the newest is taken).
    #[arg(long = "data-dir", value_name = "DIR", required = true)]
    data_dirs: Vec<PathBuf>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

/// Looks at the folders, says what would happen, asks, does it.
pub fn run(options: &Options) -> Result<()> {
    let mut found: Vec<(PathBuf, Looked)> = Vec::new();
    for folder in &options.data_dirs {
        match offline::look(&folder.join("store")) {
            Ok(looked) => found.push((folder.clone(), looked)),
            Err(store::OpenError::Locked { .. }) => {
                bail!("the server of {} runs: stop it first", folder.display())
            }
            Err(error) => println!("{} is left out: {error}", folder.display()),
        }
    }
    let replicas: Vec<Replica> = found.iter().map(|(_, looked)| looked.replica.clone()).collect();
    let Some(plan) = offline::plan(&replicas) else {
        bail!("none of these folders holds a member of a cluster");
    };
    let folders: Vec<&PathBuf> = found.iter().map(|(folder, _)| folder).collect();
    println!("{}", describe(&folders, &replicas, &plan));
    if !options.yes {
        confirm()?;
    }
    let (folder, looked) = found.swap_remove(plan.newest);
    drop(found);
    let id = server::new_member_id();
    let (kept, summary) = offline::recover(looked, id, plan.may_lose, super::now_ms())?;
    server::remember_member(&folder, id, true)?;
    println!(
        "\nRecovered: {} is the only member ({id}) of the cluster, at revision {}.\nWhat it held before is in {}: \
         remove that when all is well.",
        folder.display(),
        summary.revision,
        kept.display()
    );
    println!(
        "Start its server. Empty the data folders of the other servers before they start again; they join with \
         its join token.\n(`trireme up` starts the servers of a local cluster and lets them join.)"
    );
    Ok(())
}

fn confirm() -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "nothing was changed: this needs a confirmation, and there is no terminal (--yes goes without)"
        );
    }
    print!("\nType \"recover\" to go on: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("read the answer")?;
    if answer.trim() != "recover" {
        bail!("nothing was changed");
    }
    Ok(())
}

/// What was found and what will be done, for a human.
fn describe(folders: &[&PathBuf], replicas: &[Replica], plan: &Recovery) -> String {
    let mut lines = vec!["Found:".to_owned()];
    for (folder, replica) in folders.iter().zip(replicas) {
        lines.push(format!(
            "  {}: member {}, log up to entry {} of term {}",
            folder.display(),
            replica.id,
            replica.last,
            replica.term
        ));
    }
    lines.push(format!("\nThe newest log is that of {}.", folders[plan.newest].display()));
    let missing = plan.missing.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    lines.push(match (plan.may_lose, plan.missing.is_empty()) {
        (false, true) => "All voters were given: nothing that was acknowledged is lost.".to_owned(),
        (false, false) => format!(
            "Nothing that was acknowledged is lost: without one of these folders there was no quorum \
             (not given: members {missing})."
        ),
        (true, _) => format!(
            "WRITES MAY BE LOST: the members {missing} were not given, and they could acknowledge writes without \
             the others. Everything they wrote after entry {} is lost. The revision is raised and the history cut, \
             so that clients see that they have to list again.",
            replicas[plan.newest].last
        ),
    });
    lines.push(
        "A cluster of one member is founded from it. The servers of the old cluster must not run, now or later, \
         with the data they have: clients would see two clusters."
            .to_owned(),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_is_said() {
        let replica = |id, last| Replica {
            path: "/d/store".into(),
            id,
            term: 3,
            last,
            committed: last,
            voters: vec![[1, 2, 3].into()],
        };
        let folder = PathBuf::from("/d");
        let one = [replica(1, 40)];
        let plan = offline::plan(&one).unwrap();
        let text = describe(&[&folder], &one, &plan);
        assert!(
            text.contains("WRITES MAY BE LOST") && text.contains("2, 3") && text.contains("entry 40"),
            "{text}"
        );
        let two = [replica(1, 40), replica(2, 41)];
        let plan = offline::plan(&two).unwrap();
        let text = describe(&[&folder, &folder], &two, &plan);
        assert!(
            text.contains("Nothing that was acknowledged is lost") && text.contains("members 3"),
            "{text}"
        );
        let all = [replica(1, 40), replica(2, 41), replica(3, 41)];
        let plan = offline::plan(&all).unwrap();
        assert!(describe(&[&folder, &folder, &folder], &all, &plan).contains("All voters were given"));
    }
}
