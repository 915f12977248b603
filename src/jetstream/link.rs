//! Requests to the servers, and what they answer.
//!
//! This is the part of the JetStream protocol that the store needs, on the requests of the
//! client's core: the exact error codes, conditions on another subject than that of the
//! message, batched direct gets, and consumers whose loop is the store's own.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answers::Asked;
use super::error::JetStreamError;
use super::message::{Subjects, name};
use super::own::Attempt;

/// Says which sequence the last message of the subject must have.
pub(super) const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// A barrier serves once. It is removed after this time, also if its process has died.
const BARRIER_LIFETIME: &str = "60s";

/// What the headers of a message take, at the most; the longest has a subject in it.
const ROOM_FOR_HEADERS: usize = 768;

pub(super) struct Link {
    client: Client,
    subjects: Subjects,
    stream: String,
    /// Where answers come: the beginning of the subject.
    answers: String,
    /// How many messages of a user the stream keeps.
    messages_of_user: usize,
    request_timeout: Duration,
}

/// A message is in the log, with this sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub sequence: u64,
}

/// A user whose last message has this sequence; 0 if there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'u> {
    pub user_id: &'u str,
    pub last: u64,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl From<ApiError> for JetStreamError {
    fn from(error: ApiError) -> Self {
        let code = match error.err_code {
            0 => error.code,
            code => code,
        };
        Self::Refused {
            code,
            description: error.description,
        }
    }
}

#[derive(Deserialize)]
struct Acknowledgement {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

impl Link {
    pub fn new(
        client: Client,
        stream: String,
        subjects: Subjects,
        messages_of_user: usize,
        request_timeout: Duration,
    ) -> Self {
        Self {
            answers: client.new_inbox(),
            client,
            subjects,
            stream,
            messages_of_user,
            request_timeout,
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    pub fn messages_of_user(&self) -> usize {
        self.messages_of_user
    }

    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Sends a message of a user. If something is expected, it is carried out only if the
    /// user's last message has that sequence. The answer comes to those who
    /// [receive the answers](Self::receive_answers).
    pub async fn send_to_user(
        &self,
        attempt: Attempt,
        user_id: &str,
        mut headers: HeaderMap,
        payload: Bytes,
        expected: Option<u64>,
    ) -> Result<(), JetStreamError> {
        if !self.is_connected() {
            return Err(JetStreamError::Disconnected);
        }
        if let Some(sequence) = expected {
            headers.insert(name(EXPECTED_SEQUENCE), sequence.to_string());
        }
        let (subject, reply) = (
            self.subjects.of_user(user_id),
            self.answer_to(Asked::Write(attempt)),
        );
        let bytes = payload.len();
        let client = &self.client;
        let sent = client.publish_with_reply_and_headers(subject, reply, headers, payload);
        sent.await.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => self.too_large(bytes),
            _ => JetStreamError::client(error),
        })
    }

    /// The subject of an answer.
    fn answer_to(&self, asked: Asked) -> String {
        // Each write has one, and `format!` would let it grow several times.
        let mut subject = String::with_capacity(self.answers.len() + 1 + Asked::LONGEST);
        let _ = write!(subject, "{}.{asked}", self.answers);
        subject
    }

    fn too_large(&self, bytes: usize) -> JetStreamError {
        JetStreamError::MessageTooLarge {
            bytes: bytes + ROOM_FOR_HEADERS,
            max: self.client.server_info().max_payload,
        }
    }

    /// Publishes a message of a user on a condition, and returns what each server has answered
    /// that took itself for the leader; the one that is the leader among them.
    ///
    /// A barrier that is published behind the message tells when its answer must have come.
    pub async fn publish_to_all_leaders(
        &self,
        user_id: &str,
        mut headers: HeaderMap,
        payload: Bytes,
        expected: u64,
    ) -> Result<Vec<Result<Ack, JetStreamError>>, JetStreamError> {
        headers.insert(name(EXPECTED_SEQUENCE), expected.to_string());
        let (subject, inbox) = (self.subjects.of_user(user_id), self.client.new_inbox());
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut answers = subscribed.map_err(JetStreamError::client)?;
        let client = &self.client;
        let sent = client.publish_with_reply_and_headers(subject, inbox, headers, payload);
        sent.await.map_err(JetStreamError::client)?;
        // On the same connection, so that each server gets it later, and answers it later.
        self.publish_barrier(None).await?;
        let mut all = Vec::new();
        while let Some(Some(answer)) = answers.next().now_or_never() {
            all.push(acknowledgement(&answer));
        }
        Ok(all)
    }

