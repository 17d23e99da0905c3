//! The STUN and TURN servers that the registry names, resolved.

use std::net::SocketAddr;
use std::time::Duration;

use seamesh_client::{ClientError, Registry};
use seamesh_proto::rest::{IceConfig, IceServer};
use seamesh_transport::TurnServer;
use tokio::time::timeout;

/// What finding the servers may take, all in all: links without them are better than no links.
const LOOKUP: Duration = Duration::from_secs(2);

/// Where STUN and TURN listen unless a URL says otherwise (RFC 7064, RFC 7065).
const DEFAULT_PORT: u16 = 3478;

/// Servers that are asked for addresses of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IceServers {
    pub(crate) stun: Vec<SocketAddr>,
    pub(crate) turn: Vec<TurnServer>,
}

/// Asks the registry. `None`: it did not answer, or not in time, and the servers known so far stay.
pub(crate) async fn of(registry: &Registry) -> Option<IceServers> {
    let lookup = async { Ok::<_, ClientError>(resolved(&registry.ice_config().await?).await) };
    match timeout(LOOKUP, lookup).await {
        Ok(Ok(servers)) => Some(servers),
        Ok(Err(error)) => {
            tracing::warn!(%error, "no STUN or TURN servers: links open only to peers that reach this host");
            None
        }
        Err(_) => {
            tracing::warn!(
                "no STUN or TURN servers in time: links open only to peers that reach this host"
            );
            None
        }
    }
}

async fn resolved(config: &IceConfig) -> IceServers {
    let mut servers = IceServers::default();
    for server in &config.ice_servers {
        for url in &server.urls {
            let Some(named) = Named::parse(url, server) else {
                tracing::debug!(
                    url,
                    "a STUN or TURN server of a kind that is not spoken here"
                );
                continue;
            };
            // One name that does not resolve leaves the others.
            let found = tokio::net::lookup_host(&named.host).await;
            match found.map(|mut found| found.find(SocketAddr::is_ipv4)) {
                Ok(Some(address)) => servers.add(address, named.credentials),
                Ok(None) | Err(_) => {
                    tracing::warn!(
                        host = named.host,
                        "the name of a STUN or TURN server does not resolve"
                    );
                }
            }
        }
    }
    servers
}

impl IceServers {
    fn add(&mut self, address: SocketAddr, credentials: Option<(String, String)>) {
        // A TURN server tells the outer address as well.
        if !self.stun.contains(&address) {
            self.stun.push(address);
        }
        if let Some((username, password)) = credentials {
            self.turn.push(TurnServer {
                address,
                username,
                password,
            });
        }
    }
}

/// A server as a URL names it.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    /// `host:port`.
    host: String,
    /// User and password of a TURN server.
    credentials: Option<(String, String)>,
}

impl Named {
    /// Reads `stun:host[:port]` and `turn:host[:port][?transport=udp]`. `None` for anything else: TLS and TCP are not
    /// spoken, and TURN without credentials is nothing.
    fn parse(url: &str, server: &IceServer) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (host, query) = match rest.split_once('?') {
            Some((host, query)) => (host, Some(query)),
            None => (rest, None),
        };
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let credentials = match scheme {
            "stun" => None,
            "turn" if query.is_none_or(|query| query == "transport=udp") => {
                Some((server.username.clone()?, server.credential.clone()?))
            }
            _ => return None,
        };
        Some(Self {
            host: match has_port {
                true => host.to_owned(),
                false => format!("{host}:{DEFAULT_PORT}"),
            },
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str], user: Option<&str>) -> IceServer {
        IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: user.map(str::to_owned),
            credential: user.map(|user| format!("secret of {user}")),
        }
    }

    #[test]
    fn urls_name_a_host_and_a_port_and_turn_its_credentials() {
        let ann = server(&[], Some("ann"));
        let host = |url: &str| Named::parse(url, &ann).map(|named| named.host);
        assert_eq!(host("stun:a.example:19302").unwrap(), "a.example:19302");
        assert_eq!(host("stun:c.example").unwrap(), "c.example:3478");
        assert_eq!(host("turn:b.example").unwrap(), "b.example:3478");
        let named = Named::parse("turn:b.example:5?transport=udp", &ann).unwrap();
        let secret = ("ann".to_owned(), "secret of ann".to_owned());
        assert_eq!(
            (named.host.as_str(), named.credentials),
            ("b.example:5", Some(secret))
        );
    }

    #[test]
    fn what_is_not_spoken_here_is_left_out() {
        let nobody = server(&[], None);
        assert_eq!(Named::parse("turn:b.example", &nobody), None);
        let ann = server(&[], Some("ann"));
        for url in [
            "turns:b.example",
            "turn:b.example?transport=tcp",
            "stuns:a.example",
            "nonsense",
        ] {
            assert_eq!(Named::parse(url, &ann), None, "{url}");
        }
    }

    #[tokio::test]
    async fn a_turn_server_is_a_stun_server_too_and_none_is_asked_twice() {
        let config = IceConfig {
            ice_servers: vec![
                server(&["stun:127.0.0.1:1", "stun:127.0.0.1:2"], None),
                server(&["turn:127.0.0.1:2"], Some("ann")),
            ],
        };
        let found = resolved(&config).await;
        assert_eq!(
            found.stun.iter().map(SocketAddr::port).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(found.turn.len(), 1);
        assert_eq!(found.turn[0].username, "ann");
    }
}
