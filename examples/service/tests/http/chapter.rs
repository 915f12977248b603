//! The chapter of attuned-store's documentation that walks through this service.

const CHAPTER: &str = include_str!("../../../../src/docs/service.md");
const SOURCES: [&str; 3] = [
    include_str!("../../src/etag.rs"),
    include_str!("../../src/routes.rs"),
    include_str!("../../src/walk.rs"),
];

/// What the chapter marks as quoted, up to an empty line, is in the service word for word.
#[test]
fn quotes_the_service() {
    let quotes: Vec<&str> = CHAPTER
        .split("// From `")
        .skip(1)
        .filter_map(|rest| rest.split_once('\n')?.1.split("\n\n").next())
        .map(|quote| quote.trim_end_matches(['}', ' ', '\n']))
        .collect();
    assert_eq!(quotes.len(), 6);
    for quote in quotes {
        assert!(
            SOURCES.iter().any(|source| source.contains(quote)),
            "{quote}"
        );
    }
}
