//! `JetStreamStore` beside what a bare client does on the same servers, in the same run.
//!
//! It starts one server, and then three, on this machine; so client and servers share its
//! cores. Every row has two sides that take turns, and says their medians and the ratio.

#![forbid(unsafe_code)]

mod bare;
mod rounds;
#[path = "../../../../tests/jetstream/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod server;

use std::fmt;
use std::time::{Duration, Instant};

use attuned_store::{Follow, JetStreamStore, MemoryStore, StateSnapshot, StateStore};
use clap::Parser;
use futures_util::future::join_all;

use bare::Bare;
use rounds::{Row, Unit};
use server::Servers;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// As in the tests of the store: some 170 bytes of JSON.
fn snapshot(user: usize, at: i64) -> StateSnapshot {
    let axes = ["warmth", "formality", "pace", "detail"].map(|name| (name, 0.25));
    StateSnapshot::builder()
        .user_id(format!("user-{user}"))
        .updated_at(1_700_000_000_000 + at)
        .axes(axes)
        .build()
        .expect("a valid snapshot")
}

/// In which the reads of one round are divided.
const TURNS: usize = 100;

fn announce(line: fmt::Arguments<'_>) {
    eprintln!("{line}");
}

#[derive(Parser)]
struct Options {
    /// The figures to publish: ten times as many operations.
    #[arg(long)]
    full: bool,
}

/// How much is done in each round.
#[derive(Clone, Copy)]
struct Size {
    rounds: usize,
    /// One after the other.
    single: usize,
    /// By 128 at once.
    many: usize,
    users: usize,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let size = if Options::parse().full {
        Size {
            rounds: 9,
            single: 2_000,
            many: 40_000,
            users: 100_000,
        }
    } else {
        Size {
            rounds: 3,
            single: 300,
            many: 5_000,
            users: 10_000,
        }
    };
    for count in [1, 3] {
        let Some(mut servers) = Servers::start(count) else {
            return Ok(());
        };
        println!("\n{count} server(s), {size}");
        rows(&servers, size).await?;
        catching_up(&servers, size).await?;
        if count == 3 {
            pause_of_writes(&mut servers).await?;
        }
    }
    Ok(())
}

async fn store(servers: &Servers, stream: &str) -> Result<JetStreamStore, Failure> {
    store_that_follows(Follow::Histories, servers, stream).await
}

async fn store_that_follows(
    follow: Follow,
    servers: &Servers,
    stream: &str,
) -> Result<JetStreamStore, Failure> {
    let store = JetStreamStore::builder(servers.addresses())
        .stream(stream)
        .follow(follow)
        .history(3);
    let store = store
        .replicas(servers.count())
        .connect_timeout(Duration::from_secs(60));
    Ok(store.connect().await?)
}

async fn rows(servers: &Servers, size: Size) -> Result<(), Failure> {
    let store = store(servers, "USERS").await?;
    // A write of it is not delivered to anybody.
    let unfollowed = store_that_follows(Follow::Nobody, servers, "UNFOLLOWED").await?;
    let memory = MemoryStore::builder().history(3).build()?;
    let bare = Bare::connect(servers, "BARE").await?;
    // What the servers and a client have to do in any case if somebody follows.
    let followed = Bare::connect(servers, "FOLLOWED").await?;
    let follower = Bare::connect(servers, "FOLLOWED").await?;
    tokio::spawn(async move { follower.consume("FOLLOWED", u64::MAX).await });
    let body = serde_json::to_vec(&snapshot(0, 0))?;
    store.upsert_latest(snapshot(0, 0)).await?;
    memory.insert(snapshot(0, 0))?;

    let mut local = Row::new("read of a hot user: local(), memory", Unit::Each);
    let mut read = Row::new("1 in flight: linearizable read, bare publish", Unit::Each);
    let mut reads = Row::new(
        "128 in flight: linearizable reads, core requests",
        Unit::Rate,
    );
    let mut write = Row::new("1 in flight: upsert, bare publish", Unit::Each);
    let mut writes = Row::new("128 in flight: upserts, bare publishes", Unit::Rate);
    let mut unfollowed_write = Row::new(
        "1 in flight: upsert of a store that follows nobody, bare publish",
        Unit::Each,
    );
    let mut unfollowed_writes = Row::new(
        "128 in flight: upserts of a store that follows nobody, bare publishes",
        Unit::Rate,
    );
    let mut followed_write = Row::new(
        "1 in flight: bare publish that a bare consumer follows, bare publish",
        Unit::Each,
    );
    let mut followed_writes = Row::new(
        "128 in flight: bare publishes that a bare consumer follows, bare publishes",
        Unit::Rate,
    );
    for _ in 0..size.rounds {
        let hot = 1_000 * size.single;
        // By turns that are short, so that what else goes on meets both.
        let hot = hot / TURNS;
        for _ in 0..TURNS {
            local.ours(hot, || {
                for _ in 0..hot {
                    let user = std::hint::black_box("user-0");
                    std::hint::black_box(store.local().with(user, |state| state.confidence()));
                }
            });
            local.theirs(hot, || {
                for _ in 0..hot {
                    let user = std::hint::black_box("user-0");
                    std::hint::black_box(memory.with(user, |state| state.confidence()));
                }
            });
        }

        for _ in 0..size.single {
            let begun = Instant::now();
            store.get_latest("user-0").await?;
            read.ours_took(begun.elapsed());
            let begun = Instant::now();
            bare.publish(0, body.clone()).await?;
            read.theirs_took(begun.elapsed());
            let begun = Instant::now();
            store.upsert_latest(snapshot(0, 1)).await?;
            write.ours_took(begun.elapsed());
            let begun = Instant::now();
            bare.publish(0, body.clone()).await?;
            write.theirs_took(begun.elapsed());
            unfollowed_write.theirs_took(begun.elapsed());
            followed_write.theirs_took(begun.elapsed());
            let begun = Instant::now();
            unfollowed.upsert_latest(snapshot(0, 1)).await?;
            unfollowed_write.ours_took(begun.elapsed());
            let begun = Instant::now();
            followed.publish(0, body.clone()).await?;
            followed_write.ours_took(begun.elapsed());
        }

        let begun = Instant::now();
        at_once(size.many, |_| async {
            store.get_latest("user-0").await.map(drop)
        })
        .await?;
        reads.ours_took(begun.elapsed() / size.many as u32);
        let begun = Instant::now();
        at_once(size.many, |_| bare.echo()).await?;
        reads.theirs_took(begun.elapsed() / size.many as u32);

        let begun = Instant::now();
        at_once(size.many, |index| {
            store.upsert_latest(snapshot(index % 1_000, 2))
        })
        .await?;
        writes.ours_took(begun.elapsed() / size.many as u32);
        let begun = Instant::now();
        at_once(size.many, |index| bare.publish(index % 1_000, body.clone())).await?;
        writes.theirs_took(begun.elapsed() / size.many as u32);
        unfollowed_writes.theirs_took(begun.elapsed() / size.many as u32);
        followed_writes.theirs_took(begun.elapsed() / size.many as u32);
        let begun = Instant::now();
        at_once(size.many, |index| {
            unfollowed.upsert_latest(snapshot(index % 1_000, 2))
        })
        .await?;
        unfollowed_writes.ours_took(begun.elapsed() / size.many as u32);
        let begun = Instant::now();
        at_once(size.many, |index| {
            followed.publish(index % 1_000, body.clone())
        })
        .await?;
        followed_writes.ours_took(begun.elapsed() / size.many as u32);
    }
    for row in [
        local,
        read,
        reads,
        write,
        unfollowed_write,
        followed_write,
        writes,
        unfollowed_writes,
        followed_writes,
    ] {
        println!("{row}");
    }
    Ok(())
}

