//! `trireme admin member`: who belongs to the store of a running cluster.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::{Target, request, said};

const MEMBERS: &str = "/trireme/v1/members";

#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Shows the members, as the leader knows them.
    List(Common),
    /// Takes in a server that waits for it; `trireme server --join` does this by itself.
    Add {
        /// The new member's number.
        id: u64,
        /// Where the others reach it (HOST:PORT of its peer address).
        address: String,
        /// Without a vote, until it is promoted.
        #[arg(long)]
        learner: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Removes a member; its server must not run any more, or be ended.
    Remove(One),
    /// Gives a learner that has caught up its vote.
    Promote(One),
    /// Hands leadership to a member.
    Lead {
        /// Number or address of the member; none: the one that fits best.
        member: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

/// One member that is there.
#[derive(clap::Args, Debug)]
pub struct One {
    /// Number or address of the member, as `list` shows it.
    member: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
pub struct Common {
    #[command(flatten)]
    target: Target,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Output {
    #[default]
    Table,
    Json,
}

/// What a server tells.
#[derive(Debug, Deserialize)]
struct Told {
    members: Vec<Member>,
    problem: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    id: u64,
    addr: String,
    voter: bool,
    leader: bool,
    behind: Option<u64>,
    silent_ms: Option<u64>,
}

/// Asks the cluster.
pub fn run(action: &Action) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(action))
}

async fn act(action: &Action) -> Result<()> {
    match action {
        Action::List(common) => show(common, &ask(common, "GET", MEMBERS, None).await?),
        Action::Add { id, address, learner, common } => {
            let body = json!({"id": id, "addr": address, "learner": learner});
            let told = ask(common, "POST", MEMBERS, Some(&body)).await.with_context(|| {
                format!("member {id} was not added; its server must run and be reachable at {address}")
            })?;
            show(common, &told)
        }
        Action::Remove(One { member, common }) => {
            let id = resolve(common, member).await?;
            let told = ask(common, "DELETE", &format!("{MEMBERS}/{id}"), None).await;
            show(common, &told.with_context(|| format!("member {id} was not removed"))?)?;
            eprintln!(
                "\nMember {id} is removed. Empty the data folder of its server before that joins again."
            );
            Ok(())
        }
        Action::Promote(One { member, common }) => {
            let id = resolve(common, member).await?;
            let told = ask(common, "POST", &format!("{MEMBERS}/{id}/promote"), None).await;
            show(common, &told.with_context(|| format!("member {id} was not promoted"))?)
        }
        Action::Lead { member, common } => {
            let id = match member {
                Some(member) => resolve(common, member).await?.to_string(),
                None => "any".to_owned(),
            };
            let told = ask(common, "POST", &format!("{MEMBERS}/{id}/lead"), None).await;
            show(common, &told.context("leadership was not handed over")?)
        }
    }
}

async fn ask(common: &Common, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let client = common.target.client()?;
    client.request(request(method, path, body)?).await.map_err(said)
}

async fn resolve(common: &Common, member: &str) -> Result<u64> {
    let told: Told = serde_json::from_value(ask(common, "GET", MEMBERS, None).await?)?;
    find(&told.members, member)
}

/// The member of this number, address or host.
fn find(members: &[Member], wanted: &str) -> Result<u64> {
    let host = |member: &Member| member.addr.rsplit_once(':').is_some_and(|(host, _)| host == wanted);
    let fits = |m: &&Member| m.id.to_string() == wanted || m.addr == wanted || host(m);
    let mut found = members.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(member), None) => Ok(member.id),
        (Some(_), Some(_)) => bail!("{wanted:?} stands for several members: name one by its number"),
        (None, _) => {
            let known: Vec<String> = members.iter().map(|m| format!("{} ({})", m.id, m.addr)).collect();
            bail!("there is no member {wanted:?}; there are {}", known.join(", "))
        }
    }
}

fn show(common: &Common, told: &Value) -> Result<()> {
    match common.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(told)?),
        Output::Table => {
            let told: Told = serde_json::from_value(told.clone()).context("the server's answer")?;
            let mut table = comfy_table::Table::new();
            table.load_preset(comfy_table::presets::NOTHING);
            table.set_header(["ID", "ADDRESS", "ROLE", "BEHIND", "LAST HEARD"]);
            told.members.iter().for_each(|member| {
                table.add_row(row(member));
            });
            println!("{table}");
            if let Some(problem) = told.problem {
                println!("\nThis is what one server knows by itself: {problem}.");
            }
        }
    }
    Ok(())
}

fn row(member: &Member) -> [String; 5] {
    let role = match (member.leader, member.voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    };
    let behind = member.behind.map_or("unknown".to_owned(), |entries| entries.to_string());
    let heard = match (member.leader, member.silent_ms) {
        (true, _) => String::new(),
        (false, Some(ms)) if ms < 1_000 => "now".to_owned(),
        (false, Some(ms)) => format!("{} s ago", ms / 1_000),
        (false, None) => "unknown".to_owned(),
    };
    [member.id.to_string(), member.addr.clone(), role.to_owned(), behind, heard]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, addr: &str) -> Member {
        Member { id, addr: addr.into(), voter: true, leader: false, behind: Some(0), silent_ms: Some(9) }
    }

    #[test]
    fn a_member_is_named_by_its_number_or_address() {
        let members = [member(7, "10.0.0.1:2380"), member(8, "10.0.0.2:2380"), member(9, "10.0.0.2:2381")];
        let cases = [
            ("7", Ok(7)),
            ("10.0.0.1:2380", Ok(7)),
            ("10.0.0.1", Ok(7)),
            ("10.0.0.2:2381", Ok(9)),
            ("10.0.0.2", Err("several members")),
            ("1", Err("7 (10.0.0.1:2380)")),
        ];
        for (wanted, expected) in cases {
            match (find(&members, wanted), expected) {
                (Ok(id), Ok(expected)) => assert_eq!(id, expected, "{wanted}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{wanted}: {error}"),
                (found, _) => panic!("{wanted}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_row_tells_the_role_and_how_the_member_does() {
        let fine = member(7, "a:1");
        let cases = [
            (Member { leader: true, ..fine.clone() }, ["7", "a:1", "leader", "0", ""]),
            (fine.clone(), ["7", "a:1", "voter", "0", "now"]),
            (
                Member { voter: false, behind: Some(9), silent_ms: Some(12_345), ..fine.clone() },
                ["7", "a:1", "learner", "9", "12 s ago"],
            ),
            (Member { behind: None, silent_ms: None, ..fine }, ["7", "a:1", "voter", "unknown", "unknown"]),
        ];
        for (member, expected) in cases {
            assert_eq!(row(&member), expected);
        }
    }
}
