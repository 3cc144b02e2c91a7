//! The system call filter of `RuntimeDefault`.
//!
//! Two filters: the first allows the table's calls and answers `ENOSYS` to all others, so that programs fall
//! back as on an older kernel; the second answers `EPERM` to those that are known and dangerous. Where both
//! refuse, the one installed last decides.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::seccomp_table::{ALLOWED, DENIED, WITH_CAPABILITY};
use super::{Failure, Launch};
use crate::spec::Seccomp;
use crate::sys;

/// Flags of `clone` that make namespaces: forbidden without CAP_SYS_ADMIN.
const CLONE_NAMESPACES: u64 = 0x7E02_0000;
/// `personality` values that programs use: none, 32 bit, and asking.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
const AF_VSOCK: u64 = 40;

/// Compiled filters, in order of installation; none for an unconfined container.
#[derive(Default)]
pub struct Filters(Vec<BpfProgram>);

impl Filters {
    /// Installs them for this process and all it executes. Does not set no_new_privs.
    pub fn install(&self) -> io::Result<()> {
        for program in &self.0 {
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr() as *mut _ };
            let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
            // SAFETY: the kernel copies the program, which lives through the call.
            sys::check(unsafe {
                libc::prctl(libc::PR_SET_SECCOMP, mode, &filter as *const libc::sock_fprog)
            })?;
        }
        Ok(())
    }
}

/// Compiles the filters of a container.
pub fn compile(launch: &Launch) -> Result<Filters, Failure> {
    if launch.privileged || launch.seccomp == Seccomp::Unconfined {
        return Ok(Filters::default());
    }
    build(launch.capabilities).map(Filters).map_err(|e| Failure::new(format!("system call filter: {e}")))
}

fn build(capabilities: u64) -> Result<Vec<BpfProgram>, String> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|e| format!("{e}"))?;
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|nr| (*nr, Vec::new())).collect();
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|nr| (*nr, Vec::new())).collect();
    for (capability, calls) in WITH_CAPABILITY {
        if capabilities & (1 << capability.index()) != 0 {
            for call in *calls {
                allowed.insert(*call, Vec::new());
                denied.remove(call);
            }
        }
    }
    let admin = capabilities & (1 << caps::Capability::CAP_SYS_ADMIN.index()) != 0;
    if !admin {
        // clone3 hides its flags behind a pointer: answered with ENOSYS, programs fall back to clone.
        allowed.remove(&libc::SYS_clone3);
        allowed.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(CLONE_NAMESPACES), 0)?]);
    }
    allowed.insert(libc::SYS_personality, equal_to(0, &PERSONALITIES)?);
    allowed.insert(libc::SYS_socket, vec![rule(0, SeccompCmpOp::Ne, AF_VSOCK)?]);
    let program = |rules, mismatch, matched| -> Result<BpfProgram, String> {
        let filter = SeccompFilter::new(rules, mismatch, matched, arch).map_err(|e| e.to_string())?;
        filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())
    };
    let no_such_call = SeccompAction::Errno(libc::ENOSYS as u32);
    let not_permitted = SeccompAction::Errno(libc::EPERM as u32);
    Ok(vec![
        program(allowed, no_such_call, SeccompAction::Allow)?,
        program(denied, SeccompAction::Allow, not_permitted)?,
    ])
}

fn rule(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value);
    condition.and_then(|c| SeccompRule::new(vec![c])).map_err(|e| e.to_string())
}

fn equal_to(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, String> {
    values.iter().map(|value| rule(argument, SeccompCmpOp::Eq, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_compile_and_do_not_contradict() {
        assert!(DENIED.iter().all(|nr| !ALLOWED.contains(nr)));
        let programs = build(0).expect("build");
        assert!(programs.iter().all(|p| p.len() < 4096));
        assert!(build(u64::MAX).is_ok());
    }
}
