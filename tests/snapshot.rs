//! Building, reading, comparing and showing states and snapshots.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attuned_store::{
    Axes, MAX_AXES, MAX_USER_ID_BYTES, ParseSourceError, SnapshotError, Source, State,
    StateSnapshot, StateSnapshotBuilder, Timestamp, UserIdError, validate_user_id,
};
use proptest::prelude::*;

const _: () = {
    const fn shareable<T: Send + Sync + Clone + Unpin + 'static>() {}
    shareable::<State>();
    shareable::<StateSnapshot>();
    shareable::<StateSnapshotBuilder>();
    shareable::<SnapshotError>();
    shareable::<UserIdError>();
};

// As the documentation says; and `Option` takes no room of its own.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<State>() == 56);
    assert!(size_of::<Option<State>>() == 56);
    assert!(size_of::<StateSnapshot>() == 80);
    assert!(size_of::<Option<StateSnapshot>>() == 80);
};

/// A builder to which a test adds the part that it is about.
fn builder() -> StateSnapshotBuilder {
    StateSnapshot::builder().user_id("dev_42").updated_at(1_000)
}

fn error(builder: StateSnapshotBuilder) -> SnapshotError {
    builder.build().expect_err("should be refused")
}

#[test]
fn only_the_user_id_is_required() {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let before = now();
    let snapshot = StateSnapshot::builder().user_id("dev_42").build().unwrap();
    let after = now();

    assert_eq!(snapshot.user_id(), "dev_42");
    assert!((before..=after).contains(&snapshot.updated_at_unix_ms()));
    assert_eq!(snapshot.source(), Source::SelfReport);
    assert_eq!(snapshot.confidence(), 1.0);
    assert_eq!(snapshot.axes().count(), 0);

    let without = StateSnapshot::builder().axis("warmth", 0.5);
    assert_eq!(error(without), SnapshotError::MissingUserId);
    assert_eq!(
        error(StateSnapshotBuilder::default()).to_string(),
        "user_id is missing"
    );
}

#[test]
fn a_snapshot_has_what_the_builder_was_given() {
    let snapshot = builder()
        .user_id("someone-else")
        .updated_at(i64::MIN)
        .source(Source::Mixed)
        .confidence(0.25)
        .axis("warmth", 0.7)
        .axes(BTreeMap::from([("formality".to_owned(), 0.2)]))
        .build()
        .unwrap();

    assert_eq!(snapshot.user_id(), "someone-else");
    assert_eq!(snapshot.updated_at_unix_ms(), i64::MIN);
    assert_eq!(snapshot.source(), Source::Mixed);
    assert_eq!(snapshot.confidence(), 0.25);
    assert!(snapshot.axes().eq([("formality", 0.2), ("warmth", 0.7)]));
}

#[test]
fn user_ids_of_every_length_and_script() {
    let longest_ascii = "x".repeat(MAX_USER_ID_BYTES);
    let longest_two_byte = "é".repeat(MAX_USER_ID_BYTES / 2);
    let valid = [
        "a",
        "_",
        "-",
        "0",
        "A-b_9",
        "漢字",
        "٣",
        "exactly_23_bytes_inline",
        "just_24_bytes_not_inline",
        &longest_ascii,
        &longest_two_byte,
    ];
    for id in valid {
        let snapshot = builder().user_id(id).build().unwrap();
        assert_eq!(snapshot.user_id(), id);
        assert_eq!(snapshot.to_builder().build().unwrap().user_id(), id);
        assert_eq!(validate_user_id(id), Ok(()));
    }
}