/// 128 in flight, each beginning its next when its last has ended.
async fn at_once<F, E>(operations: usize, operation: impl Fn(usize) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), E>>,
    Failure: From<E>,
{
    const IN_FLIGHT: usize = 128;
    let operation = &operation;
    let workers = (0..IN_FLIGHT).map(|worker| async move {
        for index in (worker..operations).step_by(IN_FLIGHT) {
            operation(index).await?;
        }
        Ok::<_, Failure>(())
    });
    join_all(workers).await.into_iter().collect()
}

/// A process comes to a stream that has much in it.
async fn catching_up(servers: &Servers, size: Size) -> Result<(), Failure> {
    let filler = store(servers, "MANY").await?;
    for at in 0..3 {
        at_once(size.users, |user| filler.upsert_latest(snapshot(user, at))).await?;
    }
    drop(filler);
    let mut row = Row::new("catching up, a user: store, bare consumer", Unit::Each);
    let bare = Bare::connect(servers, "BARE").await?;
    for _ in 0..size.rounds.min(3) {
        let begun = Instant::now();
        let caught_up = store(servers, "MANY").await?;
        row.ours_took(begun.elapsed() / size.users as u32);
        assert_eq!(caught_up.local().len(), size.users);
        let begun = Instant::now();
        bare.consume("MANY", 3 * size.users as u64).await?;
        row.theirs_took(begun.elapsed() / size.users as u32);
    }
    println!("{row}");
    Ok(())
}

/// The leader of the stream is killed while one writes.
async fn pause_of_writes(servers: &mut Servers) -> Result<(), Failure> {
    let store = store(servers, "USERS").await?;
    let bare = Bare::connect(servers, "BARE").await?;
    let body = serde_json::to_vec(&snapshot(0, 0))?;
    let write = async || store.upsert_latest(snapshot(0, 3)).await.is_ok();
    let ours = longest_pause(servers, "USERS", write).await;
    let write = async || bare.publish(0, body.clone()).await.is_ok();
    let theirs = longest_pause(servers, "BARE", write).await;
    println!(
        "longest pause of writes when the leader is killed: store {:.2} s, bare client {:.2} s",
        ours.as_secs_f64(),
        theirs.as_secs_f64()
    );
    Ok(())
}

async fn longest_pause(
    servers: &mut Servers,
    stream: &str,
    write: impl AsyncFn() -> bool,
) -> Duration {
    let leader = servers.wait_for_leader(stream);
    let begun = Instant::now();
    let (mut longest, mut last) = (Duration::ZERO, begun);
    let mut is_killed = false;
    while begun.elapsed() < Duration::from_secs(14) {
        if !is_killed && begun.elapsed() > Duration::from_secs(1) {
            servers.servers[leader].kill();
            is_killed = true;
        }
        if write().await {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    servers.servers[leader].restart();
    longest
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "medians of {} rounds", self.rounds)
    }
}
