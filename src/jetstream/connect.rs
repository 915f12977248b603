//! From settings to a store that has caught up.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError, Subscriber,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{self, Instant};

use super::barrier::Barriers;
use super::config::{Auth, Follow, JetStreamStoreBuilder};
use super::counts::Counts;
use super::error::{ConnectError, JetStreamError};
use super::expiry::LogClock;
use super::follow::Follower;
use super::gaps::Gaps;
use super::hot::HotUsers;
use super::kept::Kept;
use super::link::Link;
use super::message::Subjects;
use super::own::OwnWrites;
use super::removed::Removed;
use super::replica::Replica;
use super::stream::{self, Wanted};
use super::validated::SingleFlight;
use super::{Core, JetStreamStore, Shared, StreamDifference, answers, barrier_period, tls};

/// The first version with conditions on another subject than that of the message, with
/// lifetimes of single messages, and with batched direct gets.
const NEEDED_VERSION: (i64, i64, i64) = (2, 11, 0);
const NEEDED: &str = "2.11.0";

const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn connect(
    builder: JetStreamStoreBuilder,
) -> Result<JetStreamStore, ConnectError> {
    let (connected, connections) = watch::channel(0);
    let refused = Arc::new(Mutex::new(None));
    let deadline = Instant::now() + builder.connect_timeout;

    let client = connect_client(&builder, connected, Arc::clone(&refused));
    let client = in_time(deadline, "connecting", client).await??;
    let (major, minor, patch) = NEEDED_VERSION;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(ConnectError::ServerTooOld {
            found: client.server_info().version,
            needed: NEEDED,
        });
    }

    let own_writes = OwnWrites::new();
    let messages = builder.messages_of_user();
    let subjects = Subjects::new(&builder.stream, own_writes.process());
    let stream = builder.stream.clone();
    let link = Link::new(client, stream, subjects, messages, builder.request_timeout);
    let link = Arc::new(link);
    let wanted = Wanted {
        replicas: builder.replicas,
        messages,
    };
    let checked = create_or_check(&link, &wanted, deadline).await;
    let differences = checked.map_err(|error| stream_error(error, &refused))?;
    if !differences.is_empty() {
        return Err(ConnectError::StreamDiffers {
            stream: builder.stream,
            differences,
        });
    }

    // Before the first of them is published.
    let answers = link.receive_answers().await;
    let answers = answers.map_err(|error| stream_error(error, &refused))?;
    let store = start(&builder, link, own_writes, connections, answers)?;
    let caught_up = catch_up(&store.0.core, builder.connect_timeout).await;
    caught_up.map_err(|error| stream_error(error, &refused))?;
    Ok(store)
}

fn start(
    builder: &JetStreamStoreBuilder,
    link: Arc<Link>,
    own_writes: OwnWrites,
    connections: watch::Receiver<u64>,
    answers: Subscriber,
) -> Result<JetStreamStore, ConnectError> {
    let own_writes = Arc::new(own_writes);
    let clock = Arc::new(LogClock::new(builder.time_to_live));
    let kept = match builder.follow {
        Follow::Nobody => Kept::Hot(Arc::new(HotUsers::new(builder.cached_users))),
        Follow::Histories | Follow::Latest => Kept::All(Arc::new(Replica::new(
            builder.replica_history(),
            builder.capacity,
            Gaps::new(builder.marker_lifetime / 2),
            Removed::new(builder.marker_lifetime),
            Arc::clone(&clock),
            Arc::clone(&own_writes),
        )?)),
    };
    let period = barrier_period(builder.marker_lifetime / 2);
    let barriers = Barriers::new(Arc::clone(&link), kept.clone(), period);
    let (alive, is_alive) = watch::channel(());
    let core = Arc::new(Core {
        link,
        kept,
        clock,
        barriers: Arc::new(barriers),
        own_writes,
        counts: Arc::new(Counts::default()),
        single_flight: SingleFlight::default(),
        history: builder.history,
        replicas: builder.replicas,
        follow: builder.follow,
        prefetch: builder.prefetch.into(),
        connections,
        alive: is_alive,
        marker_lifetime: builder.marker_lifetime,
        operation_timeout: builder.operation_timeout,
        user_id_field: builder.user_id_field,
        users_of_a_part: builder.users_of_a_part,
        drawn: AtomicU64::new(0),
    });
    let tasks = tasks(&core, builder.time_to_live, answers);
    let _alive = alive;
    Ok(JetStreamStore(Arc::new(Shared {
        core,
        tasks,
        _alive,
    })))
}

