//! What is said about a container that ended: code, reason, and its last words.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Container;
use runtime::{ContainerState, ContainerStatus};

use super::adopt::{Life, Observed};
use super::state::{Instance, Terminated};
use crate::logs;
use crate::volumes::Layout;

const MAX_MESSAGE: usize = 4096;
const MAX_LOG_TAIL: usize = 2048;
const MAX_LOG_LINES: usize = 80;

/// The end of a container, message included. Blocking (reads a small file).
pub fn terminated(layout: &Layout, container: Option<&Container>, status: &ContainerStatus) -> Terminated {
    let exit_code = status.exit_code.unwrap_or(137);
    let not_started = status.started_at.is_none() && !status.message.is_empty();
    let reason = match exit_code {
        _ if not_started => "StartError",
        _ if status.oom_killed => "OOMKilled",
        0 => "Completed",
        _ => "Error",
    };
    let message = if not_started {
        status.message.clone()
    } else {
        let path = layout.termination_log(&status.sandbox_id, &status.name, status.attempt);
        last_words(&path, container, exit_code, &status.log_path)
    };
    Terminated {
        id: status.id.clone(),
        exit_code,
        signal: status.signal,
        reason: reason.to_owned(),
        message,
        started_at: status.started_at,
        finished_at: status.finished_at,
    }
}

fn last_words(path: &Path, container: Option<&Container>, exit_code: i32, log: &Path) -> String {
    let mut words = Vec::new();
    if let Ok(file) = File::open(path) {
        // What can not be read is not shown; the container has ended either way.
        let _ = file.take(MAX_MESSAGE as u64).read_to_end(&mut words);
    }
    let fallback =
        container.and_then(|c| c.termination_message_policy.as_deref()) == Some("FallbackToLogsOnError");
    if words.is_empty() && fallback && exit_code != 0 {
        return log_tail(log);
    }
    String::from_utf8_lossy(&words).into_owned()
}

fn log_tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let len = file.metadata().map_or(0, |m| m.len());
    let window = 4 * MAX_LOG_TAIL as u64;
    let mut bytes = Vec::new();
    let read =
        file.seek(SeekFrom::Start(len.saturating_sub(window))).and_then(|_| file.read_to_end(&mut bytes));
    if read.is_err() {
        return String::new();
    }
    let mut text = String::new();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    for line in lines.iter().rev().take(MAX_LOG_LINES).rev() {
        if let Some(line) = logs::parse(line) {
            text.push_str(&String::from_utf8_lossy(line.content));
        }
    }
    let cut = text.len().saturating_sub(MAX_LOG_TAIL);
    let start = (cut..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.split_off(start)
}

/// A container of the runtime, for the adoption of its pod. Blocking.
pub fn observe(
    layout: &Layout,
    container: Option<&Container>,
    image_ref: String,
    status: &ContainerStatus,
) -> Observed {
    let what = match (status.state, status.started_at) {
        (ContainerState::Created, _) => Life::Created { id: status.id.clone() },
        (ContainerState::Running, started) => Life::Running(Instance {
            id: status.id.clone(),
            started_at: started.unwrap_or(status.created_at),
        }),
        (ContainerState::Exited, _) => Life::Exited(terminated(layout, container, status)),
    };
    Observed { name: status.name.clone(), attempt: status.attempt, image_id: image_ref, what }
}
