//! Access tokens: as they come, and with a good signature around anything, so that what stands behind it is reached.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use seamesh_identity::token::TokenSigner;
use seamesh_proto::rest::Role;
use serde_json::value::RawValue;

const SECRET: &[u8] = b"a secret of this target alone";
const NOW_S: u64 = 1_800_000_000;

/// The first line is a header and the rest are claims; all of it is also a token.
pub(crate) fn run(data: &[u8]) {
    let signer = TokenSigner::new(SECRET);
    if let Ok(text) = std::str::from_utf8(data) {
        let as_it_came = signer.verify(text, NOW_S);
        assert!(as_it_came.is_err(), "nobody guesses a signature: {text:?}");
    }
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        signed.as_bytes(),
    );
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
    let Ok(claims) = signer.verify(&token, NOW_S) else {
        return;
    };
    assert!(names_hs256(header), "{}", header.escape_ascii());
    let again = signer.sign(&claims);
    assert_eq!(signer.verify(&again, NOW_S), Ok(claims), "signed again");
}

/// Whether a header names the one algorithm. What else stands there is nobody's business, whether or not it fits a type.
fn names_hs256(header: &[u8]) -> bool {
    let fields: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_slice(header);
    let algorithm = match &fields {
        Ok(fields) => fields.get("alg").copied(),
        // The reader takes a list as well, in the order of the fields.
        Err(_) => serde_json::from_slice::<Vec<&RawValue>>(header)
            .ok()
            .and_then(|list| list.first().copied()),
    };
    let text = algorithm.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    text.as_deref() == Some("HS256")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let token = TokenSigner::new(b"another").issue(
        &"p1".parse().expect("a valid id"),
        Role::Agent,
        "k-1",
        NOW_S,
    );
    let claims = r#"{"sub":"p1","role":"agent","iat":1800000000,"exp":1800000300,"cred":"k-1"}"#;
    let with = |header: &str| format!("{header}\n{claims}").into_bytes();
    vec![
        token.into_bytes(),
        with(r#"{"typ":"JWT","alg":"HS256"}"#),
        with(r#"{"alg":"none"}"#),
        with(r#"{"alg":"HS256","crit":["b64"]}"#),
        with(r#"{"alg":"RS256","kid":"1"}"#),
    ]
}
