//! Absent, `null` and `{}` are one and the same; everything else is kept as it is.

use proptest::prelude::*;
use seamesh_proto::link::{TaskRequest, TaskResponse};
use seamesh_proto::{Code, Outcome, Payload, TaskState};
use serde_json::{Value, json};

#[test]
fn absent_null_and_empty_are_the_same_and_are_written_as_an_object() {
    for none in [
        Payload::EMPTY,
        Payload::default(),
        Payload::new(Value::Null),
        Payload::new(json!({})),
    ] {
        assert!(none.is_empty());
        assert_eq!(serde_json::to_string(&none).unwrap(), "{}");
        assert_eq!(none.to_value(), json!({}));
        assert_eq!(none.into_value(), json!({}));
    }
}

#[test]
fn what_only_looks_empty_is_kept() {
    for value in [
        json!([]),
        json!(""),
        json!(0),
        json!(false),
        json!({"a": null}),
        json!([null]),
    ] {
        let payload = Payload::new(value.clone());
        assert!(!payload.is_empty(), "{value}");
        assert_eq!(payload.to_value(), value);
    }
}

#[test]
fn the_old_form_of_a_request_is_keyword_arguments_beside_the_skill() {
    let old = TaskRequest::old("s", Payload::new(json!({"message": "hi", "n": 1})));
    assert_eq!(
        serde_json::to_value(&old).unwrap(),
        json!({"skill": "s", "message": "hi", "n": 1})
    );
    assert_eq!(
        old.arguments(),
        Payload::new(json!({"message": "hi", "n": 1}))
    );
}

#[test]
fn both_forms_of_a_request_give_the_same_arguments() {
    for arguments in [
        json!({"a": [1, null]}),
        json!([1, 2]),
        json!("text"),
        json!({}),
    ] {
        let payload = Payload::new(arguments);
        assert_eq!(
            TaskRequest::native("s", payload.clone()).arguments(),
            payload
        );
        assert_eq!(TaskRequest::old("s", payload.clone()).arguments(), payload);
    }
}

#[test]
fn an_old_answer_with_an_error_is_a_failure_of_the_skill() {
    let answer: TaskResponse =
        serde_json::from_value(json!({"error": "unknown skill: X"})).unwrap();
    assert_eq!(
        answer.into_outcome(),
        Outcome::failed(Code::SkillFailed, "unknown skill: X")
    );
}

#[test]
fn an_old_answer_without_an_error_is_a_success() {
    let answer: TaskResponse =
        serde_json::from_value(json!({"result": "done", "error": ""})).unwrap();
    assert_eq!(answer.into_outcome(), Outcome::completed(json!("done")));
    assert_eq!(
        TaskResponse::default().into_outcome(),
        Outcome::completed(Value::Null)
    );
}

#[test]
fn an_answer_cannot_say_that_work_is_still_running() {
    let answer = TaskResponse {
        state: Some(TaskState::Assigned),
        ..TaskResponse::default()
    };
    assert_eq!(answer.into_outcome().state, TaskState::Completed);
}

#[test]
fn an_outcome_survives_the_way_over_a_link() {
    let outcomes = [
        Outcome::completed(json!({"a": 1})),
        Outcome::completed(Value::Null),
        Outcome::failed(Code::BadArguments, "no"),
        Outcome::failed(Code::Internal, ""),
        Outcome::canceled("asked to"),
    ];
    for outcome in outcomes {
        let text = serde_json::to_string(&TaskResponse::from_outcome(outcome.clone())).unwrap();
        let answer: TaskResponse = serde_json::from_str(&text).unwrap();
        assert_eq!(answer.into_outcome(), outcome);
    }
}

/// Any JSON whose numbers every language keeps.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_payload_survives_a_round_trip(value in any_json()) {
        let payload = Payload::new(value.clone());
        let again: Payload = serde_json::from_str(&serde_json::to_string(&payload).unwrap()).unwrap();
        prop_assert_eq!(&again, &payload);
        if !payload.is_empty() {
            prop_assert_eq!(again.into_value(), value);
        }
    }

    #[test]
    fn the_native_form_of_a_request_survives_a_round_trip(value in any_json()) {
        let request = TaskRequest::native("s", Payload::new(value));
        let again: TaskRequest = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
        prop_assert_eq!(&again, &request);
        prop_assert_eq!(again.arguments(), request.arguments());
    }
}
