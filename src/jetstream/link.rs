//! Requests to the servers, and what they answer.
//!
//! This is the part of the JetStream protocol that the store needs, on the requests of the
//! client's core: the exact error codes, conditions on another subject than that of the
//! message, batched direct gets, and consumers whose loop is the store's own.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::JetStreamError;
use super::message::{Subjects, name};

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

    /// Publishes a message of a user. If something is expected, then only if the user's
    /// last message has that sequence.
    pub async fn publish_to_user(
        &self,
        user_id: &str,
        mut headers: HeaderMap,
        payload: Bytes,
        expected: Option<u64>,
    ) -> Result<Ack, JetStreamError> {
        if let Some(sequence) = expected {
            headers.insert(name(EXPECTED_SEQUENCE), sequence.to_string());
        }
        let subject = self.subjects.of_user(user_id);
        self.publish(subject, headers, payload).await
    }

    /// Publishes a message of a user as [`publish_to_user`](Self::publish_to_user) does, and
    /// returns what each server has answered that took itself for the leader; the one that is
    /// the leader among them.
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

    /// Publishes a barrier of this process, if the condition holds.
    pub async fn publish_barrier(
        &self,
        condition: Option<Condition<'_>>,
    ) -> Result<Ack, JetStreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(name("Nats-TTL"), BARRIER_LIFETIME);
        if let Some(Condition { user_id, last }) = condition {
            headers.insert(name(EXPECTED_SEQUENCE), last.to_string());
            headers.insert(name(EXPECTED_SUBJECT), self.subjects.of_user(user_id));
        }
        let subject = self.subjects.barrier.clone();
        self.publish(subject, headers, Bytes::new()).await
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
            RequestErrorKind::MaxPayloadExceeded => JetStreamError::MessageTooLarge {
                bytes: bytes + ROOM_FOR_HEADERS,
                max: self.client.server_info().max_payload,
            },
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

/// What a server says to a message that was published.
fn acknowledgement(reply: &Message) -> Result<Ack, JetStreamError> {
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
