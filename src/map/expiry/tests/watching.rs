//! What those who watch are told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::*;
use crate::removal::RemovalCause;
use crate::revision::Expected;
use crate::watch::{AnyEvent, Event, Watch};

/// All events that are to be had without waiting.
fn ready<E>(watch: &mut Watch<E>) -> Vec<E> {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = Pin::new(&mut *watch).poll_next(&mut context) {
        events.push(event);
    }
    events
}

/// Each way to take a key out that has expired.
#[test]
fn those_who_watch_are_told_by_the_one_who_takes_it_out() {
    type TakesOut = (&'static str, fn(&Map, Revision));
    let takes_out: [TakesOut; 9] = [
        ("sweep", |map, _| assert_eq!(map.sweep(), 1)),
        ("expire_older_than", |map, _| {
            assert_eq!(map.expire_older_than(time_to_live()), 1);
        }),
        ("retain", |map, _| assert_eq!(map.retain(|_, _| true), 0)),
        ("clear", |map, _| map.clear()),
        ("remove", |map, _| assert_eq!(map.remove("ada"), Ok(None))),
        ("remove_if", |map, seen| {
            map.remove_if("ada", Expected::At(seen)).unwrap_err();
        }),
        ("insert_if", |map, seen| {
            map.insert_if("ada", 3, Expected::At(seen)).unwrap_err();
        }),
        ("update", |map, _| {
            assert_eq!(map.update("ada", |_| None), Ok(None));
        }),
        ("a newcomer who finds no room", |map, _| {
            map.insert("grace", 1).unwrap();
        }),
    ];
    for (name, take_out) in takes_out {
        let (map, clock) = timed(|builder| builder.max_keys(1));
        let map = Arc::new(map);
        let (mut of_ada, mut of_all) = (map.watch("ada"), map.watch_all());
        let last = map.insert("ada", 1).unwrap();
        assert!(matches!(ready(&mut of_ada)[..], [Event::Put(_)]), "{name}");
        assert_eq!(ready(&mut of_all).len(), 2, "{name}");

        // Nobody tells it at the deadline, nor when somebody finds it.
        clock.set(BEGIN + TIME_TO_LIVE);
        assert_eq!(map.get("ada"), None);
        assert_eq!(ready(&mut of_ada), [], "{name}");
        assert_eq!(ready(&mut of_all), [], "{name}");

        take_out(&map, last);
        let events = ready(&mut of_ada);
        let [Event::Removed { revision, cause }] = events[..] else {
            panic!("{name}: {events:?}");
        };
        assert_eq!(cause, RemovalCause::Expired, "{name}");
        assert!(revision > last, "{name}");
        let of_all = ready(&mut of_all);
        let told = of_all.iter().any(
            |told| matches!(told, AnyEvent::Of { key, event } if key == "ada" && *event == events[0]),
        );
        assert!(told, "{name}: {of_all:?}");
        map.clear();
        assert!(map.insert("ada", 2).unwrap() > revision, "{name}");
    }
}

/// What came in its place is given, and not that anything went.
#[test]
fn a_watch_of_what_begins_anew_gives_that() {
    for told in [false, true] {
        let (map, clock) = map();
        let map = Arc::new(map);
        let mut watch = map.watch("ada");
        map.insert("ada", 1).unwrap();
        assert_eq!(ready(&mut watch).len(), 1);
        clock.set(BEGIN + TIME_TO_LIVE);
        if told {
            assert_eq!(map.get("ada"), None);
        }
        map.insert("ada", 2).unwrap();
        let latest = map.get_versioned("ada").unwrap();
        assert_eq!(ready(&mut watch), [Event::Put(latest)]);
    }
}

#[test]
fn a_watch_that_begins_after_the_deadline_gives_nothing() {
    let (map, _, _) = expired();
    let map = Arc::new(map);
    let (mut of_ada, mut of_all) = (map.watch("ada"), map.watch_all());
    assert_eq!(ready(&mut of_ada), []);
    assert_eq!(ready(&mut of_all), [AnyEvent::CaughtUp]);
    assert_eq!(map.sweep(), 1);
    assert_eq!(ready(&mut of_ada), []);
    assert_eq!(ready(&mut of_all), []);
}
