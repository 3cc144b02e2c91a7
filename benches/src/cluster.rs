//! Three processes on loopback: ours, or etcd's.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::grpc::Channel;
use crate::tls;
use crate::wire::{self, Message};

const MEMBERS: usize = 3;
const START: Duration = Duration::from_secs(60);

/// Whose members they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Ours,
    Etcd,
}

/// One member.
pub struct Member {
    pub id: u64,
    pub front: SocketAddr,
    peer: SocketAddr,
    process: Option<Child>,
}

impl Member {
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends it as a power cut of its process would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("a member was not ended: {error}");
        }
    }
}

/// A cluster; its processes end and its folder goes with it.
pub struct Cluster {
    pub side: Side,
    pub members: Vec<Member>,
    dir: tempfile::TempDir,
}

/// etcd, when it is installed: its version.
pub fn etcd_version() -> Option<String> {
    let output = Command::new("etcd").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.replace("etcd Version: ", "etcd "))
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Cluster {
    /// Three members, ready to write.
    pub async fn start(side: Side, dir: &Path) -> Result<Cluster> {
        let mut cluster = Cluster::empty(side, dir)?;
        match side {
            Side::Ours => cluster.grow(MEMBERS).await?,
            Side::Etcd => cluster.start_etcd()?,
        }
        cluster.leader().await?;
        Ok(cluster)
    }

    /// No member yet.
    pub fn empty(side: Side, dir: &Path) -> Result<Cluster> {
        let dir = tempfile::Builder::new().prefix("trireme-bench-").tempdir_in(dir)?;
        tls::Files::create(dir.path())?;
        Ok(Cluster { side, members: Vec::new(), dir })
    }

    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(Member::pid).collect()
    }

    pub fn fronts(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.front).collect()
    }

    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("member-{}", index + 1))
    }

    /// Adds members of ours until there are `count`.
    pub async fn grow(&mut self, count: usize) -> Result<()> {
        while self.members.len() < count {
            let index = self.add_process().await?;
            if index > 0 {
                self.join(index).await?;
            }
        }
        Ok(())
    }

    /// Starts one more process of ours, not yet a member unless it is the first.
    pub async fn add_process(&mut self) -> Result<usize> {
        let index = self.members.len();
        let (front, peer) = (free_port()?, free_port()?);
        self.members.push(Member { id: index as u64 + 1, front, peer, process: None });
        self.restart(index).await?;
        Ok(index)
    }

    /// Makes a started process a member; returns when it votes.
    pub async fn join(&self, index: usize) -> Result<()> {
        let member = &self.members[index];
        let line = format!("add {} {}", member.id, member.peer);
        self.command(0, &line).await.map(drop)
    }

    /// Starts the process of a member; returns when it listens.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        let process = match self.side {
            Side::Ours => self.our_process(index)?,
            Side::Etcd => self.etcd_process(index)?,
        };
        let member = &mut self.members[index];
        member.process = Some(process);
        Channel::connect_soon(member.front, START).await.map(drop)
    }

    fn our_process(&self, index: usize) -> Result<Child> {
        let member = &self.members[index];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("member").args(["--id", &member.id.to_string()]);
        command.arg("--tls").arg(self.dir.path());
        command.arg("--data").arg(self.data_dir(index));
        command.args(["--peer", &member.peer.to_string(), "--front", &member.front.to_string()]);
        if index == 0 {
            command.arg("--begin");
        }
        spawn(command)
    }

    fn start_etcd(&mut self) -> Result<()> {
        for id in 1..=MEMBERS as u64 {
            let (front, peer) = (free_port()?, free_port()?);
            self.members.push(Member { id, front, peer, process: None });
        }
        for index in 0..MEMBERS {
            let process = self.etcd_process(index)?;
            self.members[index].process = Some(process);
        }
        Ok(())
    }

    fn etcd_process(&self, index: usize) -> Result<Child> {
        let member = &self.members[index];
        let front = format!("http://{}", member.front);
        let peer = format!("https://{}", member.peer);
        let all = self.members.iter().map(|m| format!("m{}=https://{}", m.id, m.peer));
        let all = all.collect::<Vec<_>>().join(",");
        let tls = tls::Files::at(self.dir.path());
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{}", member.id), "--initial-cluster-state", "new"]);
        command.arg("--data-dir").arg(self.data_dir(index));
        command.args(["--listen-client-urls", &front, "--advertise-client-urls", &front]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &all, "--peer-client-cert-auth", "--log-level", "error"]);
        command.args(["--quota-backend-bytes", "8589934592"]);
        command.arg("--peer-cert-file").arg(tls.certificate);
        command.arg("--peer-key-file").arg(tls.key);
        command.arg("--peer-trusted-ca-file").arg(tls.authority);
        spawn(command)
    }

    /// The index of the member that leads, once one does and answers.
    pub async fn leader(&self) -> Result<usize> {
        let deadline = tokio::time::Instant::now() + START;
        while tokio::time::Instant::now() < deadline {
            let mut ids = Vec::new();
            let mut leaders = Vec::new();
            for member in self.members.iter().filter(|member| member.process.is_some()) {
                let (id, leader) = status(member.front).await.unwrap_or((0, 0));
                ids.push((id, member.id));
                leaders.push(leader);
            }
            let first = leaders.first().copied().unwrap_or(0);
            let member = ids.iter().find(|(id, _)| *id == first && first > 0);
            if let Some((_, member)) = member
                && leaders.iter().all(|leader| *leader == first)
            {
                return Ok(*member as usize - 1);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{:?}: no leader", self.side)
    }

    /// A line to one of our members; its answer.
    pub async fn command(&self, index: usize, line: &str) -> Result<String> {
        let channel = Channel::connect_soon(self.members[index].front, START).await?;
        command(&channel, line).await
    }
}

/// A line to one of our members; its answer.
pub async fn command(channel: &Channel, line: &str) -> Result<String> {
    let mut message = Message::new(line.len());
    message.raw(line.as_bytes());
    let answer = channel.call(wire::COMMAND, message.finish()).await?;
    Ok(String::from_utf8_lossy(wire::first_bytes(&answer)).into_owned())
}

/// Member that answers, and member that leads (0: none).
pub async fn status(front: SocketAddr) -> Result<(u64, u64)> {
    let asked = async {
        let channel = Channel::connect(front).await?;
        let answer: Bytes = channel.call(wire::STATUS, Message::new(0).finish()).await?;
        Ok(wire::read_status(&answer))
    };
    tokio::time::timeout(Duration::from_secs(1), asked).await.context("no answer in time")?
}

fn spawn(mut command: Command) -> Result<Child> {
    let shown = if std::env::var_os("RUST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(shown);
    command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))
}
