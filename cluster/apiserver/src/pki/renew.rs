//! An identity that is issued again before it ends, without a restart.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::tls::{chain_and_key, provider};
use super::{Issued, PkiError};

/// Issued for a year, renewed after a month: the clock is only looked at in handshakes.
const RENEW_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// After a failed renewal.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(3600);

type Issue = Box<dyn Fn() -> Result<Issued, PkiError> + Send + Sync>;

pub(super) struct Renewed {
    issue: Issue,
    current: ArcSwap<CertifiedKey>,
    renew_at: Mutex<Instant>,
}

impl Renewed {
    pub(super) fn new(
        issue: impl Fn() -> Result<Issued, PkiError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, PkiError> {
        let first = certified(&issue()?)?;
        Ok(Arc::new(Self {
            issue: Box::new(issue),
            current: ArcSwap::from_pointee(first),
            renew_at: Mutex::new(Instant::now() + RENEW_AFTER),
        }))
    }

    fn get(&self) -> Arc<CertifiedKey> {
        let now = Instant::now();
        let due = {
            let mut renew_at = self.renew_at.lock();
            let due = now >= *renew_at;
            if due {
                *renew_at = now + TRY_AGAIN_AFTER;
            }
            due
        };
        if due {
            match (self.issue)().and_then(|issued| certified(&issued)) {
                Ok(fresh) => {
                    self.current.store(Arc::new(fresh));
                    *self.renew_at.lock() = now + RENEW_AFTER;
                }
                Err(error) => tracing::error!(%error, "a certificate could not be renewed"),
            }
        }
        self.current.load_full()
    }
}

fn certified(issued: &Issued) -> Result<CertifiedKey, PkiError> {
    let (chain, key) = chain_and_key(issued)?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl ResolvesClientCert for Renewed {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
