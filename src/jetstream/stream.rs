//! How the stream is configured.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::{JetStreamError, StreamDifference};
use super::link::Link;
use super::message::Subjects;

const NOT_FOUND: u64 = 10059;

/// What the server says of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// When it was made: tells it from another one of the same name.
    pub created: String,
    config: Map<String, Value>,
    state: State,
}

#[derive(Debug, Deserialize)]
struct State {
    last_seq: u64,
    #[serde(default)]
    num_subjects: usize,
}

impl Info {
    pub fn last_sequence(&self) -> u64 {
        self.state.last_seq
    }

    /// How many subjects have messages: at least as many as there are users.
    pub fn subjects(&self) -> usize {
        self.state.num_subjects
    }
}

/// What the store needs of a stream.
#[derive(Debug)]
pub(super) struct Wanted {
    pub replicas: usize,
    /// Of each user.
    pub messages: usize,
}

impl Wanted {
    /// The settings on which the store relies. Others, such as placement, are up to those
    /// who run the servers.
    fn settings(&self, stream: &str) -> Vec<(&'static str, Value)> {
        vec![
            ("subjects", json!(Subjects::all_of(stream))),
            ("retention", json!("limits")),
            ("storage", json!("file")),
            ("num_replicas", json!(self.replicas)),
            ("max_msgs_per_subject", json!(self.messages)),
            // Whatever is removed by another rule than the number of messages of a user is
            // removed behind the back of the replicas.
            ("discard", json!("old")),
            ("max_msgs", json!(-1)),
            ("max_bytes", json!(-1)),
            ("max_age", json!(0)),
            ("allow_rollup_hdrs", json!(true)),
            ("allow_direct", json!(true)),
            ("allow_msg_ttl", json!(true)),
            ("deny_delete", json!(true)),
        ]
    }

    fn config(&self, stream: &str) -> Value {
        let mut config = Map::new();
        config.insert("name".to_owned(), json!(stream));
        for (setting, value) in self.settings(stream) {
            config.insert(setting.to_owned(), value);
        }
        Value::Object(config)
    }

    /// All that the stream has otherwise.
    fn differences(&self, stream: &str, found: &Map<String, Value>) -> Vec<StreamDifference> {
        let mut differences = Vec::new();
        for (setting, needed) in self.settings(stream) {
            let found = found.get(setting).unwrap_or(&Value::Null);
            if !is_same(&needed, found) {
                differences.push(StreamDifference {
                    setting,
                    needed: shown(&needed),
                    found: shown(found),
                });
            }
        }
        differences
    }
}

/// The server leaves out what is false or zero, and the order of subjects means nothing.
fn is_same(needed: &Value, found: &Value) -> bool {
    match (needed, found) {
        (Value::Array(needed), Value::Array(found)) => {
            needed.len() == found.len() && needed.iter().all(|one| found.contains(one))
        }
        (Value::Bool(false), Value::Null) => true,
        (Value::Number(number), Value::Null) => number.as_i64() == Some(0),
        _ => needed == found,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "not set".to_owned(),
        other => other.to_string(),
    }
}

/// Looks the stream up.
pub(super) async fn info(link: &Link, timeout: Duration) -> Result<Info, JetStreamError> {
    let subject = format!("$JS.API.STREAM.INFO.{}", link.stream());
    link.api(subject, &json!({}), timeout).await
}

/// Looks the stream up, or makes it, and tells what is not as it is needed.
pub(super) async fn create_or_check(
    link: &Link,
    wanted: &Wanted,
) -> Result<Vec<StreamDifference>, JetStreamError> {
    let name = link.stream();
    let timeout = link.request_timeout();
    let info = match info(link, timeout).await {
        Err(JetStreamError::Refused {
            code: NOT_FOUND, ..
        }) => {
            let subject = format!("$JS.API.STREAM.CREATE.{name}");
            // If another process makes the same one at this moment, both succeed.
            link.api(subject, &wanted.config(name), timeout).await?
        }
        info => info?,
    };
    Ok(wanted.differences(name, &info.config))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        replicas: 3,
        messages: 164,
    };

    fn config() -> Map<String, Value> {
        match WANTED.config("USERS") {
            Value::Object(config) => config,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_was_made_is_as_it_is_needed() {
        let mut config = config();
        assert_eq!(WANTED.differences("USERS", &config), []);
        // As the server answers.
        config.remove("max_age");
        config.insert("subjects".to_owned(), json!(["USERS.b.*", "USERS.u.*"]));
        config.insert("placement".to_owned(), json!({"cluster": "east"}));
        assert_eq!(WANTED.differences("USERS", &config), []);
    }

    #[test]
    fn all_that_differs_is_told() {
        let mut config = config();
        config.insert("num_replicas".to_owned(), json!(1));
        config.insert("max_age".to_owned(), json!(5));
        config.remove("allow_msg_ttl");
        config.insert("subjects".to_owned(), json!(["USERS.>"]));
        let shown: Vec<String> = WANTED
            .differences("USERS", &config)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            r#"subjects is ["USERS.>"], needed is ["USERS.u.*","USERS.b.*"]"#,
            "num_replicas is 1, needed is 3",
            "max_age is 5, needed is 0",
            "allow_msg_ttl is not set, needed is true",
        ];
        assert_eq!(shown, expected);
    }
}
