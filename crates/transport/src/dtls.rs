//! The little of DTLS records (RFC 6347 section 4.1) that shows from outside.

const CONTENT_ALERT: u8 = 21;
const ALERT_FATAL: u8 = 2;
const RECORD_HEADER_BYTES: usize = 13;

/// Whether the first byte is a DTLS record's (RFC 7983 section 7).
pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=63, ..])
}

/// Whether it belongs to a handshake that is not encrypted yet.
pub(crate) fn is_plain(datagram: &[u8]) -> bool {
    is_dtls(datagram) && datagram.get(3..5) == Some(&[0, 0])
}

/// A handshake's death notice. The stack reports it in no other way.
pub(crate) fn is_plain_fatal_alert(datagram: &[u8]) -> bool {
    is_plain(datagram)
        && datagram[0] == CONTENT_ALERT
        && datagram.get(RECORD_HEADER_BYTES) == Some(&ALERT_FATAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_by_type_and_epoch() {
        let fatal = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 42];
        let mut warning = fatal;
        warning[13] = 1;
        let mut encrypted = fatal;
        encrypted[4] = 1;
        assert!(is_plain_fatal_alert(&fatal));
        assert!(is_plain(&warning) && !is_plain_fatal_alert(&warning));
        assert!(is_dtls(&encrypted) && !is_plain(&encrypted) && !is_plain_fatal_alert(&encrypted));
        for stun_or_short in [&[0u8, 1][..], &[21], &[]] {
            assert!(!is_plain_fatal_alert(stun_or_short));
        }
    }
}
