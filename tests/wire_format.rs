//! The published form: what `attuned_core` writes and reads, this crate writes
//! and reads, and what the one refuses the other refuses.

#![cfg(feature = "serde")]

use std::fmt::Debug;
use std::io::{self, Read};

use attuned_core::StateSnapshot as Published;
use attuned_store::{MAX_AXES, Source, State, StateSnapshot, Timestamp};
use proptest::prelude::*;
use serde_core::de::value::MapDeserializer;
use serde_core::de::{Deserializer, IntoDeserializer, Visitor};
use serde_core::{Deserialize, forward_to_deserialize_any};
use serde_json::{Value, json};

const VALID: &str = r#"{"user_id":"dev_42","updated_at_unix_ms":-5,"source":"inferred","confidence":0.25,"axes":{"formality":0.614,"my_axis":1.0,"warmth":0.0}}"#;

/// The published crate validates apart from reading.
fn validated<E: ToString>(read: Result<Published, E>) -> Result<Published, String> {
    let snapshot = read.map_err(|error| error.to_string())?;
    match snapshot.validate() {
        Ok(()) => Ok(snapshot),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn assert_same(ours: &StateSnapshot, published: &Published) {
    assert_eq!(ours.user_id(), published.user_id);
    assert_eq!(ours.updated_at_unix_ms(), published.updated_at_unix_ms);
    assert_eq!(ours.source().to_string(), published.source.to_string());
    assert_eq!(
        ours.confidence().to_bits(),
        published.confidence.to_bits(),
        "confidence"
    );
    let bits = |(name, value): (&str, f32)| (name.to_owned(), value.to_bits());
    let ours: Vec<_> = ours.axes().map(bits).collect();
    let published: Vec<_> = published
        .axes
        .iter()
        .map(|(name, value)| bits((name, *value)))
        .collect();
    assert_eq!(ours, published);
}

/// Whether both accept, in the same meaning, or both refuse.
#[track_caller]
fn assert_agree<E: Debug>(
    ours: &Result<StateSnapshot, E>,
    published: &Result<Published, String>,
    what: &str,
) {
    match (ours, published) {
        (Ok(ours), Ok(published)) => assert_same(ours, published),
        (Err(_), Err(_)) => {}
        _ => panic!("disagreement on {what}: {ours:?}, published: {published:?}"),
    }
}

/// `VALID` with one text replaced.
#[track_caller]
fn altered(from: &str, to: &str) -> String {
    assert_eq!(VALID.matches(from).count(), 1, "{from}");
    VALID.replace(from, to)
}

#[test]
fn odd_documents_are_accepted_as_by_the_published_crate() {
    let documents = [
        VALID.to_owned(),
        // White space, order, escapes.
        altered(r#"{"user_id""#, " {\n\t\"user_id\" "),
        r#"{"axes":{},"confidence":1,"source":"mixed","updated_at_unix_ms":0,"user_id":"a"}"#
            .to_owned(),
        altered("dev_42", r"d\u0065v_42"),
        altered("warmth", r"w\u0061rmth"),
        altered("inferred", r"inf\u0065rred"),
        altered("dev_42", "漢字_é"),
        // Unknown fields, even twice, even nested.
        altered(
            r#""source""#,
            r#""extra":{"user_id":[1,{"a":null}]},"source""#,
        ),
        altered(r#""source""#, r#""extra":1,"extra":2,"source""#),
        altered(r#""source""#, r#""":"","source""#),
        // Numbers in other shapes.
        altered("0.25", "0"),
        altered("0.25", "1"),
        altered("0.25", "-0.0"),
        altered("0.25", "-0"),
        altered("0.25", "2.5e-1"),
        altered("0.25", "1e-400"),
        altered("0.25", "1.00000001"),
        altered("0.614", "1"),
        altered("-5", "9223372036854775807"),
        altered("-5", "-9223372036854775808"),
        // The last of several axes with one name counts, also over a wrong one.
        altered(r#""warmth":0.0"#, r#""warmth":0.0,"formality":0.1"#),
        altered(r#""warmth":0.0"#, r#""warmth":7.0,"warmth":0.1"#),
        altered(r#""my_axis":1.0"#, r#""my_axis":1.0,"my_axis":0.5"#),
        // A structure may be a sequence of its fields.
        r#"["dev_42",-5,"inferred",0.25,{"warmth":0.5}]"#.to_owned(),
    ];
    for document in documents {
        let ours = serde_json::from_str(&document);
        let published = validated(serde_json::from_str(&document));
        assert_agree(&ours, &published, &document);
        assert!(ours.is_ok(), "{document}: {ours:?}");

        let value: Value = serde_json::from_str(&document).unwrap();
        let ours = serde_json::from_value(value.clone());
        let published = validated(serde_json::from_value(value));
        assert_agree(&ours, &published, &document);
    }
}

#[test]
fn wrong_documents_are_refused_naming_the_field() {
    let long_id = "x".repeat(257);
    let long_name = "x".repeat(65);
    let refused = [
        // Missing fields.
        ("{}".to_owned(), "`user_id`"),
        (altered(r#""user_id":"dev_42","#, ""), "`user_id`"),
        (
            altered(r#""updated_at_unix_ms":-5,"#, ""),
            "`updated_at_unix_ms`",
        ),
        (altered(r#""source":"inferred","#, ""), "`source`"),
        (altered(r#""confidence":0.25,"#, ""), "`confidence`"),
        (
            altered(
                r#","axes":{"formality":0.614,"my_axis":1.0,"warmth":0.0}"#,
                "",
            ),
            "`axes`",
        ),
        ("[]".to_owned(), "user_id"),
        (r#"["dev_42",-5,"inferred",0.25]"#.to_owned(), "axes"),
        // Duplicate fields.
        (
            altered("{\"user_id\"", "{\"user_id\":\"a\",\"user_id\""),
            "`user_id`",
        ),
        (
            altered(r#""source""#, r#""updated_at_unix_ms":-5,"source""#),
            "`updated_at_unix_ms`",
        ),
        (
            altered(r#""confidence""#, r#""source":"mixed","confidence""#),
            "`source`",
        ),
        (
            altered(r#""axes""#, r#""confidence":0.5,"axes""#),
            "`confidence`",
        ),
        (altered(r#""axes""#, r#""axes":{},"axes""#), "`axes`"),
        // Wrong types.
        (altered(r#""dev_42""#, "null"), "user_id"),
        (altered(r#""dev_42""#, "42"), "user_id"),
        (altered(r#""dev_42""#, "true"), "user_id"),
        (altered(r#""dev_42""#, r#"["dev_42"]"#), "user_id"),
        (altered("-5", "null"), "updated_at_unix_ms"),
        (altered("-5", r#""-5""#), "updated_at_unix_ms"),
        (altered("-5", "1.0"), "updated_at_unix_ms"),
        (altered("-5", "9223372036854775808"), "updated_at_unix_ms"),
        (altered("-5", "-9223372036854775809"), "updated_at_unix_ms"),
        (
            altered("-5", "99999999999999999999999"),
            "updated_at_unix_ms",
        ),
        (altered(r#""inferred""#, "null"), "source"),
        (altered(r#""inferred""#, "1"), "source"),
        (altered(r#""inferred""#, r#"["inferred"]"#), "source"),
        (altered(r#""inferred""#, "{}"), "source"),
        (altered("0.25", "null"), "confidence"),
        (altered("0.25", r#""high""#), "confidence"),
        (altered("0.25", "[0.25]"), "confidence"),
        (altered("0.25", "true"), "confidence"),
        (
            altered(r#"{"formality":0.614,"my_axis":1.0,"warmth":0.0}"#, "null"),
            "axes",
        ),
        (
            altered(r#"{"formality":0.614,"my_axis":1.0,"warmth":0.0}"#, "[]"),
            "axes",
        ),
        (
            altered(r#"{"formality":0.614,"my_axis":1.0,"warmth":0.0}"#, "0.5"),
            "axes",
        ),
        (altered("0.614", r#""0.614""#), r#"axis "formality""#),
        (altered("0.614", "null"), r#"axis "formality""#),
        (altered(":1.0", ":{}"), r#"axis "my_axis""#),
        ("5".to_owned(), "state snapshot"),
        ("null".to_owned(), "state snapshot"),
        (r#""dev_42""#.to_owned(), "state snapshot"),
        // Wrong values.
        (altered("dev_42", ""), "user_id"),
        (altered("dev_42", "dev 42"), "user_id"),
        (altered("dev_42", r"dev\n42"), "user_id"),
        (altered("dev_42", &long_id), "user_id"),
        (altered("inferred", "Inferred"), "source"),
        (altered("inferred", ""), "source"),
        (altered("0.25", "1.5"), "confidence"),
        (altered("0.25", "-0.1"), "confidence"),
        (altered("0.25", "1.0000001"), "confidence"),
        (altered("0.25", "1e300"), "confidence"),
        (altered("0.614", "1.5"), r#"axis "formality""#),
        (altered("0.614", "-1"), r#"axis "formality""#),
        (
            altered(":1.0", ":18446744073709551616"),
            r#"axis "my_axis""#,
        ),
        (altered("my_axis", "My_axis"), r#"axis name "My_axis""#),
        (altered("my_axis", ""), r#"axis name """#),
        (altered("my_axis", "my_axis_"), r#"axis name "my_axis_""#),
        (altered("my_axis", &long_name), "axis name"),
        (
            altered(r#""warmth":0.0"#, r#""warmth":0.0,"warmth":7.0"#),
            r#"axis "warmth""#,
        ),
    ];
    for (document, named) in refused {
        let ours = serde_json::from_str::<StateSnapshot>(&document);
        let published = validated(serde_json::from_str(&document));
        assert_agree(&ours, &published, &document);
        let error = ours.expect_err(&document);
        assert!(error.is_data(), "{document}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(named), "{document}: {message}");
        assert_eq!(message.matches(" at line ").count(), 1, "{message}");

        // Duplicate fields are gone from a `Value`, which may thus be accepted.
        let value: Value = serde_json::from_str(&document).unwrap();
        let ours = serde_json::from_value(value.clone());
        let published = validated(serde_json::from_value(value));
        assert_agree(&ours, &published, &document);
    }
}

/// It can be the id of somebody.
#[test]
fn a_number_in_the_place_of_a_user_id_is_not_shown() {
    for number in ["90210", "-90210", "90210.5", "9021000000000000000000000"] {
        let document = altered(r#""dev_42""#, number);
        let value: Value = serde_json::from_str(&document).unwrap();
        for error in [
            serde_json::from_str::<StateSnapshot>(&document).unwrap_err(),
            serde_json::from_value::<StateSnapshot>(value).unwrap_err(),
        ] {
            let message = error.to_string();
            let expected = "invalid type: number, expected user_id to be a string";
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("902"), "{message}");
        }
    }
}

/// These errors come from the JSON parser, with the position and without the
/// field. Some of the texts are JSON by its grammar: a number too large for an
/// `f64`, and half a surrogate pair.
#[test]
fn what_the_json_parser_refuses_is_refused_in_its_words() {
    let malformed = [
        altered("0.25", "NaN"),
        altered("0.25", "Infinity"),
        altered("0.25", "1e400"),
        altered("0.25", ".5"),
        altered("0.25", "01"),
        altered("-5", "+5"),
        altered("0.614", "1e400"),
        altered("dev_42", "dev\n42"),
        altered("dev_42", r"\ud800"),
        altered("dev_42", r"\udc00"),
        altered("my_axis", r"\ud800"),
        altered("inferred", r"\ud800"),
        altered("{\"formality\"", "{formality"),
        altered("\"warmth\":0.0", "\"warmth\":0.0,"),
        altered("\"warmth\":0.0", "1:0.0"),
        format!("{VALID}{{}}"),
        format!("[{VALID}"),
        r#"["dev_42",-5,"inferred",0.25,{},6]"#.to_owned(),
    ];
    for document in malformed {
        let ours = serde_json::from_str::<StateSnapshot>(&document).expect_err(&document);
        let published = serde_json::from_str::<Published>(&document).expect_err(&document);
        if !document.starts_with('[') {
            assert!(ours.is_syntax(), "{document}: {ours:?}");
            assert_eq!(ours.to_string(), published.to_string(), "{document}");
        }
    }
    // Deeper than any parser should follow.
    let nested = altered("0.614", &"[".repeat(100_000));
    assert!(serde_json::from_str::<StateSnapshot>(&nested).is_err());
    let nested = altered("\"source\"", &format!("\"x\":{}", "[".repeat(100_000)));
    assert!(serde_json::from_str::<StateSnapshot>(&nested).is_err());
}

/// A state has the form of a snapshot without the user id.
#[test]
fn a_state_is_a_snapshot_without_its_user() {
    let snapshot: StateSnapshot = serde_json::from_str(VALID).unwrap();
    let without = altered(r#""user_id":"dev_42","#, "");
    assert_eq!(serde_json::to_string(snapshot.state()).unwrap(), without);
    let in_order = r#"[-5,"inferred",0.25,{"formality":0.614,"my_axis":1.0,"warmth":0.0}]"#;
    // A user id is an unknown field, whatever it is.
    let wrong_id = altered("dev_42", "not an id");
    for document in [without.as_str(), in_order, VALID, &wrong_id] {
        let state: State = serde_json::from_str(document).unwrap();
        assert_eq!(&state, snapshot.state(), "{document}");
        assert!(serde_json::from_str::<StateSnapshot>(document).is_ok() == (document == VALID));
    }
    let binary = postcard::to_allocvec(snapshot.state()).unwrap();
    assert_eq!(
        &postcard::from_bytes::<State>(&binary).unwrap(),
        snapshot.state()
    );
    let binary_snapshot = postcard::to_allocvec(&snapshot).unwrap();
    assert!(binary_snapshot.ends_with(&binary));

    for (from, to, named) in [
        (r#""updated_at_unix_ms":-5,"#, "", "`updated_at_unix_ms`"),
        (
            r#""confidence":0.25"#,
            r#""confidence":0.25,"confidence":0"#,
            "`confidence`",
        ),
        ("0.614", "1.5", r#"axis "formality""#),
        ("inferred", "guessed", "source"),
    ] {
        let error = serde_json::from_str::<State>(&altered(from, to)).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = serde_json::from_str::<State>("5").unwrap_err();
    assert!(error.to_string().contains("expected a state"), "{error}");
}

#[test]
fn a_timestamp_is_its_milliseconds() {
    for ms in [i64::MIN, -1, 0, i64::MAX] {
        let json = serde_json::to_string(&Timestamp::from(ms)).unwrap();
        assert_eq!(json, ms.to_string());
        let read: Timestamp = serde_json::from_str(&json).unwrap();
        assert_eq!(read.as_unix_ms(), ms);
    }
}

/// How many axes [`ManyAxes`] has: far more than should be read.
const NAMES: u64 = 100_000;

/// A document with very many axes.
struct ManyAxes {
    left: Vec<u8>,
    next: u64,
    one_name: bool,
}

impl ManyAxes {
    fn new(one_name: bool) -> Self {
        let start = VALID.split_once("{\"formality\"").unwrap().0;
        let left = [start, "{"].concat().into_bytes();
        let next = 0;
        Self {
            left,
            next,
            one_name,
        }
    }
}

impl Read for ManyAxes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            // Nobody should read so far that there are too many.
            assert!(self.one_name || self.next <= 4 * MAX_AXES as u64);
            if self.next > NAMES {
                return Ok(0);
            }
            if self.next == NAMES {
                self.left.extend(b"\"warmth\":0.5}}");
            } else {
                let name = if self.one_name { 0 } else { self.next };
                self.left.extend(format!("\"axis_{name}\":0.5,").bytes());
            }
            self.next += 1;
        }
        let count = buffer.len().min(self.left.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

#[test]
fn reading_stops_where_there_are_too_many_axes() {
    let error = serde_json::from_reader::<_, StateSnapshot>(ManyAxes::new(false));
    let error = error.unwrap_err();
    assert!(error.is_data(), "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("axes are too many: at most 1024 are allowed"),
        "{message}"
    );

    let axes = |count: usize| {
        let axes: Vec<_> = (0..count).map(|n| format!("\"axis_{n}\":0.5")).collect();
        altered(r#""warmth":0.0"#, &axes.join(","))
    };
    // Two are there already.
    let full: StateSnapshot = serde_json::from_str(&axes(MAX_AXES - 2)).unwrap();
    assert_eq!(full.axes().count(), MAX_AXES);
    let json = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<StateSnapshot>(&json).unwrap(), full);
    assert!(serde_json::from_str::<StateSnapshot>(&axes(MAX_AXES - 1)).is_err());

    // One axis, however often.
    let twice: StateSnapshot = serde_json::from_reader(ManyAxes::new(true)).unwrap();
    assert!(twice.axes().eq([("axis_0", 0.5), ("warmth", 0.5)]));
}

/// A reader of a stream tells an incomplete document from a wrong one by this.
#[test]
fn a_document_that_ends_too_early_is_reported_as_such() {
    for end in 0..VALID.len() {
        let truncated = &VALID[..end];
        let error = serde_json::from_str::<StateSnapshot>(truncated).expect_err(truncated);
        assert!(error.is_eof(), "{truncated}: {error:?}");
    }
}

/// The one difference: the published crate also reads a source as the map that
/// serde's derive allows for an enum's variant, and which nobody writes.
#[test]
fn a_source_is_a_string() {
    let document = altered(r#""inferred""#, r#"{"inferred":null}"#);
    assert!(validated(serde_json::from_str(&document)).is_ok());
    let error = serde_json::from_str::<StateSnapshot>(&document).expect_err("a map");
    assert!(error.to_string().contains("source"), "{error}");
}

#[test]
fn messages_say_what_was_found_and_what_belongs_there() {
    let message = |document: String| {
        serde_json::from_str::<StateSnapshot>(&document)
            .expect_err(&document)
            .to_string()
    };
    let position = "at line 1 column";
    for (document, expected) in [
        (
            altered("0.25", r#""high""#),
            r#"invalid type: string "high", expected confidence to be a number"#,
        ),
        (
            altered("inferred", "guessed"),
            r#"invalid value: string "guessed", expected source to be one of self_report, inferred, mixed"#,
        ),
        (
            altered("0.614", "[]"),
            r#"invalid type: sequence, expected axis "formality" to be a number"#,
        ),
        (
            altered("0.614", "1.5"),
            r#"axis "formality" is 1.5, but must be from 0 to 1"#,
        ),
        (
            altered("dev_42", "dev 42"),
            "user_id has ' ' at byte 3, but only alphanumeric characters, _ and - are allowed",
        ),
    ] {
        let message = message(document);
        assert!(
            message.starts_with(&format!("{expected} {position}")),
            "{message}"
        );
    }

    // However long the input, and whatever is in it.
    for document in [
        altered("my_axis", &"é".repeat(100_000)),
        altered(
            r#""my_axis":1.0"#,
            &format!("{:?}:null", "é".repeat(100_000)),
        ),
        altered("inferred", &"é".repeat(100_000)),
        altered(r#""my_axis":1.0"#, r#""a\nb":null"#),
        altered("my_axis", r"a\nb"),
    ] {
        let message = message(document);
        assert!(message.len() < 300, "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

/// Formats that write the index of a field in place of its name.
#[test]
fn fields_can_be_named_by_their_index() {
    let by_index = || {
        let fields: [(u64, Value); 6] = [
            (4, json!({ "warmth": 0.5 })),
            (3, json!(0.25)),
            (5, json!("unknown")),
            (2, json!("mixed")),
            (1, json!(1_000)),
            (0, json!("dev_42")),
        ];
        MapDeserializer::<_, serde_json::Error>::new(fields.into_iter())
    };
    let ours = StateSnapshot::deserialize(by_index());
    let published = validated(Published::deserialize(by_index()));
    assert_agree(&ours, &published, "fields by index");
    assert_eq!(ours.unwrap().source(), Source::Mixed);
}

/// A source as binary formats have it: the index of an enum's variant.
struct BinarySource(u32);

impl<'de> Deserializer<'de> for BinarySource {
    type Error = serde_core::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde_core::de::Error::custom("not self-describing"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[test]
fn a_source_is_an_index_in_binary_formats() {
    for index in 0..5 {
        let ours = Source::deserialize(BinarySource(index)).map(|source| source.to_string());
        let published =
            attuned_core::Source::deserialize(BinarySource(index)).map(|source| source.to_string());
        assert_eq!(ours.clone().ok(), published.ok(), "{index}");
        assert_eq!(ours.is_ok(), index < 3, "{index}");
    }
}

#[test]
fn sources_are_written_as_they_are_displayed() {
    for source in [Source::SelfReport, Source::Inferred, Source::Mixed] {
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(json, format!("\"{source}\""));
        assert_eq!(serde_json::from_str::<Source>(&json).unwrap(), source);
    }
}

#[test]
fn snapshots_can_be_read_without_borrowing_from_the_input() {
    let from_reader: StateSnapshot = serde_json::from_reader(VALID.as_bytes()).unwrap();
    let from_str: StateSnapshot = serde_json::from_str(VALID).unwrap();
    assert_eq!(from_reader, from_str);
    assert_eq!(serde_json::to_string(&from_reader).unwrap(), VALID);
}

fn axes() -> impl Strategy<Value = Vec<(String, f32)>> {
    let canonical: Vec<_> = attuned_core::CANONICAL_AXES
        .iter()
        .map(|axis| axis.name)
        .collect();
    let name = prop_oneof![
        prop::sample::select(canonical).prop_map(str::to_owned),
        "[a-z0-9]([a-z0-9_]{0,62}[a-z0-9])?",
    ];
    prop::collection::vec((name, fraction()), 0..30)
}

fn fraction() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => 0.0_f32..=1.0,
        1 => prop::num::f32::SUBNORMAL.prop_map(f32::abs),
        1 => prop::sample::select(vec![0.0, -0.0, 1.0]),
    ]
}

proptest! {
    #[test]
    fn what_one_writes_the_other_reads(
        user_id in "[a-zA-Z0-9_\\-éßλд漢٣]{1,60}",
        updated_at in any::<i64>(),
        (source, published_source) in prop::sample::select(vec![
            (Source::SelfReport, attuned_core::Source::SelfReport),
            (Source::Inferred, attuned_core::Source::Inferred),
            (Source::Mixed, attuned_core::Source::Mixed),
        ]),
        confidence in fraction(),
        axes in axes(),
    ) {
        let ours = StateSnapshot::builder()
            .user_id(&user_id)
            .updated_at(updated_at)
            .source(source)
            .confidence(confidence)
            .axes(axes.iter().map(|(name, value)| (name, *value)))
            .build()
            .unwrap();
        let published = Published::builder()
            .user_id(user_id)
            .updated_at(updated_at)
            .source(published_source)
            .confidence(confidence)
            .axes(axes)
            .build()
            .unwrap();

        let json = serde_json::to_string(&ours).unwrap();
        prop_assert_eq!(&json, &serde_json::to_string(&published).unwrap());
        prop_assert_eq!(&serde_json::from_str::<StateSnapshot>(&json).unwrap(), &ours);
        assert_same(&ours, &serde_json::from_str(&json).unwrap());

        let binary = postcard::to_allocvec(&ours).unwrap();
        prop_assert_eq!(&binary, &postcard::to_allocvec(&published).unwrap());
        prop_assert_eq!(&postcard::from_bytes::<StateSnapshot>(&binary).unwrap(), &ours);

        let value = serde_json::to_value(&ours).unwrap();
        prop_assert_eq!(&value, &serde_json::to_value(&published).unwrap());
        prop_assert_eq!(&serde_json::from_value::<StateSnapshot>(value).unwrap(), &ours);
    }

    /// One edit to a valid document, anywhere.
    #[test]
    fn damaged_documents_are_judged_alike(
        start in 0..=VALID.len(),
        removed in 0..4_usize,
        inserted in prop_oneof![
            "[ -~]{0,2}",
            "[0-9.,:\"{}\\[\\]eE_-]{0,3}",
            Just("null".to_owned()),
        ],
    ) {
        let end = (start + removed).min(VALID.len());
        let document = [&VALID[..start], &inserted, &VALID[end..]].concat();
        let ours = serde_json::from_str(&document);
        let published = validated(serde_json::from_str(&document));
        assert_agree(&ours, &published, &document);
    }
}
