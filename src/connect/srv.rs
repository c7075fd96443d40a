//! Finding etcd's endpoints by DNS, as etcd's own clients do: SRV records of
//! `_etcd-client-ssl._tcp.<domain>` (https) and `_etcd-client._tcp.<domain>` (http).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use crate::error::Error;

/// The endpoints that the domain names: https before http, then by priority, weight and name.
///
/// # Errors
/// Neither of the two names has a record.
pub async fn discover(domain: &str, dns_server: Option<SocketAddr>, timeout: Duration) -> Result<Vec<String>, Error> {
    let doing = || Error::input("discover etcd's endpoints").at(format!("SRV records of {domain}"));
    let resolver = resolver(dns_server).map_err(|e| doing().cause(e.to_string()))?;
    let mut endpoints = Vec::new();
    let mut failures = Vec::new();
    for (scheme, service) in [("https", "_etcd-client-ssl._tcp"), ("http", "_etcd-client._tcp")] {
        let name = format!("{service}.{domain}");
        let answer = tokio::time::timeout(timeout, resolver.srv_lookup(name.as_str())).await;
        match answer {
            Ok(Ok(lookup)) => {
                let records = lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::SRV(srv) => Some((srv.priority, srv.weight, srv.target.to_utf8(), srv.port)),
                    _ => None,
                });
                endpoints.extend(in_order(scheme, records.collect()));
            }
            Ok(Err(e)) => failures.push(format!("{name}: {e}")),
            Err(_) => failures.push(format!("{name}: no answer within {}", humantime::format_duration(timeout))),
        }
    }
    match endpoints.is_empty() {
        false => Ok(endpoints),
        true => Err(doing()
            .cause(failures.join("; "))
            .hint("check the domain (--etcd-discovery-srv) and this machine's DNS")),
    }
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, hickory_resolver::net::NetError> {
    let Some(address) = server else {
        return TokioResolver::builder_tokio()?.build();
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_name_servers(vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

/// A record names its host with the root's dot at the end; a certificate and a URL do not.
fn in_order(scheme: &str, mut records: Vec<(u16, u16, String, u16)>) -> Vec<String> {
    records.sort_by(|a, b| (a.0, b.1, &a.2, a.3).cmp(&(b.0, a.1, &b.2, b.3)));
    let url =
        |(_, _, target, port): (u16, u16, String, u16)| format!("{scheme}://{}:{port}", target.trim_end_matches('.'));
    records.into_iter().map(url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_tried_by_priority_then_weight_then_name() {
        let record = |priority, weight, name: &str| (priority, weight, name.to_owned(), 2379);
        let records = vec![record(20, 9, "c."), record(10, 1, "b."), record(10, 5, "d."), record(10, 1, "a.")];
        let urls = in_order("https", records);
        assert_eq!(urls, ["https://d:2379", "https://a:2379", "https://b:2379", "https://c:2379"]);
    }
}
