//! Lifecycle hooks of containers: a command inside, an HTTP request to the container, or a pause.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use runtime::Runtime;

use crate::probe;

/// A postStart hook has no limit in Kubernetes; ours is far beyond any use.
pub const NO_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Runs a hook, for at most `limit`.
pub async fn run(
    runtime: &Arc<Runtime>,
    hook: &LifecycleHandler,
    container: &Container,
    id: &str,
    pod_ip: IpAddr,
    limit: Duration,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let shown = format!("{command:?}");
        return match runtime.exec_sync(id, command, limit).await {
            Ok(out) if out.exit_code == 0 => Ok(()),
            Ok(out) => {
                let text =
                    String::from_utf8_lossy(if out.stderr.is_empty() { &out.stdout } else { &out.stderr })
                        .into_owned();
                Err(format!("command {shown} exited with {}: {text}", out.exit_code))
            }
            Err(error) => Err(error.to_string()),
        };
    }
    let work = async {
        if let Some(get) = &hook.http_get {
            probe::http::get(get, container, pod_ip, "kube-lifecycle/1.36").await
        } else if let Some(tcp) = &hook.tcp_socket {
            let host = tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_string());
            probe::http::connect(&host, probe::port(&tcp.port, container)?).await.map(drop)
        } else if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0) as u64)).await;
            Ok(())
        } else {
            Ok(())
        }
    };
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(format!("hook did not end within {limit:?}")))
}

/// The number of a signal by its name (`SIGTERM`, `TERM`) or number; SIGTERM for none or an unknown one.
pub fn signal_number(name: &str) -> i32 {
    const NAMES: [(&str, i32); 12] = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ABRT", libc::SIGABRT),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("WINCH", libc::SIGWINCH),
    ];
    let bare = name.strip_prefix("SIG").unwrap_or(name);
    if let Some(offset) = bare.strip_prefix("RTMIN") {
        return libc::SIGRTMIN() + offset.strip_prefix('+').and_then(|o| o.parse::<i32>().ok()).unwrap_or(0);
    }
    let by_name = NAMES.iter().find(|(n, _)| *n == bare).map(|(_, number)| *number);
    by_name.or_else(|| name.parse().ok()).unwrap_or(libc::SIGTERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, number) in
            [("SIGQUIT", 3), ("TERM", 15), ("", 15), ("9", 9), ("SIGRTMIN+3", libc::SIGRTMIN() + 3)]
        {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
