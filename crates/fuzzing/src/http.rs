//! Bodies of HTTP requests, as the handler of each route reads them; and the codes that people type.

use seamesh_proto::routes::{ROUTES, ReadFn};
use seamesh_proto::{WireError, invite};

use crate::{check_detail, vectors};

fn readers() -> Vec<(&'static str, ReadFn)> {
    let with_body = |route: &seamesh_proto::routes::Route| Some((route.operation, route.read?));
    ROUTES.iter().filter_map(with_body).collect()
}

/// The first byte chooses the route, the rest is the body.
pub(crate) fn run(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let readers = readers();
    let (operation, read) = readers[usize::from(*first) % readers.len()];
    match read(body) {
        Ok(understood) => {
            let again = read(understood.to_string().as_bytes());
            assert!(again.is_ok(), "{operation}: {understood}: {again:?}");
        }
        Err(WireError { detail, .. }) => check_detail(&detail),
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(secret) = invite::secret_of(text)
    {
        assert_eq!(invite::secret_of(&secret), Some(secret), "read again");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let bodies = vectors::of("rest", |_| true);
    let count = u8::try_from(readers().len()).expect("fewer routes than a byte counts");
    let mut seeds = Vec::new();
    for route in 0..count {
        let (_, read) = readers()[usize::from(route)];
        // Of the bodies of other routes, those that are understood here too.
        let fitting = bodies.iter().filter(|(_, body)| read(body).is_ok());
        seeds.extend(fitting.map(|(_, body)| [&[route], &body[..]].concat()));
    }
    seeds
}
