//! Between one store and its server: what networks and slow processes do.
//!
//! It reads the server's side of the protocol, so it can tell what the log delivers from the
//! answers to requests.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::random::Random;

/// What goes wrong now.
#[derive(Default)]
pub struct Faults {
    /// Of 100 acknowledgements so many are lost.
    pub lose_acknowledgements: AtomicU32,
    /// So many of the next answers to messages of users come as refusals, whatever they say: a
    /// server that was the leader before has answered first.
    pub refuse_writes: AtomicU32,
    /// What the log delivers comes late: each message a little, some by much.
    pub slow_log: AtomicBool,
    /// Nothing of what the log delivers comes.
    pub hold_log: AtomicBool,
    /// How many acknowledgements were lost.
    pub lost: AtomicU32,
}

pub struct Proxy {
    pub address: String,
    pub faults: Arc<Faults>,
    cut: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn new(server: &str) -> Self {
        let server: SocketAddr = server.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().unwrap().to_string();
        let faults = Arc::new(Faults::default());
        let cut = watch::Sender::new(false);
        let accepting = tokio::spawn(accept(listener, server, faults.clone(), cut.subscribe()));
        Self {
            address,
            faults,
            cut,
            accepting,
        }
    }

    /// Ends all connections, and makes none before [`mend`](Self::mend).
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut.send_replace(true);
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    faults: Arc<Faults>,
    cut: watch::Receiver<bool>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (faults, mut cut) = (faults.clone(), cut.clone());
        if *cut.borrow() {
            continue;
        }
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            tokio::select! {
                () = carry(client, server, &faults) => {}
                _ = cut.wait_for(|cut| *cut) => {}
            }
        });
    }
}

fn take_one(left: &AtomicU32) -> bool {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

async fn carry(client: TcpStream, server: TcpStream, faults: &Faults) {
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (fast, mut fast_lane) = mpsc::unbounded_channel::<Vec<u8>>();
    let (slow, mut slow_lane) = mpsc::unbounded_channel::<Vec<u8>>();
    // Where the answers to messages of users go.
    let of_users = Mutex::new(HashSet::new());
    let requests = async {
        let mut from_client = BufReader::with_capacity(1 << 16, from_client);
        while let Some(frame) = Frame::read(&mut from_client).await {
            if let Some(reply) = frame.reply_of_user() {
                of_users.lock().unwrap().insert(reply.to_owned());
            }
            if to_server.write_all(&frame.bytes).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut from_server = BufReader::with_capacity(1 << 16, from_server);
        let mut random = Random::from_entropy();
        while let Some(mut frame) = Frame::read(&mut from_server).await {
            let is_of_user = frame
                .inbox()
                .is_some_and(|inbox| of_users.lock().unwrap().remove(inbox));
            if is_of_user && take_one(&faults.refuse_writes) {
                frame.refuse();
            }
            if frame.is_acknowledgement()
                && random.below(100) < faults.lose_acknowledgements.load(Ordering::SeqCst) as usize
            {
                faults.lost.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let lane = if frame.is_of_the_log() { &slow } else { &fast };
            if lane.send(frame.bytes).is_err() {
                return;
            }
        }
    };
    let delayed = async {
        let mut random = Random::from_entropy();
        while let Some(frame) = slow_lane.recv().await {
            if faults.slow_log.load(Ordering::SeqCst) {
                let microseconds = match random.below(100) {
                    0 => 20_000 + random.below(100_000),
                    _ => random.below(300),
                };
                tokio::time::sleep(Duration::from_micros(microseconds as u64)).await;
            }
            while faults.hold_log.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if fast.send(frame).is_err() {
                return;
            }
        }
    };
    let deliver = async {
        while let Some(bytes) = fast_lane.recv().await {
            if to_client.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = delayed => {}
        () = deliver => {}
    }
}

/// What a server or a client sends at once.
struct Frame {
    line: String,
    bytes: Vec<u8>,
}

impl Frame {
    async fn read(server: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        if server.read_until(b'\n', &mut bytes).await.ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if ["MSG ", "HMSG ", "PUB ", "HPUB "]
            .iter()
            .any(|word| line.starts_with(word))
        {
            let size: usize = line.rsplit(' ').next()?.parse().ok()?;
            let start = bytes.len();
            bytes.resize(start + size + 2, 0);
            server.read_exact(&mut bytes[start..]).await.ok()?;
        }
        Some(Self { line, bytes })
    }

    /// The subject of what a server sends.
    fn inbox(&self) -> Option<&str> {
        let mut words = self.line.split(' ');
        words.next().filter(|word| word.ends_with("MSG"))?;
        words.next()
    }

    /// Where a client wants the answer, if it publishes a message of a user with headers.
    fn reply_of_user(&self) -> Option<&str> {
        let mut words = self.line.split(' ');
        words.next().filter(|word| *word == "HPUB")?;
        words.next().filter(|subject| subject.contains(".u."))?;
        words.next()
    }

    /// Says that the condition did not hold, or that it cannot be told whether it does.
    fn refuse(&mut self) {
        let refusal = r#"{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"USERS","seq":0}"#;
        // Without headers, if it had some.
        let inbox = self.inbox().unwrap_or_default();
        let id = self.line.split(' ').nth(2).unwrap_or_default();
        self.line = format!("MSG {inbox} {id} {}", refusal.len());
        self.bytes = format!("{}\r\n{refusal}\r\n", self.line).into_bytes();
    }

    /// Deliveries have a reply subject on which they could be acknowledged.
    fn is_of_the_log(&self) -> bool {
        self.line.contains(" $JS.ACK.")
    }

    /// Of a message that was published.
    fn is_acknowledgement(&self) -> bool {
        let payload = self.bytes.get(self.line.len() + 2..).unwrap_or_default();
        payload.starts_with(br#"{"stream":"#)
    }
}
