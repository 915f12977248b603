//! Whether settings make sense.

use std::time::Duration;

use super::JetStreamStoreBuilder;
use crate::jetstream::error::ConnectError;
use crate::map::{ConfigError, MAX_CAPACITY, MAX_HISTORY, MAX_TIME_TO_LIVE};

const MAX_STREAM_NAME_BYTES: usize = 64;

/// Server-side times are in whole seconds, of which one is the shortest.
const SHORTEST_MARKER_LIFETIME: Duration = Duration::from_secs(2);

const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

impl JetStreamStoreBuilder {
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let name = &self.stream;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=MAX_STREAM_NAME_BYTES).contains(&name.len()) || !name.bytes().all(in_name) {
            return Err(ConnectError::InvalidStreamName {
                name: name.chars().take(MAX_STREAM_NAME_BYTES).collect(),
            });
        }
        match self.history {
            Some(0) => return Err(ConfigError::HistoryZero.into()),
            Some(requested) if requested > MAX_HISTORY => {
                let max = MAX_HISTORY;
                return Err(ConfigError::HistoryTooLarge { requested, max }.into());
            }
            _ => {}
        }
        if self.capacity > MAX_CAPACITY {
            let (requested, max) = (self.capacity, MAX_CAPACITY);
            return Err(ConfigError::CapacityTooLarge { requested, max }.into());
        }
        let invalid = |setting, rule| Err(ConnectError::InvalidSetting { setting, rule });
        if !(1..=MAX_CAPACITY).contains(&self.cached_users) {
            return invalid("cached_users", "1 to MAX_CAPACITY");
        }
        if let Some(time) = self.time_to_live
            && !(Duration::from_millis(1)..=MAX_TIME_TO_LIVE).contains(&time)
        {
            return invalid("time_to_live", "a millisecond to MAX_TIME_TO_LIVE");
        }
        if self.servers.is_empty() {
            return invalid("builder", "given at least one server");
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return invalid("replicas", "1, 3 or 5");
        }
        // One is what tells whether there was more than the history shows.
        if !(1..=MAX_HISTORY).contains(&self.slack) {
            return invalid("slack", "1 to MAX_HISTORY");
        }
        if self.prefetch < 2 {
            return invalid("prefetch", "at least 2");
        }
        if self.marker_lifetime < SHORTEST_MARKER_LIFETIME
            || self.marker_lifetime.subsec_nanos() > 0
        {
            return invalid("marker_lifetime", "2 seconds or more, in whole seconds");
        }
        for (setting, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("operation_timeout", self.operation_timeout),
        ] {
            if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
                return invalid(setting, "more than 0 and at most an hour");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> JetStreamStoreBuilder {
        JetStreamStoreBuilder::new(vec!["127.0.0.1:4222".to_owned()])
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        let refused = |builder: JetStreamStoreBuilder| builder.check().unwrap_err().to_string();
        assert_eq!(
            refused(builder().stream("a.b")),
            r#"the stream name "a.b" is not 1 to 64 of A-Z, a-z, 0-9, _ and -"#
        );
        assert!(refused(builder().history(0)).contains("at least 1 entry"));
        assert!(refused(builder().history(MAX_HISTORY + 1)).contains("exceeds the maximum"));
        assert!(refused(builder().capacity(MAX_CAPACITY + 1)).contains("exceeds the maximum"));
        assert_eq!(refused(builder().replicas(2)), "replicas must be 1, 3 or 5");
        let short = Duration::from_millis(1_500);
        assert!(refused(builder().marker_lifetime(short)).starts_with("marker_lifetime must be"));
        for time in [Duration::ZERO, Duration::MAX] {
            assert!(refused(builder().time_to_live(time)).starts_with("time_to_live must be"));
        }
        assert!(refused(builder().request_timeout(Duration::ZERO)).starts_with("request_timeout"));
        assert!(refused(JetStreamStoreBuilder::new(Vec::new())).contains("at least one server"));
        assert!(builder().check().is_ok());
    }
}
