//! How connections are secured.

use std::path::Path;
use std::sync::Arc;

use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};

use super::config::Tls;
use super::error::ConnectError;

const ROOTS: &str = "file of TLS roots";
const CERTIFICATE: &str = "TLS client certificate";

/// The client could make this itself, but only if the whole process has exactly one provider
/// of cryptography; otherwise it panics. So the provider is named here.
pub(super) fn client_config(tls: &Tls) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Unreachable(error.into()))?
        .with_root_certificates(roots(tls.roots.as_deref())?);
    let Some((certificate, key)) = &tls.certificate_and_key else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| malformed(CERTIFICATE))?;
    let chain = certificates(certificate).ok_or_else(|| malformed(CERTIFICATE))?;
    let config = builder.with_client_auth_cert(chain, key);
    config.map_err(|_| malformed(CERTIFICATE))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file).ok_or_else(|| malformed(ROOTS))? {
                roots.add(certificate).map_err(|_| malformed(ROOTS))?;
            }
        }
        // Some may be missing, or all: a connection without TLS needs none.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// All in a PEM file, of which there must be one.
fn certificates(file: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(file).ok()?;
    let all: Vec<_> = all.collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

fn malformed(kind: &'static str) -> ConnectError {
    ConnectError::InvalidCredentials { kind }
}