#[test]
fn invalid_user_ids_are_refused_with_the_reason() {
    let too_long = |length| UserIdError::TooLong { length, max: 256 };
    let invalid = |character, position| UserIdError::InvalidCharacter {
        character,
        position,
    };
    let refused = [
        (String::new(), UserIdError::Empty),
        ("x".repeat(257), too_long(257)),
        // Bytes count, not characters.
        (format!("x{}", "é".repeat(128)), too_long(257)),
        (" ".repeat(1_000_000), too_long(1_000_000)),
        ("dev 42".to_owned(), invalid(' ', 3)),
        ("é漢\n".to_owned(), invalid('\n', 5)),
        ("a@example.org".to_owned(), invalid('@', 1)),
        ("nul\0".to_owned(), invalid('\0', 3)),
        ("😀".to_owned(), invalid('😀', 0)),
    ];
    for (id, reason) in refused {
        assert_eq!(validate_user_id(&id), Err(reason.clone()));
        let error = error(builder().user_id(&id));
        assert_eq!(error, SnapshotError::InvalidUserId(reason));
        let message = error.to_string();
        assert!(message.starts_with("user_id "), "{message}");
        assert!(!message.contains('\n'), "{message}");
        assert!(message.len() < 100, "{message}");
    }

    let message = error(builder().user_id("someone@example.org")).to_string();
    assert_eq!(
        message,
        "user_id has '@' at byte 7, but only alphanumeric characters, _ and - are allowed"
    );
}

/// The rule is [`char::is_alphanumeric`], no more and no less.
#[test]
fn letters_and_digits_are_what_unicode_calls_alphabetic_or_a_number() {
    for id in [
        // Numbers of all kinds.
        "٣",
        "①",
        "½",
        "Ⅷ",
        "㊿",
        "x²",
        // Letters without case, and letters that only modify another.
        "ª",
        "ʰ",
        "ǅ",
        // Precomposed letters.
        "\u{e9}",
        "n\u{1ec7}",
        // Vowel signs combine with a letter and are alphabetic.
        "कि",
        "กำ",
        // These look alike and are two ids.
        "\u{c5}",
        "\u{212b}",
    ] {
        assert_eq!(validate_user_id(id), Ok(()), "{id}");
        assert_eq!(builder().user_id(id).build().unwrap().user_id(), id);
    }

    for (id, character, position) in [
        // Accents that are characters of their own, as in NFD.
        ("e\u{301}", '\u{301}', 1),
        ("ne\u{323}\u{302}", '\u{323}', 2),
        // The virama of Hindi, and a tone mark of Thai.
        ("हिन्दी", '\u{94d}', 9),
        ("น้ำ", '\u{e49}', 3),
        // Joiners, which some scripts need between letters.
        ("क\u{200d}", '\u{200d}', 3),
        // Symbols and punctuation.
        ("№", '№', 0),
        ("a·b", '·', 1),
        ("a’b", '’', 1),
    ] {
        let error = UserIdError::InvalidCharacter {
            character,
            position,
        };
        assert_eq!(validate_user_id(id), Err(error.clone()), "{id}");
        assert_eq!(
            builder().user_id(id).build(),
            Err(SnapshotError::InvalidUserId(error))
        );
    }
}

proptest! {
    #[test]
    fn a_character_is_allowed_if_it_is_alphanumeric(character in any::<char>()) {
        let allowed = character.is_alphanumeric() || matches!(character, '_' | '-');
        prop_assert_eq!(validate_user_id(character.encode_utf8(&mut [0; 4])).is_ok(), allowed);
    }
}

#[test]
fn numbers_are_from_0_to_1() {
    for value in [0.0, -0.0, f32::MIN_POSITIVE, 0.5, 1.0 - f32::EPSILON, 1.0] {
        let snapshot = builder()
            .confidence(value)
            .axis("warmth", value)
            .axis("x", value)
            .build()
            .unwrap();
        assert_eq!(snapshot.confidence().to_bits(), value.to_bits());
        assert_eq!(snapshot.get_axis("warmth").to_bits(), value.to_bits());
        assert_eq!(snapshot.get_axis("x").to_bits(), value.to_bits());
    }

    for wrong in [
        1.000_000_1,
        -f32::MIN_POSITIVE,
        -1.0,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -f32::NAN,
    ] {
        let of_confidence = error(builder().confidence(wrong));
        assert!(
            matches!(&of_confidence, SnapshotError::ConfidenceOutOfRange { value }
                if value.to_bits() == wrong.to_bits()),
            "{of_confidence:?}"
        );
        let message = of_confidence.to_string();
        assert_eq!(
            message,
            format!("confidence is {wrong}, but must be from 0 to 1")
        );

        for name in ["warmth", "custom"] {
            let of_axis = error(builder().axis("a", 0.5).axis(name, wrong));
            assert!(
                matches!(&of_axis, SnapshotError::AxisOutOfRange { axis, value }
                    if axis == name && value.to_bits() == wrong.to_bits()),
                "{of_axis:?}"
            );
            let message = of_axis.to_string();
            assert_eq!(
                message,
                format!("axis {name:?} is {wrong}, but must be from 0 to 1")
            );
        }
    }
}