/// What goes on as long as the store is there.
fn tasks(
    core: &Arc<Core>,
    time_to_live: Option<Duration>,
    answers: Subscriber,
) -> Vec<AbortHandle> {
    let mut tasks = Vec::new();
    tasks.push(tokio::spawn(answers::receive(Arc::clone(core), answers)).abort_handle());
    match &core.kept {
        Kept::All(replica) => {
            let follower = Follower {
                link: Arc::clone(&core.link),
                replica: Arc::clone(replica),
                own_writes: Arc::clone(&core.own_writes),
                barriers: Arc::clone(&core.barriers),
                counts: Arc::clone(&core.counts),
                connections: core.connections.clone(),
                prefetch: core.prefetch,
                follow: core.follow,
                created: None,
            };
            tasks.push(tokio::spawn(follower.run()).abort_handle());
        }
        Kept::Hot(hot) => {
            let link = Arc::clone(&core.link);
            let compare = Arc::clone(hot).compare_streams(link);
            tasks.push(tokio::spawn(compare).abort_handle());
        }
    }
    let barriers = Arc::clone(&core.barriers);
    let keep_time = async move { barriers.keep_time().await };
    tasks.push(tokio::spawn(keep_time).abort_handle());
    if let Some(time_to_live) = time_to_live {
        let sweep = Arc::clone(core).sweep(time_to_live);
        tasks.push(tokio::spawn(sweep).abort_handle());
    }
    tasks
}

async fn in_time<T>(
    deadline: Instant,
    during: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, ConnectError> {
    let done = time::timeout_at(deadline, work).await;
    done.map_err(|_| ConnectError::TimedOut { during })
}

/// What a server has refused outside of an answer: what the permissions do not allow.
type RefusedByServer = Arc<Mutex<Option<String>>>;

async fn connect_client(
    builder: &JetStreamStoreBuilder,
    connected: watch::Sender<u64>,
    refused: RefusedByServer,
) -> Result<Client, ConnectError> {
    let mut addresses = Vec::with_capacity(builder.servers.len());
    for (index, address) in builder.servers.iter().enumerate() {
        let invalid = |reason| ConnectError::InvalidAddress { index, reason };
        if address.contains('@') {
            return Err(invalid("it has a user name or a password in it"));
        }
        let parsed = address.parse::<ServerAddr>();
        addresses.push(parsed.map_err(|_| invalid("it is no address of a server"))?);
    }
    let options = log_in(ConnectOptions::new(), &builder.auth)?;
    let options = options
        .require_tls(builder.tls.required)
        .tls_client_config(tls::client_config(&builder.tls)?)
        .name("attuned-store")
        .connection_timeout(builder.connect_timeout)
        .request_timeout(Some(builder.request_timeout))
        .ping_interval(Duration::from_secs(5))
        .event_callback(move |event| {
            match event {
                Event::Connected => connected.send_modify(|count| *count += 1),
                Event::ServerError(ServerError::Other(error)) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
                _ => {}
            }
            std::future::ready(())
        });
    options
        .connect(addresses)
        .await
        .map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation => ConnectError::Unauthorized,
            // The client could not sign with them.
            ConnectErrorKind::Authentication => ConnectError::InvalidCredentials { kind: "key" },
            ConnectErrorKind::TimedOut => ConnectError::TimedOut {
                during: "connecting",
            },
            _ => ConnectError::Unreachable(error.into()),
        })
}

fn log_in(options: ConnectOptions, auth: &Auth) -> Result<ConnectOptions, ConnectError> {
    let malformed = |kind| ConnectError::InvalidCredentials { kind };
    Ok(match auth {
        Auth::None => options,
        Auth::UserAndPassword(user, password) => {
            options.user_and_password(user.clone(), password.clone())
        }
        Auth::Token(token) => options.token(token.clone()),
        // A seed that is none shows when it is to sign.
        Auth::NKey(seed) => options.nkey(seed.clone()),
        Auth::CredentialsFile(path) => {
            let kind = "credentials file";
            let text = fs::read_to_string(path).map_err(|_| malformed(kind))?;
            options.credentials(&text).map_err(|_| malformed(kind))?
        }
    })
}

/// Tries again while there is no leader.
async fn create_or_check(
    link: &Link,
    wanted: &Wanted,
    deadline: Instant,
) -> Result<Vec<StreamDifference>, JetStreamError> {
    loop {
        match stream::create_or_check(link, wanted).await {
            Err(error) if error.is_temporary() && Instant::now() + PAUSE < deadline => {
                time::sleep(PAUSE).await;
            }
            checked => return checked,
        }
    }
}

/// Waits until all is applied that was in the log when this began, as long as it goes on.
async fn catch_up(core: &Core, longest_standstill: Duration) -> Result<(), JetStreamError> {
    let barrier = core.barrier(Instant::now() + longest_standstill).await?;
    let Kept::All(replica) = &core.kept else {
        return match core.clock.has_time_to_live() {
            true => core.set_clock().await,
            false => Ok(()),
        };
    };
    loop {
        let before = replica.applied();
        let Some(told) = replica.when_applied(barrier.sequence) else {
            return Ok(());
        };
        if time::timeout(longest_standstill, told).await.is_err() && replica.applied() == before {
            return Err(JetStreamError::ReplicaBehind);
        }
    }
}

fn stream_error(error: JetStreamError, refused: &RefusedByServer) -> ConnectError {
    let refused = refused
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match (error, refused) {
        (JetStreamError::TimedOut | JetStreamError::ReplicaBehind, Some(refused)) => {
            ConnectError::Stream(refused.into())
        }
        (JetStreamError::TimedOut, None) => ConnectError::TimedOut {
            during: "looking for the stream",
        },
        (JetStreamError::ReplicaBehind, None) => ConnectError::TimedOut {
            during: "catching up",
        },
        (error, _) => ConnectError::Stream(error.into()),
    }
}
