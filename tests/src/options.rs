//! The wishes of a test for its own CrowNest.

/// A key file for environment variables of runs, that ingest and executors share.
pub const ENV_KEYS: &str = "k1 8f0a6d1b5c2e4f70918273645546372819a0b1c2d3e4f5061728394a5b6c7d8e\n";

/// The key that signs evidence in tests: that of RFC 8410 section 10.3.
pub const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// Everything that a test may want to be different.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: &'static str,
    pub slots: u16,
    /// Engine of the executors: `bubblewrap`, or `oci` for runc.
    pub engine: &'static str,
    /// Services to run in the test's own process; the others are the test's business.
    pub executor: bool,
    pub collector: bool,
    pub metering: bool,
    /// `STORE_ENDPOINT` in them stands for the address of the shared store.
    pub ingest_flags: Vec<String>,
    pub collector_flags: Vec<String>,
    pub executor_flags: Vec<String>,
    /// Contents of the key files for environment variables of runs; `None`: the service has none.
    pub ingest_env_keys: Option<&'static str>,
    pub executor_env_keys: Option<&'static str>,
    /// Flags of the bucket and of the collector about Object Lock.
    pub object_lock: Vec<String>,
    /// Another broker than the shared one.
    pub amqp_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plan: "local",
            slots: 2,
            engine: "bubblewrap",
            executor: true,
            collector: true,
            metering: true,
            ingest_flags: Vec::new(),
            collector_flags: Vec::new(),
            executor_flags: vec!["--grace-ms".to_owned(), "1000".to_owned()],
            ingest_env_keys: Some(ENV_KEYS),
            executor_env_keys: Some(ENV_KEYS),
            object_lock: Vec::new(),
            amqp_url: None,
        }
    }
}
