//! Servers that cannot do what is asked of them.

use std::time::Duration;

use attuned_store::{ConnectError, JetStreamError, JetStreamStore, StateStore, StoreError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::server::{Extra, Servers};
use crate::{builder, snapshot};

/// Longer than anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Greets and answers as a server of this version does, and can do nothing else.
async fn server_of(version: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let info = format!(
        "INFO {{\"server_id\":\"X\",\"server_name\":\"x\",\"version\":\"{version}\",\
         \"proto\":1,\"go\":\"go1.20\",\"host\":\"127.0.0.1\",\"port\":{},\
         \"headers\":true,\"max_payload\":1048576,\"jetstream\":true}}\r\n",
        address.port(),
    );
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let info = info.clone();
            tokio::spawn(async move {
                let (reads, mut writes) = client.into_split();
                writes.write_all(info.as_bytes()).await?;
                let mut lines = BufReader::new(reads).lines();
                while let Some(line) = lines.next_line().await? {
                    if line.starts_with("PING") {
                        writes.write_all(b"PONG\r\n").await?;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    address.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_named() {
    for version in ["2.9.25", "2.10.29"] {
        let connect = JetStreamStore::builder([server_of(version).await]).connect();
        let refused = tokio::time::timeout(LIMIT, connect).await.expect("no hang");
        let Err(ConnectError::ServerTooOld { found, needed }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found.as_str(), needed), (version, "2.11.0"));
    }
}

/// One that is not too old, and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_no_hang() {
    let store = JetStreamStore::builder([server_of("2.11.0").await]);
    let store = store.connect_timeout(Duration::from_secs(1));
    let store = store.request_timeout(Duration::from_millis(300));
    let refused = tokio::time::timeout(LIMIT, store.connect()).await;
    let refused = refused.expect("no hang");
    assert!(
        matches!(refused, Err(ConnectError::TimedOut { .. })),
        "{refused:?}"
    );
}

/// Nothing can be written then, and so nothing read through the contract.
async fn a_full_disk(count: usize) {
    let extra = Extra {
        max_file_store: Some("1MB"),
        ..Extra::default()
    };
    let Some(mut servers) = Servers::start_with(count, extra) else {
        return;
    };
    let store = builder(&servers, "USERS").operation_timeout(Duration::from_secs(3));
    let store = store.connect().await.unwrap();
    let mut written = 0;
    let fill = async {
        loop {
            let user_id = format!("u{written}");
            match store.upsert_latest(snapshot(&user_id, 1)).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        }
    };
    let error = tokio::time::timeout(LIMIT, fill).await.expect("no hang");
    let StoreError::Unavailable(source) = &error else {
        panic!("{error:?}");
    };
    let Some(JetStreamError::Refused { description, .. }) = source.downcast_ref() else {
        panic!("{error:?}");
    };
    assert!(description.contains("resource"), "{description}");
    assert!(written > 100, "{written}");
    // What is there can be read without a barrier; the rest says so, and does not hang.
    assert_eq!(store.local().len(), written);
    assert!(!store.local().contains(&format!("u{written}")));
    let read = tokio::time::timeout(LIMIT, store.get_latest("u0")).await;
    let read = read.expect("no hang");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");

    // With more room it goes on.
    for server in &mut servers.servers {
        server.configure(|config| config.replace("max_file_store: 1MB", "max_file_store: 1GB"));
        server.restart();
    }
    let deadline = std::time::Instant::now() + LIMIT;
    while let Err(error) = store.upsert_latest(snapshot("ada", 1)).await {
        assert!(std::time::Instant::now() < deadline, "{error}");
    }
    assert_eq!(
        store.get_latest("u0").await.unwrap(),
        Some(snapshot("u0", 1))
    );
    assert_eq!(
        store.get_latest(&format!("u{written}")).await.unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_one_server() {
    a_full_disk(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disks_of_three_servers() {
    a_full_disk(3).await;
}
