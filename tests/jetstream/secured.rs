//! Servers that ask who it is: the file of the documentation, and other ways to log in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attuned_store::conformance::check_all;
use attuned_store::{ConnectError, JetStreamStore, JetStreamStoreBuilder};

use crate::builder;
use crate::conformance::without_history;
use crate::server::{Extra, Folder, Secured, Servers};

const PASSWORD: &str = "correct-horse-battery";

/// Makes a certificate authority, and a certificate of the servers that it has signed.
struct Certificates {
    folder: Folder,
}

impl Certificates {
    fn new() -> Self {
        let folder = Folder::new();
        let certificates = Self { folder };
        certificates.authority("authority");
        certificates.authority("stranger");
        certificates.signed("server", 30);
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let run = Command::new("openssl")
            .current_dir(self.folder.path())
            .args(arguments)
            .output();
        let run = run.expect("openssl is installed");
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }

    fn authority(&self, name: &str) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=Authority of a test",
            "-days",
            "30",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
    }

    fn signed(&self, name: &str, days: i32) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=server",
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        fs::write(self.path("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
            "-days",
            &days.to_string(),
            "-extfile",
            "extensions",
            "-out",
            &format!("{name}.pem"),
        ]);
    }
}

/// A server whose certificate is good for no time at all.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_and_named() {
    let certificates = Certificates::new();
    certificates.signed("expired", 0);
    let path = |name| certificates.path(name).display().to_string();
    let has_expired = || {
        let check = Command::new("openssl")
            .args([
                "x509",
                "-noout",
                "-checkend",
                "0",
                "-in",
                &path("expired.pem"),
            ])
            .output();
        !check.expect("openssl is installed").status.success()
    };
    while !has_expired() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It still holds in its last second.
    let second = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let last = second();
    while second() <= last {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        path("expired.pem"),
        path("expired.key")
    );
    let extra = Extra {
        server: &tls,
        ..Extra::default()
    };
    let Some(servers) = Servers::start_with(1, extra) else {
        return;
    };
    let store = builder(&servers, "USERS").tls_roots(certificates.path("authority.pem"));
    let refused = store.connect().await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::Unreachable(_)),
        "{refused:?}"
    );
    let shown = format!("{refused:?}").to_lowercase();
    assert!(shown.contains("expired"), "{shown}");
}

fn file_of_the_documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jetstream/server.conf")
}

fn secured(certificates: &Certificates) -> Option<Servers> {
    Servers::start_secured(Secured {
        config: &file_of_the_documentation(),
        certificate: &certificates.path("server.pem"),
        key: &certificates.path("server.key"),
        authority: &certificates.path("authority.pem"),
        password: PASSWORD,
    })
}

fn service(servers: &Servers, certificates: &Certificates) -> JetStreamStoreBuilder {
    builder(servers, "ATTUNED")
        .user_and_password("service", PASSWORD)
        .tls_roots(certificates.path("authority.pem"))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_as_the_documentation_sets_them_up() {
    let certificates = Certificates::new();
    let Some(servers) = secured(&certificates) else {
        return;
    };
    let store = service(&servers, &certificates)
        .history(8)
        .connect()
        .await
        .unwrap();
    check_all(&store, without_history().history(8))
        .await
        .unwrap();

    let wrong = service(&servers, &certificates).user_and_password("service", "guess-of-mine");
    let wrong = wrong.connect().await.unwrap_err();
    assert!(matches!(wrong, ConnectError::Unauthorized), "{wrong:?}");
    let nobody = builder(&servers, "ATTUNED").tls_roots(certificates.path("authority.pem"));
    let nobody = nobody.connect().await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Unauthorized), "{nobody:?}");
    let stranger = service(&servers, &certificates).tls_roots(certificates.path("stranger.pem"));
    let stranger = stranger.connect().await.unwrap_err();
    assert!(
        matches!(stranger, ConnectError::Unreachable(_)),
        "{stranger:?}"
    );

    // The permissions are for one stream.
    let other = service(&servers, &certificates).stream("OTHER");
    let other = other
        .connect_timeout(Duration::from_secs(5))
        .connect()
        .await;
    let other = other.unwrap_err();
    assert!(
        other
            .to_string()
            .to_lowercase()
            .contains("permissions violation"),
        "{other}"
    );

    for error in [wrong, nobody, stranger, other] {
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("guess-of-mine") && !shown.contains(PASSWORD),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_nkeys_log_in() {
    let extra = Extra {
        server: "authorization { token: open-sesame }",
        ..Extra::default()
    };
    let Some(servers) = Servers::start_with(1, extra) else {
        return;
    };
    builder(&servers, "USERS")
        .token("open-sesame")
        .connect()
        .await
        .unwrap();
    let wrong = builder(&servers, "USERS")
        .token("open-barley")
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(wrong, ConnectError::Unauthorized), "{wrong:?}");

    // The pair of keys of NATS' own documentation.
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let server = format!("authorization {{ users: [{{ nkey: {key} }}] }}");
    let extra = Extra {
        server: &server,
        ..Extra::default()
    };
    let servers = Servers::start_with(1, extra).unwrap();
    builder(&servers, "USERS")
        .nkey(seed)
        .connect()
        .await
        .unwrap();
    for wrong in ["", "SUACSSL3", seed.trim_end_matches('Y')] {
        let error = builder(&servers, "USERS")
            .nkey(wrong)
            .connect()
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::Unauthorized | ConnectError::InvalidCredentials { .. }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_without_showing_it() {
    let with_password = JetStreamStore::builder(["nats://service:hunter2@127.0.0.1:4222"]);
    let error = with_password.connect().await.unwrap_err();
    assert!(matches!(
        error,
        ConnectError::InvalidAddress { index: 0, .. }
    ));
    assert!(!format!("{error} {error:?}").contains("hunter2"));

    let folder = Folder::new();
    let path = folder.path().join("service.creds");
    fs::write(&path, "hunter2").unwrap();
    for path in [path, folder.path().join("none.creds")] {
        let store = JetStreamStore::builder(["127.0.0.1:4222"]).credentials_file(path);
        let error = store.connect().await.unwrap_err();
        assert!(
            matches!(error, ConnectError::InvalidCredentials { .. }),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
