//! What a client makes of server-sent events.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use ureq::BodyReader;
use ureq::http::Request;

use crate::client::Client;

/// An open stream. Dropping it closes the connection.
pub struct EventStream(BufReader<BodyReader<'static>>);

#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

impl EventStream {
    /// Asks with the tag of the event that the client has seen last, if it has.
    pub fn open(client: &Client, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(client.url(path));
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let response = client.agent.run(request.body(()).expect("a request"));
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self(BufReader::new(response.into_body().into_reader()))
    }

    /// The next event, or `None` if the service has ended the stream.
    pub fn next(&mut self) -> Option<Event> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some((name, value)) => fields.push((name.to_owned(), value.to_owned())),
                None if line.is_empty() && !fields.is_empty() => break,
                None => assert!(["", ":"].contains(&line.as_str()), "{line}"),
            }
        }
        let field = |name| fields.iter().find(|field| field.0 == name);
        let text = |name| field(name).map(|(_, value)| value.clone());
        Some(Event {
            name: text("event").expect("a name"),
            id: text("id"),
            data: serde_json::from_str(&text("data").expect("data")).expect("JSON"),
        })
    }

    /// One with this name.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> Event {
        let event = self.next().expect("an event");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// Waits for a comment.
    pub fn expect_comment(&mut self) {
        assert_eq!(self.line().expect("a line"), ":");
        assert_eq!(self.line().expect("a line"), "");
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("a text");
        (read > 0).then(|| line.trim_end_matches('\n').to_owned())
    }
}
