//! What agent and shim say to each other over the sandbox's socket.
//!
//! A frame is a little-endian `u32` length and that many bytes of JSON; descriptors travel with the first
//! byte of a frame (`SCM_RIGHTS`). A connection carries one request and its answer; `Watch` and `Exec` keep
//! it open: the former for events, the latter until the process has ended (closing it kills the process).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::container::{Failure, Launch};
use crate::spec::SandboxSpec;
use crate::status::{ContainerStatus, EventKind};

/// Largest frame. A container's environment and mounts fit many times over.
pub const MAX_FRAME: usize = 8 << 20;
/// Most descriptors in one message.
pub const MAX_FDS: usize = 4;
/// Name of the socket in a sandbox's directory.
pub const SOCKET: &str = "shim.sock";
/// Name of the state file in a sandbox's directory.
pub const STATE: &str = "state.json";
/// Name of the specification in a sandbox's directory.
pub const SPEC: &str = "sandbox.json";

/// What a shim is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShimSpec {
    /// The sandbox.
    pub sandbox: SandboxSpec,
    /// The runtime's root directory.
    pub root: std::path::PathBuf,
    /// Cgroup of all pods of this agent.
    pub cgroup_parent: String,
    /// Creation time.
    pub created_at: jiff::Timestamp,
}

/// What a shim keeps on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// The shim's process; 0 before it is ready.
    pub shim_pid: u32,
    /// All containers.
    pub containers: Vec<ContainerStatus>,
}

/// From agent to shim.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Answered with `State`, then with an `Event` for every change.
    Watch,
    /// Makes a container known.
    Create {
        /// How to start it.
        launch: Box<Launch>,
        /// What to report about it.
        status: Box<ContainerStatus>,
    },
    /// Starts it.
    Start { id: String },
    /// Signals its first process.
    Signal { id: String, signal: i32 },
    /// Signals it, kills it after the grace period, answers when it has ended.
    Stop { id: String, signal: i32, grace_ms: u64 },
    /// Forgets a container that does not run.
    Remove { id: String },
    /// Runs a process; descriptors: standard input, output, error, or none with a terminal.
    Exec { id: String, args: Vec<String>, env: Vec<(String, String)>, tty: bool },
    /// Connects streams; descriptors: output, error, and input when `stdin`.
    Attach { id: String, stdin: bool },
    /// Changes the size of its terminal.
    Resize { id: String, rows: u16, cols: u16 },
    /// Opens its log path anew.
    ReopenLog { id: String },
    /// Kills every container and ends the shim.
    Shutdown,
}

/// From shim to agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Done, and this is what the container is now.
    Status(Box<ContainerStatus>),
    /// Connected to its streams.
    Attached {
        /// Whether the container has a terminal.
        tty: bool,
    },
    /// Could not be done.
    Failed {
        /// Why.
        failure: Failure,
        /// What the container is now, when that has changed.
        status: Option<Box<ContainerStatus>>,
    },
    /// No such container.
    NotFound,
    /// The container's state forbids it.
    WrongState(String),
    /// All containers.
    State(State),
    /// A container changed.
    Event {
        /// How.
        kind: EventKind,
        /// What it is now.
        status: Box<ContainerStatus>,
    },
    /// A process of `Exec` runs; with a terminal its master comes along as descriptor.
    ExecStarted,
    /// A process of `Exec` ended: exit code or 128 + signal.
    ExecExited(i32),
}

/// A frame's bytes.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message is too large"));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(frame)
}

/// Takes a whole message off the front of `buffer`; `None` when there is none yet.
pub fn decode<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message is too large"));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[4..4 + length])?;
    buffer.drain(..4 + length);
    Ok(Some(message))
}

/// Sends bytes, and descriptors with the first of them; returns how many bytes went.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives bytes and descriptors; 0 means the other side has closed.
pub fn receive(socket: impl AsFd, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(bytes)];
    let got = rustix::net::recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(got.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut() {
        let frame = encode(&Request::Resize { id: "a".into(), rows: 1, cols: 2 }).expect("encode");
        let mut buffer = Vec::new();
        for byte in &frame[..frame.len() - 1] {
            buffer.push(*byte);
            assert!(decode::<Request>(&mut buffer).expect("partial").is_none());
        }
        buffer.push(frame[frame.len() - 1]);
        buffer.push(7);
        let whole = decode::<Request>(&mut buffer).expect("decode");
        assert!(matches!(whole, Some(Request::Resize { rows: 1, cols: 2, .. })));
        assert_eq!(buffer, [7]);
    }

    #[test]
    fn a_huge_length_is_refused() {
        let mut buffer = u32::MAX.to_le_bytes().to_vec();
        assert!(decode::<Request>(&mut buffer).is_err());
    }
}