    /// Publishes a barrier, if the condition holds.
    pub async fn publish_barrier(
        &self,
        condition: Option<Condition<'_>>,
    ) -> Result<Ack, JetStreamError> {
        let mut headers = barrier_headers();
        if let Some(Condition { user_id, last }) = condition {
            headers.insert(name(EXPECTED_SEQUENCE), last.to_string());
            headers.insert(name(EXPECTED_SUBJECT), self.subjects.of_user(user_id));
        }
        let subject = self.subjects.barrier.clone();
        self.publish(subject, headers, Bytes::new()).await
    }

    /// Sends the barrier with this number, whose answer comes to those who
    /// [receive the answers](Self::receive_answers). Does not wait.
    pub fn send_barrier(&self, number: u64) -> Result<(), JetStreamError> {
        if !self.is_connected() {
            return Err(JetStreamError::Disconnected);
        }
        let (subject, reply) = (
            self.subjects.barrier.clone(),
            self.answer_to(Asked::Barrier(number)),
        );
        let payload = Bytes::from(number.to_string());
        let client = self.client.clone();
        let mut sending = Box::pin(async move {
            let headers = barrier_headers();
            let sent = client.publish_with_reply_and_headers(subject, reply, headers, payload);
            sent.await
        });
        match (&mut sending).now_or_never() {
            Some(sent) => sent.map_err(JetStreamError::client),
            None => {
                // The client has much to send. Who asks for a barrier must not keep it back.
                tokio::spawn(sending);
                Ok(())
            }
        }
    }

    /// The answers to what is sent.
    pub async fn receive_answers(&self) -> Result<Subscriber, JetStreamError> {
        let subject = format!("{}.*", self.answers);
        let subscribed = self.client.subscribe(subject).await;
        subscribed.map_err(JetStreamError::client)
    }

    /// To what a message is the answer, and which sequence that has.
    pub fn read_answer(&self, answer: &Message) -> Option<(Asked, Result<u64, JetStreamError>)> {
        let token = answer.subject.strip_prefix(self.answers.as_str())?;
        let asked = Asked::read(token.strip_prefix('.')?)?;
        Some((asked, acknowledgement(answer).map(|ack| ack.sequence)))
    }

    async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Ack, JetStreamError> {
        let request = Request::new().headers(headers).payload(payload);
        acknowledgement(&self.request(subject, request).await?)
    }

    /// A request to the API.
    pub async fn api<T: DeserializeOwned>(
        &self,
        subject: String,
        body: &Value,
        timeout: Duration,
    ) -> Result<T, JetStreamError> {
        let request = Request::new().payload(body.to_string().into());
        answer(&self.request_within(subject, request, timeout).await?)
    }

    /// A request, if there is a connection. What is sent without one is delivered after the
    /// next one was made, long after the caller has given up.
    pub async fn request(
        &self,
        subject: String,
        request: Request,
    ) -> Result<Message, JetStreamError> {
        self.request_within(subject, request, self.request_timeout)
            .await
    }

    async fn request_within(
        &self,
        subject: String,
        request: Request,
        timeout: Duration,
    ) -> Result<Message, JetStreamError> {
        if !self.is_connected() {
            return Err(JetStreamError::Disconnected);
        }
        let request = request.timeout(Some(timeout));
        let bytes = request.payload.as_ref().map_or(0, Bytes::len);
        let reply = self.client.send_request(subject, request).await;
        reply.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => self.too_large(bytes),
            RequestErrorKind::TimedOut => JetStreamError::TimedOut,
            RequestErrorKind::NoResponders => JetStreamError::NoResponders,
            _ => JetStreamError::client(error),
        })
    }

    /// How many connections were made.
    pub fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

fn barrier_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name("Nats-TTL"), BARRIER_LIFETIME);
    headers
}

/// What a server says to a message that was published.
fn acknowledgement(reply: &Message) -> Result<Ack, JetStreamError> {
    if reply.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(JetStreamError::NoResponders);
    }
    match serde_json::from_slice(&reply.payload).map_err(JetStreamError::client)? {
        Acknowledgement {
            error: Some(error), ..
        } => Err(error.into()),
        // Somebody answers who is no stream.
        Acknowledgement { seq: 0, .. } => Err(JetStreamError::NoResponders),
        Acknowledgement { seq, .. } => Ok(Ack { sequence: seq }),
    }
}

/// What a reply of the API says.
fn answer<T: DeserializeOwned>(reply: &Message) -> Result<T, JetStreamError> {
    let reply: Value = serde_json::from_slice(&reply.payload).map_err(JetStreamError::client)?;
    if let Some(error) = reply.get("error") {
        let error = ApiError::deserialize(error).map_err(JetStreamError::client)?;
        return Err(error.into());
    }
    T::deserialize(reply).map_err(JetStreamError::client)
}
