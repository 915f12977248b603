//! A client, and what it makes of an answer.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};

pub struct Client {
    pub agent: ureq::Agent,
    address: SocketAddr,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// A text if it is no JSON.
    pub body: Value,
}

impl Client {
    /// With a connection of its own, that it uses again.
    pub fn of(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        Self { agent, address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut response = answered.unwrap_or_else(|error| panic!("{path}: {error}"));
        let body = response.body_mut().read_to_string().expect("a text");
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None)
    }

    pub fn get_if(&self, path: &str, condition: (&str, &str)) -> Answer {
        self.send(Method::GET, path, &[condition], None)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None)
    }

    pub fn delete_if(&self, path: &str, condition: (&str, &str)) -> Answer {
        self.send(Method::DELETE, path, &[condition], None)
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(Method::PUT, path, &headers, Some(&body.to_string()))
    }

    pub fn put_if(&self, path: &str, body: &Value, condition: (&str, &str)) -> Answer {
        let headers = [("content-type", "application/json"), condition];
        self.send(Method::PUT, path, &headers, Some(&body.to_string()))
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(Method::PATCH, path, &headers, Some(&body.to_string()))
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a text"))
    }

    #[track_caller]
    pub fn etag(&self) -> String {
        self.header("etag").expect("an entity tag").to_owned()
    }

    /// Checks that it is a whole problem of this status, and gives the detail.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["type"], "about:blank", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(self.body["title"].is_string(), "{self:?}");
        let detail = self.body["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty());
        detail
    }
}

/// A body for `PUT` and `PATCH`.
pub fn state(source: &str, confidence: f64, axes: Value) -> Value {
    json!({"source": source, "confidence": confidence, "axes": axes})
}

/// The same, reported by the user.
pub fn warmth(warmth: f64) -> Value {
    state("self_report", 1.0, json!({"warmth": warmth}))
}
