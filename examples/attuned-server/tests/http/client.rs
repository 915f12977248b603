//! A client, and what it makes of an answer.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request, header::CONTENT_TYPE};

pub struct Client {
    agent: ureq::Agent,
    address: SocketAddr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    /// A text if it is no JSON.
    pub body: Value,
}

impl Client {
    /// With a connection of its own, that it uses again.
    pub fn of(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        Self { agent, address }
    }

    pub fn send(&self, method: Method, path: &str, json: Option<&str>) -> Answer {
        self.send_as(method, path, json, "application/json")
    }

    pub fn send_as(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
        content_type: &str,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        let answered = match body {
            Some(body) => {
                let request = request.header(CONTENT_TYPE, content_type).body(body);
                self.agent.run(request.expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut response = answered.unwrap_or_else(|error| panic!("{path}: {error}"));
        let body = response.body_mut().read_to_string().expect("a text");
        Answer {
            status: response.status().as_u16(),
            content_type: response
                .headers()
                .get(CONTENT_TYPE)
                .map(|value| value.to_str().expect("a text").to_owned()),
            body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None)
    }

    pub fn post(&self, path: &str, json: &Value) -> Answer {
        self.send(Method::POST, path, Some(&json.to_string()))
    }
}