#[test]
fn axis_names_follow_the_rules() {
    let longest = "x".repeat(64);
    for name in ["a", "0", "a_b", "a__b", "9_lives", &longest] {
        let snapshot = builder().axis(name, 0.25).build().unwrap();
        assert!(snapshot.axes().eq([(name, 0.25)]));
    }

    for name in [
        "", "_", "_a", "a_", "Warmth", "a-b", "a b", "a.b", "é", "a\n", "a\0",
    ] {
        let error = error(builder().axis("warmth", 0.5).axis(name, 0.5));
        let axis = name.to_owned();
        assert_eq!(error, SnapshotError::InvalidAxisName { axis });
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("axis name {name:?} is invalid")),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn an_error_repeats_only_the_start_of_a_long_axis_name() {
    for (name, start) in [
        ("x".repeat(65), "x".repeat(64)),
        ("x".repeat(1_000_000), "x".repeat(64)),
        // The 64th byte is inside a character.
        (
            format!("x{}", "é".repeat(500)),
            format!("x{}", "é".repeat(31)),
        ),
    ] {
        let axis = format!("{start}…");
        let error = error(builder().axis(name, 0.5));
        assert_eq!(error, SnapshotError::InvalidAxisName { axis });
    }
}

#[test]
fn the_error_is_that_of_the_first_part_that_is_wrong() {
    let all_wrong = builder()
        .axis("z", 2.0)
        .axis("B", 0.5)
        .confidence(2.0)
        .user_id("");
    assert_eq!(
        error(all_wrong.clone()),
        SnapshotError::InvalidUserId(UserIdError::Empty)
    );
    let axes_wrong = all_wrong.user_id("dev_42").confidence(1.0);
    assert!(matches!(
        error(axes_wrong),
        SnapshotError::InvalidAxisName { axis } if axis == "B"
    ));
}

#[test]
fn axes_are_in_the_order_of_their_names() {
    let snapshot = builder()
        .axis("warmth", 0.1)
        .axis("zeal", 0.2)
        .axis("anxiety_level", 0.3)
        .axis("warm", 0.4)
        .axis("warmth_2", 0.5)
        .axis("0", 0.6)
        .axis("formality", 0.7)
        .build()
        .unwrap();
    let expected = [
        ("0", 0.6),
        ("anxiety_level", 0.3),
        ("formality", 0.7),
        ("warm", 0.4),
        ("warmth", 0.1),
        ("warmth_2", 0.5),
        ("zeal", 0.2),
    ];
    assert!(snapshot.axes().eq(expected), "{:?}", snapshot.axes());
}

#[test]
fn the_last_value_of_an_axis_counts() {
    let snapshot = builder()
        .axis("warmth", 7.0)
        .axes([("custom", 0.1), ("warmth", 0.2), ("custom", 0.3)])
        .axis("warmth", 0.4)
        .build()
        .unwrap();
    assert!(snapshot.axes().eq([("custom", 0.3), ("warmth", 0.4)]));

    let replaced_by_wrong = builder().axis("warmth", 0.5).axis("warmth", 7.0);
    assert!(matches!(
        error(replaced_by_wrong),
        SnapshotError::AxisOutOfRange { value: 7.0, .. }
    ));
}

#[test]
fn absent_axes_are_neutral() {
    let snapshot = builder().axis("warmth", 0.0).build().unwrap();
    assert_eq!(snapshot.get_axis_opt("warmth"), Some(0.0));
    assert_eq!(snapshot.get_axis("warmth"), 0.0);
    for name in ["formality", "warmt", "warmth2", "", "Warmth", "\u{16}"] {
        assert_eq!(snapshot.get_axis_opt(name), None);
        assert_eq!(snapshot.get_axis(name), 0.5);
    }
    assert_eq!(StateSnapshot::NEUTRAL, 0.5);
    assert_eq!(State::NEUTRAL, 0.5);
}

#[test]
fn a_state_needs_no_part() {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let before = now();
    let state = State::builder().build_state().unwrap();
    let after = now();

    assert!((before..=after).contains(&state.updated_at_unix_ms()));
    assert_eq!(state.source(), Source::SelfReport);
    assert_eq!(state.confidence(), 1.0);
    assert_eq!(state.axes().count(), 0);
}

/// One whose axes are beside it, and one whose axes are in an allocation.
fn small_and_large() -> [StateSnapshotBuilder; 2] {
    let small = builder()
        .source(Source::Inferred)
        .confidence(0.25)
        .axes([("warmth", 0.1), ("custom", 0.2)]);
    let large = small
        .clone()
        .axes((0..100).map(|n| (format!("axis_{n}"), n as f32 / 100.0)));
    [small, large]
}

#[test]
fn a_state_has_all_parts_of_a_snapshot_except_the_user() {
    for builder in small_and_large() {
        let snapshot = builder.clone().build().unwrap();
        let state = builder.build_state().unwrap();
        assert_eq!(&state, snapshot.state());
        assert_eq!(state, snapshot.clone().into_state());

        for state in [&state, snapshot.state()] {
            assert_eq!(state.updated_at_unix_ms(), 1_000);
            assert_eq!(state.source(), Source::Inferred);
            assert_eq!(state.confidence(), 0.25);
            assert!(state.axes().eq(snapshot.axes()));
            assert_eq!(state.get_axis_opt("custom"), Some(0.2));
            assert_eq!(state.get_axis_opt("absent"), None);
            assert_eq!(state.get_axis("custom"), 0.2);
            assert_eq!(state.get_axis("absent"), 0.5);
        }
    }
}

#[test]
fn a_state_becomes_a_snapshot_of_any_user() {
    let long = "an_id_that_is_longer_than_23_bytes";
    for builder in small_and_large() {
        let state = builder.clone().build_state().unwrap();
        for id in ["ada", long] {
            let snapshot = state.clone().into_snapshot(id).unwrap();
            assert_eq!(snapshot.user_id(), id);
            assert_eq!(snapshot.state(), &state);
            assert_eq!(snapshot, builder.clone().user_id(id).build().unwrap());
        }
        assert!(state.clone().into_snapshot(String::from("ada")).is_ok());

        for id in ["", "not an id", &"x".repeat(257)] {
            let error = validate_user_id(id).expect_err("should be refused");
            assert_eq!(state.clone().into_snapshot(id), Err(error));
        }
    }
}

#[test]
fn a_changed_copy_of_a_state_keeps_the_rest() {
    for builder in small_and_large() {
        let original = builder.build_state().unwrap();
        let copy = || original.to_builder().updated_at(1_000);
        assert_eq!(copy().build_state().unwrap(), original);
        assert_eq!(
            original.to_builder().build(),
            Err(SnapshotError::MissingUserId)
        );

        let changed = copy().axis("custom", 0.9).build_state().unwrap();
        assert_eq!(changed.get_axis("custom"), 0.9);
        assert_eq!(changed.get_axis("warmth"), 0.1);
        assert_eq!(changed.axes().count(), original.axes().count());
        assert_eq!(changed.updated_at_unix_ms(), 1_000);
        assert_eq!(changed.source(), Source::Inferred);
        assert_eq!(changed.confidence(), 0.25);
        assert_eq!(original.get_axis("custom"), 0.2);
    }
}

#[test]
fn building_a_state_checks_all_parts_except_the_user_id() {
    let wrong_id = builder().user_id("not an id");
    assert!(wrong_id.clone().build_state().is_ok());
    assert_eq!(
        wrong_id.clone().confidence(2.0).build_state(),
        Err(SnapshotError::ConfidenceOutOfRange { value: 2.0 })
    );
    assert_eq!(
        wrong_id.axis("Warmth", 0.5).build_state(),
        Err(SnapshotError::InvalidAxisName {
            axis: "Warmth".to_owned()
        })
    );
    assert!(builder().axis("warmth", f32::NAN).build_state().is_err());
}

#[test]
fn a_changed_copy_keeps_the_rest() {
    let original = builder()
        .user_id("an_id_that_is_longer_than_23_bytes")
        .source(Source::Inferred)
        .confidence(0.25)
        .axes([("warmth", 0.1), ("custom", 0.2)])
        .build()
        .unwrap();
    let copy = || original.to_builder().updated_at(1_000);
    assert_eq!(copy().build().unwrap(), original);

    let changed = copy().axis("custom", 0.9).build().unwrap();
    assert!(changed.axes().eq([("custom", 0.9), ("warmth", 0.1)]));
    assert_eq!(changed.user_id(), original.user_id());
    assert_eq!(changed.updated_at_unix_ms(), 1_000);
    assert_eq!(changed.source(), Source::Inferred);
    assert_eq!(changed.confidence(), 0.25);
    assert!(original.axes().eq([("custom", 0.2), ("warmth", 0.1)]));
}

/// A copy of a state that was observed long ago, or will be in the future, is new.
#[test]
fn a_changed_copy_is_of_now_unless_told_otherwise() {
    let now = || Timestamp::now().as_unix_ms();
    for at in [i64::MIN, 0, 1_000, i64::MAX] {
        let original = builder().updated_at(at).build().unwrap();
        let before = now();
        let copies = [
            original.to_builder().build().unwrap().into_state(),
            original.state().to_builder().build_state().unwrap(),
        ];
        let after = now();
        for copy in copies {
            assert!(
                (before..=after).contains(&copy.updated_at_unix_ms()),
                "{at}"
            );
        }
        let kept = original
            .to_builder()
            .updated_at(original.updated_at_unix_ms());
        assert_eq!(kept.build().unwrap(), original);
    }
}

#[test]
fn times_are_given_and_got_in_milliseconds_or_as_the_standard_library_has_them() {
    for ms in [0_i64, 1, -1, 1_700_000_000_123, -62_135_596_800_000] {
        let distance = Duration::from_millis(ms.unsigned_abs());
        let time = match ms {
            0.. => UNIX_EPOCH + distance,
            _ => UNIX_EPOCH - distance,
        };
        let of_ms = builder().updated_at(ms).build().unwrap();
        assert_eq!(of_ms.updated_at_unix_ms(), ms);
        assert_eq!(of_ms.updated_at_time(), time);
        assert_eq!(of_ms.state().updated_at_time(), time);
        assert_eq!(builder().updated_at(time).build().unwrap(), of_ms);
        let timestamp = Timestamp::from(time);
        assert_eq!(builder().updated_at(timestamp).build().unwrap(), of_ms);
    }
    for ms in [i64::MIN, i64::MAX] {
        let end = builder().updated_at(ms).build().unwrap();
        let _ = end.updated_at_time();
        assert_eq!(end.updated_at_unix_ms(), ms);
    }
}

#[test]
fn a_state_may_have_so_many_axes_and_no_more() {
    let axes = |count: usize| (0..count).map(|n| (format!("axis_{n}"), 0.25));
    let full = builder().axes(axes(MAX_AXES)).build().unwrap();
    assert_eq!(full.axes().count(), MAX_AXES);
    assert_eq!(full.get_axis_opt("axis_1023"), Some(0.25));

    let too_many = SnapshotError::TooManyAxes { max: 1_024 };
    assert_eq!(
        too_many.to_string(),
        "axes are too many: at most 1024 are allowed"
    );
    for builder in [
        builder().axes(axes(MAX_AXES + 1)),
        full.to_builder().axis("one_more", 0.5),
        // However many come, and whatever comes after them.
        builder().axes((0..).map(|n: u64| (format!("axis_{n}"), 0.25))),
        builder()
            .axes(axes(10_000))
            .axis("axis_1", 0.5)
            .axes(axes(9)),
    ] {
        assert_eq!(builder.clone().build_state(), Err(too_many.clone()));
        assert_eq!(error(builder), too_many);
    }

    // An axis that is set again takes no more room.
    let again = (0..20).fold(builder(), |builder, _| builder.axes(axes(MAX_AXES)));
    assert_eq!(again.build().unwrap(), full);
}

#[test]
fn a_source_is_parsed_from_the_name_that_it_is_displayed_as() {
    for source in [Source::SelfReport, Source::Inferred, Source::Mixed] {
        assert_eq!(source.to_string().parse(), Ok(source));
    }
    let long = "é".repeat(1_000);
    for name in ["", "SelfReport", "self-report", " mixed", &long] {
        let error: ParseSourceError = name.parse::<Source>().unwrap_err();
        assert!(error.to_string().contains("self_report, inferred or mixed"));
        assert!(error.to_string().len() < 200);
        assert!(name.starts_with(error.name.trim_end_matches('…')));
    }
}

#[test]
fn equal_means_equal_in_every_part() {
    let base = || {
        builder()
            .source(Source::Mixed)
            .confidence(0.5)
            .axis("warmth", 0.0)
    };
    let snapshot = base().build().unwrap();
    assert_eq!(snapshot, snapshot.clone());
    assert_eq!(snapshot.state(), &snapshot.state().clone());
    assert_eq!(snapshot, base().build().unwrap());
    assert_eq!(snapshot, base().axis("warmth", -0.0).build().unwrap());

    for different in [
        base().user_id("dev_43"),
        base().updated_at(1_001),
        base().source(Source::Inferred),
        base().confidence(0.25),
        base().axis("warmth", 0.25),
        base().axis("formality", 0.0),
    ] {
        let different = different.build().unwrap();
        assert_ne!(snapshot, different);
        let same_user = snapshot.user_id() == different.user_id();
        assert_eq!(snapshot.state() != different.state(), same_user);
    }
    let without_axes = builder().source(Source::Mixed).confidence(0.5);
    assert_ne!(snapshot, without_axes.build().unwrap());
}

#[test]
fn a_clone_outlives_the_original() {
    for builder in small_and_large() {
        let snapshot = builder
            .user_id("an_id_that_is_longer_than_23_bytes")
            .build()
            .unwrap();
        let clone = snapshot.clone();
        // Text that is in an allocation is shared.
        assert!(std::ptr::eq(snapshot.user_id(), clone.user_id()));
        let state = clone.state().clone();
        drop(snapshot);
        assert_eq!(clone.get_axis("warmth"), 0.1);
        drop(clone);
        assert_eq!(state.get_axis("warmth"), 0.1);
    }
}

#[test]
fn debug_shows_little_of_the_user_id() {
    let shown = |id: &str| {
        let snapshot = builder().user_id(id).build().unwrap();
        let text = format!("{snapshot:?}");
        let rest = text
            .strip_prefix("StateSnapshot { user_id: \"")
            .expect("starts with the user id");
        rest.split_once('"').expect("a quoted user id").0.to_owned()
    };
    assert_eq!(shown("a"), "[redacted]");
    assert_eq!(shown("abcd"), "[redacted]");
    assert_eq!(shown("漢字漢字"), "[redacted]");
    assert_eq!(shown("abcde"), "abcd...");
    assert_eq!(shown("dev_99c3fdcbb49b"), "dev_...");
    assert_eq!(shown("漢字漢字漢"), "漢字漢字...");
}

#[test]
fn debug_shows_the_other_parts() {
    let builder = builder()
        .confidence(0.25)
        .axis("warmth", 0.75)
        .axis("custom", 0.5);
    assert_eq!(
        format!("{:?}", builder.clone().build().unwrap()),
        "StateSnapshot { user_id: \"dev_...\", updated_at_unix_ms: 1000, source: SelfReport, \
         confidence: 0.25, axes: {\"custom\": 0.5, \"warmth\": 0.75} }"
    );
    assert_eq!(
        format!("{builder:?}"),
        "StateSnapshotBuilder { user_id: Some(\"dev_...\"), updated_at_unix_ms: Some(1000), \
         source: SelfReport, confidence: 0.25, axes: [(\"warmth\", 0.75), (\"custom\", 0.5)] }"
    );
    assert_eq!(
        format!("{:?}", builder.build_state().unwrap()),
        "State { updated_at_unix_ms: 1000, source: SelfReport, confidence: 0.25, \
         axes: {\"custom\": 0.5, \"warmth\": 0.75} }"
    );
    let unchecked = StateSnapshot::builder().user_id("a\n\"b\" c");
    assert!(format!("{unchecked:?}").contains(r#"Some("a\n\"b...")"#));
}

/// The published crate cuts the id at a byte and panics inside a character.
#[test]
fn debug_of_an_id_with_a_character_across_byte_4() {
    let id = "aaaé";
    let ours = builder().user_id(id).build().unwrap();
    assert!(format!("{ours:?}").contains("\"[redacted]\""));

    let published = attuned_core::StateSnapshot::builder()
        .user_id(id)
        .build()
        .unwrap();
    assert!(catch_unwind(|| format!("{published:?}")).is_err());
}

#[test]
fn sources_have_the_published_names() {
    assert_eq!(Source::default(), Source::SelfReport);
    assert_eq!(Source::SelfReport.to_string(), "self_report");
    assert_eq!(Source::Inferred.to_string(), "inferred");
    assert_eq!(Source::Mixed.to_string(), "mixed");
    assert_eq!(format!("[{:>7}]", Source::Mixed), "[  mixed]");
}

#[test]
fn an_iterator_over_axes_stays_at_its_end() {
    let snapshot = builder().axis("warmth", 0.5).build().unwrap();
    let mut axes: Axes<'_> = snapshot.axes();
    let untouched = axes.clone();
    assert_eq!(axes.next(), Some(("warmth", 0.5)));
    assert_eq!(axes.next(), None);
    assert_eq!(axes.next(), None);
    assert_eq!(axes.size_hint(), (0, Some(0)));
    assert_eq!(format!("{untouched:?} {axes:?}"), "{\"warmth\": 0.5} {}");
}

fn axis_name() -> impl Strategy<Value = String> {
    let canonical: Vec<_> = attuned_core::CANONICAL_AXES
        .iter()
        .map(|axis| axis.name)
        .collect();
    prop_oneof![
        prop::sample::select(canonical).prop_map(str::to_owned),
        // Few, so that some repeat.
        "[a-c]{1,2}",
        "[a-z0-9]([a-z0-9_]{0,62}[a-z0-9])?",
    ]
}

proptest! {
    #[test]
    fn axes_behave_like_a_sorted_map(
        axes in prop::collection::vec((axis_name(), 0.0_f32..=1.0), 0..60),
        others in prop::collection::vec(axis_name(), 0..10),
    ) {
        let model: BTreeMap<String, f32> = axes.iter().cloned().collect();
        let snapshot = builder().axes(axes).build().unwrap();

        let expected: Vec<_> = model.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        prop_assert_eq!(snapshot.axes().collect::<Vec<_>>(), expected);
        for name in model.keys().chain(&others) {
            prop_assert_eq!(snapshot.get_axis_opt(name), model.get(name).copied());
            prop_assert_eq!(snapshot.get_axis(name), model.get(name).copied().unwrap_or(0.5));
        }

        let mut rest = snapshot.axes();
        for left in (0..=model.len()).rev() {
            let (lower, upper) = rest.size_hint();
            prop_assert!(lower <= left && Some(left) <= upper, "{left} of {lower}..={upper:?}");
            prop_assert_eq!(rest.next().is_some(), left > 0);
        }

        prop_assert_eq!(&snapshot.to_builder().updated_at(1_000).build().unwrap(), &snapshot);
        let state = snapshot.state();
        prop_assert_eq!(&state.to_builder().updated_at(1_000).build_state().unwrap(), state);
        prop_assert!(state.axes().eq(snapshot.axes()));
    }

    #[test]
    fn the_rules_are_those_of_the_published_crate(
        id in prop_oneof!["[a-zA-Z0-9_\\-é漢٣ ]{0,12}", "\\PC{0,6}", "[a-zé]{120,260}"],
        confidence in prop_oneof![0.0_f32..=1.0, -0.1_f32..1.1, any::<f32>()],
        name in prop_oneof![axis_name(), "[a-zA-Z_0-9é]{0,4}", "[a-z]{60,70}"],
        value in prop_oneof![0.0_f32..=1.0, -0.1_f32..1.1, any::<f32>()],
    ) {
        let published = attuned_core::StateSnapshot::builder()
            .user_id(&id)
            .confidence(confidence)
            .axis(&name, value)
            .build();
        let ours = builder().user_id(&id).confidence(confidence).axis(&name, value).build();
        prop_assert_eq!(ours.is_ok(), published.is_ok(), "{:?} {:?}", ours, published.err());
    }
}
