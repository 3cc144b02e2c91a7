//! Certificates: the CAs, and every identity they vouch for.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::{Pki, PkiError};

const CA_LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// Long enough for a client certificate that nobody renews, as kubeadm issues them.
const LEAF_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// Clocks of hosts differ: a certificate is valid from a little before it was made.
const BACKDATE: Duration = Duration::from_secs(300);

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, then the CA's.
    pub cert_pem: String,
    /// PKCS #8.
    pub key_pem: String,
}

/// Why a certificate signing request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrProblem {
    /// It is not a PKCS #10 request with a valid signature and a supported key.
    #[error("the certificate signing request is not usable: {0}")]
    Unusable(rcgen::Error),
    /// Its subject is not one that the signer signs.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The certificate could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// What a signing request asks for.
pub(crate) struct Requested {
    pub common_name: String,
    pub groups: Vec<String>,
    /// DNS names and addresses.
    pub names: Vec<String>,
}

impl Requested {
    pub(crate) fn parse(pem: &str) -> Result<Self, CsrProblem> {
        let request = CertificateSigningRequestParams::from_pem(pem).map_err(CsrProblem::Unusable)?;
        let subject = &request.params.distinguished_name;
        let text = |kind: DnType| match subject.get(&kind) {
            Some(DnValue::Utf8String(text)) => Some(text.clone()),
            Some(DnValue::PrintableString(text)) => Some(text.as_str().to_owned()),
            _ => None,
        };
        let name = |san: &SanType| match san {
            SanType::DnsName(name) => Some(name.as_str().to_owned()),
            SanType::IpAddress(address) => Some(address.to_string()),
            _ => None,
        };
        Ok(Self {
            common_name: text(DnType::CommonName)
                .ok_or(CsrProblem::NotAllowed("the subject has no common name"))?,
            groups: text(DnType::OrganizationName).into_iter().collect(),
            names: request.params.subject_alt_names.iter().filter_map(name).collect(),
        })
    }

    /// The subject is a node's.
    pub(crate) fn require_node(&self) -> Result<(), CsrProblem> {
        let is_node = self.common_name.starts_with("system:node:") && self.groups == ["system:nodes"];
        is_node.then_some(()).ok_or(CsrProblem::NotAllowed("the subject is not a node's"))
    }
}

pub(super) fn new_key(what: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|source| PkiError::Certificate { what: what.to_owned(), source })
}

/// A self-signed CA: certificate and key, PEM.
pub(super) fn new_ca(common_name: &str) -> Result<(String, String), PkiError> {
    let key = new_key(common_name)?;
    let mut params = base(common_name, &[], CA_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params
        .self_signed(&key)
        .map_err(|source| PkiError::Certificate { what: common_name.to_owned(), source })?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn base(common_name: &str, groups: &[&str], life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    subject.push(DnType::CommonName, common_name);
    params.distinguished_name = subject;
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + life).into();
    params
}

fn leaf(common_name: &str, groups: &[&str], uses: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = base(common_name, groups, LEAF_LIFE);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = uses.to_vec();
    params.use_authority_key_identifier_extension = true;
    params
}

fn alternative_names(names: &[String]) -> Result<Vec<SanType>, PkiError> {
    let one = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| PkiError::Name(name.clone()))?)),
    };
    names.iter().map(one).collect()
}

impl Pki {
    fn ca(&self) -> Result<Issuer<'static, &KeyPair>, PkiError> {
        issuer(&self.inner.files.ca_cert, &self.inner.ca_key)
    }

    /// A serving certificate for these DNS names and addresses.
    ///
    /// # Errors
    /// A name is not a DNS name, or signing failed.
    pub fn issue_server(&self, common_name: &str, names: &[String]) -> Result<Issued, PkiError> {
        let mut params = leaf(common_name, &[], &[ExtendedKeyUsagePurpose::ServerAuth]);
        params.subject_alt_names = alternative_names(names)?;
        sign(params, &self.ca()?, self.ca_pem(), common_name)
    }

    /// A client certificate: user `common_name` in `groups` (one at most).
    ///
    /// # Errors
    /// More than one group, or signing failed.
    pub fn issue_client(&self, common_name: &str, groups: &[&str]) -> Result<Issued, PkiError> {
        if groups.len() > 1 {
            // rcgen keeps one value of each kind in a subject.
            return Err(PkiError::Groups(groups.len()));
        }
        let params = leaf(common_name, groups, &[ExtendedKeyUsagePurpose::ClientAuth]);
        sign(params, &self.ca()?, self.ca_pem(), common_name)
    }

    /// Certificate of a Raft peer, by the peers' own CA: serves and dials.
    pub(super) fn issue_peer(&self, common_name: &str, dns_name: &str) -> Result<Issued, PkiError> {
        let uses = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let mut params = leaf(common_name, &[], &uses);
        params.subject_alt_names = alternative_names(&[dns_name.to_owned()])?;
        let ca_pem = &self.inner.files.peer_ca_cert;
        sign(params, &issuer(ca_pem, &self.inner.peer_ca_key)?, ca_pem, common_name)
    }

    /// Signs the public key of a request, with a subject of our choice: nothing else of the request
    /// is believed.
    pub(crate) fn sign_request(
        &self,
        csr_pem: &str,
        common_name: &str,
        groups: &[&str],
        serving_names: Option<&[String]>,
    ) -> Result<String, CsrProblem> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(CsrProblem::Unusable)?;
        let uses = match serving_names {
            Some(_) => ExtendedKeyUsagePurpose::ServerAuth,
            None => ExtendedKeyUsagePurpose::ClientAuth,
        };
        request.params = leaf(common_name, groups, &[uses]);
        request.params.subject_alt_names = alternative_names(serving_names.unwrap_or_default())?;
        let certificate = request
            .signed_by(&self.ca()?)
            .map_err(|source| PkiError::Certificate { what: common_name.to_owned(), source })?;
        Ok(certificate.pem() + self.ca_pem())
    }
}

/// A new key and a request for a certificate of it: (request, key), PEM.
pub(super) fn new_request(common_name: &str) -> Result<(String, String), PkiError> {
    let key = new_key(common_name)?;
    let request = base(common_name, &[], LEAF_LIFE)
        .serialize_request(&key)
        .and_then(|r| r.pem())
        .map_err(|source| PkiError::Certificate { what: common_name.to_owned(), source })?;
    Ok((request, key.serialize_pem()))
}

fn issuer<'k>(ca_pem: &str, key: &'k KeyPair) -> Result<Issuer<'static, &'k KeyPair>, PkiError> {
    Issuer::from_ca_cert_pem(ca_pem, key)
        .map_err(|source| PkiError::Certificate { what: "CA".to_owned(), source })
}

fn sign(
    params: CertificateParams,
    ca: &Issuer<'_, &KeyPair>,
    ca_pem: &str,
    what: &str,
) -> Result<Issued, PkiError> {
    let key = new_key(what)?;
    let certificate = params
        .signed_by(&key, ca)
        .map_err(|source| PkiError::Certificate { what: what.to_owned(), source })?;
    Ok(Issued { cert_pem: certificate.pem() + ca_pem, key_pem: key.serialize_pem() })
}
