//! A client without a store: publishes and waits for the acknowledgement, asks another
//! client, consumes a stream and drops what comes.

use std::time::Duration;

use async_nats::{Client, Request};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::Failure;
use crate::server::Servers;

pub struct Bare {
    client: Client,
    stream: &'static str,
}

impl Bare {
    /// With a stream of its own, configured as that of a store.
    pub async fn connect(servers: &Servers, stream: &'static str) -> Result<Self, Failure> {
        let client = async_nats::connect(servers.addresses()).await?;
        let config = json!({
            "name": stream,
            "subjects": [format!("{stream}.u.*")],
            "storage": "file",
            "num_replicas": servers.count(),
            "max_msgs_per_subject": 67,
        });
        let bare = Self { client, stream };
        bare.api(&format!("STREAM.CREATE.{stream}"), &config)
            .await?;
        let responder = async_nats::connect(servers.addresses()).await?;
        let mut asked = responder.subscribe("echo").await?;
        responder.flush().await?;
        tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                if let Some(reply) = message.reply {
                    let _ = responder.publish(reply, message.payload).await;
                }
            }
        });
        Ok(bare)
    }

    async fn api(&self, subject: &str, body: &Value) -> Result<Value, Failure> {
        let subject = format!("$JS.API.{subject}");
        let reply = self
            .client
            .request(subject, body.to_string().into())
            .await?;
        Ok(serde_json::from_slice(&reply.payload)?)
    }

    pub async fn publish(&self, user: usize, body: Vec<u8>) -> Result<(), Failure> {
        let subject = format!("{}.u.user-{user}", self.stream);
        let request = Request::new()
            .payload(body.into())
            .timeout(Some(Duration::from_secs(2)));
        let reply = self.client.send_request(subject, request).await?;
        let reply: Value = serde_json::from_slice(&reply.payload)?;
        match reply.get("seq") {
            Some(_) => Ok(()),
            None => Err(reply.to_string().into()),
        }
    }

    pub async fn echo(&self) -> Result<(), Failure> {
        self.client.request("echo", "".into()).await?;
        Ok(())
    }

    /// Gets at least so many messages from the beginning of a stream.
    pub async fn consume(&self, stream: &str, messages: u64) -> Result<(), Failure> {
        let inbox = self.client.new_inbox();
        let mut delivered = self.client.subscribe(inbox.clone()).await?;
        let body = json!({
            "stream_name": stream,
            "config": {"ack_policy": "none", "mem_storage": true, "num_replicas": 1},
        });
        let created = self
            .api(&format!("CONSUMER.CREATE.{stream}"), &body)
            .await?;
        let name = created
            .get("name")
            .and_then(Value::as_str)
            .ok_or("no consumer")?;
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
        let (mut left, mut asked_for) = (messages, 0_u64);
        while left > 0 {
            if asked_for <= 2_048 {
                let batch = 4_096 - asked_for;
                let body = json!({"batch": batch, "expires": 10_000_000_000_u64}).to_string();
                self.client
                    .publish_with_reply(next.clone(), inbox.clone(), body.into())
                    .await?;
                asked_for += batch;
            }
            let message = delivered.next().await.ok_or("the connection has ended")?;
            if message.status.is_none() {
                left -= 1;
                asked_for -= 1;
            }
        }
        Ok(())
    }
}
