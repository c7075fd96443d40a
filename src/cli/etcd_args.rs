//! The flags for etcd, in calicoctl's words; to be flattened into every command that reads it.
//!
//! What wins over what is decided by [`crate::connect::choose`]; here is only what a flag is called and what
//! `--help` says about it. `--help` never shows a variable's value. There is no flag for a password: `ps` would show it.

use std::time::Duration;

use clap::Args;

use crate::connect::choose::load;
use crate::connect::settings::{EtcdFlags, EtcdSettings};
use crate::environment;
use crate::error::Error;

/// How to reach the etcd that Calico keeps its data in.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct EtcdArgs {
    /// etcd's endpoints, comma separated: https://10.0.0.1:2379,https://10.0.0.2:2379. Tried in this order; also
    /// ETCD_ENDPOINTS
    #[arg(long, value_name = "URLS", env = "IPAUDIT_ETCD_ENDPOINTS", hide_env_values = true)]
    pub etcd_endpoints: Option<String>,

    /// Domain whose SRV records (_etcd-client-ssl._tcp, _etcd-client._tcp) name the endpoints; instead of
    /// --etcd-endpoints; also ETCD_DISCOVERY_SRV
    #[arg(long, value_name = "DOMAIN", env = "IPAUDIT_ETCD_DISCOVERY_SRV", hide_env_values = true)]
    pub etcd_discovery_srv: Option<String>,

    /// File with the CA (PEM) that signed etcd's certificate; the system's CAs when absent; also ETCD_CA_CERT_FILE
    #[arg(long, value_name = "FILE", env = "IPAUDIT_ETCD_CA_CERT", hide_env_values = true)]
    pub etcd_ca_cert: Option<String>,

    /// File with the client certificate (PEM); also ETCD_CERT_FILE
    #[arg(long, value_name = "FILE", env = "IPAUDIT_ETCD_CERT", hide_env_values = true)]
    pub etcd_cert: Option<String>,

    /// File with the client certificate's key (PEM, without passphrase); also ETCD_KEY_FILE
    #[arg(long, value_name = "FILE", env = "IPAUDIT_ETCD_KEY", hide_env_values = true)]
    pub etcd_key: Option<String>,

    /// etcd user, where etcd's authentication is on; also ETCD_USERNAME
    #[arg(long, value_name = "NAME", env = "IPAUDIT_ETCD_USERNAME", hide_env_values = true)]
    pub etcd_username: Option<String>,

    /// File with that user's password; or the password itself in IPAUDIT_ETCD_PASSWORD or ETCD_PASSWORD
    #[arg(long, value_name = "FILE", env = "IPAUDIT_ETCD_PASSWORD_FILE", hide_env_values = true)]
    pub etcd_password_file: Option<String>,

    /// calicoctl's configuration file (kind CalicoAPIConfig), for what is not given otherwise; by default
    /// /etc/calico/calicoctl.cfg, where there is one
    #[arg(long, value_name = "FILE", env = "IPAUDIT_CONFIG", hide_env_values = true)]
    pub config: Option<String>,

    /// Reads in flight, 1 to 16; more than 2 makes other people's writes wait
    #[arg(long, value_name = "N", env = "IPAUDIT_ETCD_CONCURRENCY", hide_env_values = true, default_value = "2",
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub etcd_concurrency: u8,

    /// Read etcd so that others' writes wait least: one read in flight, 1,000 keys each, no streams. It takes longer
    #[arg(long, env = "IPAUDIT_GENTLE", hide_env_values = true)]
    pub gentle: bool,

    /// How long one request may take
    #[arg(long, value_name = "DURATION", env = "IPAUDIT_ETCD_TIMEOUT", hide_env_values = true, default_value = "30s",
          value_parser = timeout)]
    pub etcd_timeout: Duration,
}

impl EtcdArgs {
    /// What was given, without clap.
    pub fn flags(&self) -> EtcdFlags {
        EtcdFlags {
            endpoints: self.etcd_endpoints.clone(),
            discovery_srv: self.etcd_discovery_srv.clone(),
            ca_cert: self.etcd_ca_cert.clone(),
            cert: self.etcd_cert.clone(),
            key: self.etcd_key.clone(),
            username: self.etcd_username.clone(),
            password_file: self.etcd_password_file.clone(),
            config: self.config.clone(),
            concurrency: Some(usize::from(self.etcd_concurrency)),
            gentle: self.gentle,
            timeout: Some(self.etcd_timeout),
        }
    }

    /// The settings, with the environment and calicoctl's file.
    ///
    /// # Errors
    /// As [`load`].
    pub fn settings(&self) -> Result<EtcdSettings, Error> {
        load(&self.flags(), &environment::value)
    }
}

/// A duration above zero; nothing waits longer than a day.
fn timeout(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    match duration.is_zero() || duration > Duration::from_secs(86_400) {
        true => Err("must be more than 0s and at most 1day".to_owned()),
        false => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        etcd: EtcdArgs,
    }

    #[test]
    fn every_flag_has_its_variable_and_hides_its_value() {
        for arg in Command::command().get_arguments().filter(|arg| arg.get_id() != "help") {
            let flag = arg.get_long().unwrap();
            let variable = format!("IPAUDIT_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|e| e.to_str()), Some(variable.as_str()));
            assert!(arg.is_hide_env_values_set(), "{flag}");
        }
    }

    #[test]
    fn numbers_have_limits() {
        let parse = |args: &[&str]| Command::try_parse_from([&["ipaudit"], args].concat());
        let etcd = parse(&["--etcd-timeout", "1m 30s", "--etcd-concurrency", "16"]).unwrap().etcd;
        assert_eq!((etcd.etcd_timeout, etcd.etcd_concurrency), (Duration::from_secs(90), 16));
        for args in [
            ["--etcd-concurrency", "0"],
            ["--etcd-concurrency", "17"],
            ["--etcd-timeout", "0s"],
            ["--etcd-timeout", "2"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }
}
