//! Ids are checked once, where they enter.

use proptest::prelude::*;
use seamesh_proto::limits::MAX_ID_BYTES;
use seamesh_proto::{AgentId, IdError, PeerId, TaskId};

#[test]
fn an_id_holds_what_is_safe_in_a_path_a_log_and_a_page() {
    for text in ["a", "agent-001", "A.b_c:d@e+f~g*h=i", "3f2a9c1e-8b4", "*"] {
        assert_eq!(text.parse::<AgentId>().unwrap().as_str(), text);
    }
}

#[test]
fn what_is_not_an_id_says_why() {
    let error = |text: &str| text.parse::<PeerId>().unwrap_err();
    assert_eq!(error(""), IdError::Empty);
    assert_eq!(error(&"a".repeat(MAX_ID_BYTES + 1)), IdError::TooLong);
    for bad in [
        "a b", "a/b", "a\\b", "a\"b", "a'b", "<a>", "a?b", "a#b", "a%b", "a\n", "é", "\0", "a,b",
    ] {
        assert_eq!(error(bad), IdError::BadCharacter, "{bad:?}");
    }
}

#[test]
fn the_longest_id_is_accepted() {
    let text = "x".repeat(MAX_ID_BYTES);
    assert_eq!(text.parse::<TaskId>().unwrap().as_str(), text);
}

#[test]
fn an_escaped_id_is_read_as_what_it_says() {
    let id: AgentId = serde_json::from_str(r#""\u0061-1""#).unwrap();
    assert_eq!(id.as_str(), "a-1");
    assert!(serde_json::from_str::<AgentId>(r#""a\u002fb""#).is_err());
}

#[test]
fn a_number_is_no_id() {
    assert!(serde_json::from_str::<TaskId>("7").is_err());
    assert!(serde_json::from_str::<TaskId>("null").is_err());
}

proptest! {
    #[test]
    fn any_text_is_refused_or_kept_as_it_is(text in "\\PC{0,140}") {
        if let Ok(id) = text.parse::<TaskId>() {
            prop_assert_eq!(id.as_str(), text.as_str());
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), id);
        }
    }

    #[test]
    fn the_schema_and_the_check_agree(text in "[ -~]{1,8}") {
        let pattern = |c: char| c.is_ascii_alphanumeric() || "._:@+~*=-".contains(c);
        prop_assert_eq!(text.parse::<TaskId>().is_ok(), text.chars().all(pattern));
    }
}
