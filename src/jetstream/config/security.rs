//! Who a store says that it is, and how its connections are secured.

use std::fmt;
use std::path::PathBuf;

use super::JetStreamStoreBuilder;

/// How the client says who it is.
#[derive(Clone)]
pub(in crate::jetstream) enum Auth {
    None,
    UserAndPassword(String, String),
    Token(String),
    NKey(String),
    CredentialsFile(PathBuf),
}

/// Which kind, and nothing else.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserAndPassword(..) => "UserAndPassword(..)",
            Self::Token(_) => "Token(..)",
            Self::NKey(_) => "NKey(..)",
            Self::CredentialsFile(_) => "CredentialsFile(..)",
        })
    }
}

/// Files, not what is in them.
#[derive(Clone, Debug, Default)]
pub(in crate::jetstream) struct Tls {
    pub required: bool,
    pub roots: Option<PathBuf>,
    pub certificate_and_key: Option<(PathBuf, PathBuf)>,
}

impl JetStreamStoreBuilder {
    /// Logs in with a user name and a password.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.auth = Auth::UserAndPassword(user.into(), password.into());
        self
    }

    /// Logs in with a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.auth = Auth::Token(token.into());
        self
    }

    /// Logs in with an NKey, of which this is the seed.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.auth = Auth::NKey(seed.into());
        self
    }

    /// Logs in with a credentials file: a JWT and the seed of its NKey.
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.auth = Auth::CredentialsFile(path.into());
        self
    }

    /// Refuses connections without TLS. An address that begins with `tls://` does so, too.
    pub fn require_tls(mut self) -> Self {
        self.tls.required = true;
        self
    }

    /// Trusts the certificates in this PEM file, and not those that the system trusts.
    /// Requires TLS.
    pub fn tls_roots(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.roots = Some(path.into());
        self.require_tls()
    }

    /// Shows the servers this certificate, with the private key in the other PEM file.
    /// Requires TLS.
    pub fn tls_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls.certificate_and_key = Some((certificate.into(), key.into()));
        self.require_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> JetStreamStoreBuilder {
        JetStreamStoreBuilder::new(vec!["127.0.0.1:4222".to_owned()])
    }

    #[test]
    fn no_secret_is_shown() {
        let builders = [
            builder().user_and_password("service", "hunter2"),
            builder().token("hunter2"),
            builder().nkey("hunter2"),
        ];
        for builder in builders {
            let shown = format!("{builder:?} {builder:#?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
