//! Codes are stable: other languages, dashboards and people depend on them.

use seamesh_proto::{Code, Fault, Problem, Retry, WireError, parse_frame};

/// The codes as they were published. Adding is free; a change or a removal breaks somebody.
const PUBLISHED: &[(&str, Fault, Retry)] = &[
    ("bad_encoding", Fault::Caller, Retry::Never),
    ("bad_json", Fault::Caller, Retry::Never),
    ("bad_field", Fault::Caller, Retry::Never),
    ("unknown_type", Fault::Caller, Retry::Never),
    ("out_of_order", Fault::Caller, Retry::Never),
    ("too_large", Fault::Caller, Retry::Never),
    ("version_unsupported", Fault::Caller, Retry::Never),
    ("unauthorized", Fault::Caller, Retry::Never),
    ("forbidden", Fault::Caller, Retry::Never),
    ("not_found", Fault::Caller, Retry::Never),
    ("method_not_allowed", Fault::Caller, Retry::Never),
    ("unsupported_media_type", Fault::Caller, Retry::Never),
    ("agent_unknown", Fault::Caller, Retry::Never),
    ("task_unknown", Fault::Caller, Retry::Never),
    ("task_state", Fault::Caller, Retry::Never),
    ("lease_stale", Fault::Caller, Retry::Never),
    ("conflict", Fault::Caller, Retry::Never),
    ("no_agent", Fault::Caller, Retry::Later),
    ("skill_unknown", Fault::Caller, Retry::Never),
    ("depth_exceeded", Fault::Caller, Retry::Never),
    ("fan_out_exceeded", Fault::Caller, Retry::Never),
    ("not_streamed", Fault::Caller, Retry::Never),
    ("nobody_answers", Fault::Caller, Retry::Never),
    ("stream_broken", Fault::Network, Retry::Later),
    ("bad_arguments", Fault::Caller, Retry::Never),
    ("skill_failed", Fault::Callee, Retry::Never),
    ("bad_result", Fault::Callee, Retry::Never),
    ("expired", Fault::Mesh, Retry::Later),
    ("deadline_exceeded", Fault::Callee, Retry::Later),
    ("attempts_exhausted", Fault::Callee, Retry::Later),
    ("canceled", Fault::Caller, Retry::Never),
    ("no_link", Fault::Network, Retry::Later),
    ("link_lost", Fault::Network, Retry::Later),
    ("registry_unavailable", Fault::Network, Retry::Later),
    ("agent_away", Fault::Callee, Retry::Later),
    ("sidecar_busy", Fault::Caller, Retry::Later),
    ("overloaded", Fault::Mesh, Retry::Later),
    ("rate_limited", Fault::Caller, Retry::Later),
    ("invite_invalid", Fault::Caller, Retry::Never),
    ("identity_required", Fault::Caller, Retry::Never),
    ("identity_invalid", Fault::Caller, Retry::Never),
    ("identity_changed", Fault::Caller, Retry::Never),
    ("events_gone", Fault::Caller, Retry::Never),
    ("store_unavailable", Fault::Mesh, Retry::Later),
    ("internal", Fault::Mesh, Retry::Later),
];

#[test]
fn published_codes_keep_their_text_fault_and_retry() {
    for &(text, fault, retry) in PUBLISHED {
        let code = Code::ALL.iter().find(|c| c.as_str() == text);
        let code = code.unwrap_or_else(|| panic!("{text} was published and is gone"));
        assert_eq!((code.fault(), code.retry()), (fault, retry), "{text}");
    }
}

#[test]
fn a_code_is_written_as_its_text() {
    for &code in Code::ALL {
        let json = serde_json::to_string(&code).unwrap();
        assert_eq!(json, format!("{:?}", code.as_str()));
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
        assert_eq!(code.to_string(), code.as_str());
    }
}

#[test]
fn every_code_is_published_here() {
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|c| !PUBLISHED.iter().any(|(text, ..)| *text == c.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "add {missing:?} to PUBLISHED, with a vector where one applies"
    );
}

#[test]
fn a_problem_says_whose_fault_it_is_and_whether_to_retry() {
    let problem = Problem::new(Code::Overloaded, "try later").for_request("r1");
    let value = serde_json::to_value(&problem).unwrap();
    let expected = serde_json::json!({
        "code": "overloaded", "detail": "try later", "fault": "mesh", "retry": "later", "request_id": "r1",
    });
    assert_eq!(value, expected);
    assert_eq!(problem.to_string(), "overloaded: try later");
}

#[test]
fn the_envelope_tells_bad_bytes_bad_text_and_a_bad_tag_apart() {
    let code = |bytes: &[u8]| parse_frame(bytes).unwrap_err().code;
    assert_eq!(code(b"\xff"), Code::BadEncoding);
    assert_eq!(code(b"{"), Code::BadJson);
    assert_eq!(code(b""), Code::BadJson);
    assert_eq!(code(b"{}"), Code::BadField);
    assert_eq!(code(b"[1]"), Code::BadField);
    assert_eq!(code(br#"{"type":1}"#), Code::BadField);
}

#[test]
fn a_wire_error_becomes_a_problem_with_the_same_code() {
    let problem = Problem::from(WireError::new(Code::BadField, "payload: no skill"));
    assert_eq!(
        (problem.code, problem.detail.as_str()),
        (Code::BadField, "payload: no skill")
    );
}
