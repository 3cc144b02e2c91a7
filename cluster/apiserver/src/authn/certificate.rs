//! Client certificates: the common name is the user, the organizations are the groups. TLS has
//! verified the chain already.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::User;

/// The user of a verified client certificate; none when it has no common name.
pub(crate) fn user_of_certificate(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().find_map(|n| n.as_str().ok())?.to_owned();
    let groups = parsed.subject().iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned);
    Some(User { name, groups: groups.collect(), ..User::default() }).filter(|u| !u.name.is_empty())
}
