//! The object store itself, for operators: the one that was named, or that of the system that runs on this machine.

use infra::s3::{self, Checksums, S3Config, Store};
use local::Servers;

use crate::args::store::StoreArgs;
use crate::args::up::DataArgs;
use crate::failure::Failure;

pub(crate) fn open(args: StoreArgs, data: &DataArgs) -> Result<Store, Failure> {
    Ok(s3::open(&config(args, data)?))
}

pub(crate) fn config(args: StoreArgs, data: &DataArgs) -> Result<S3Config, Failure> {
    if let (Some(s3_endpoint), Some(s3_access_key), Some(s3_secret_key)) =
        (args.endpoint, args.access_key, args.secret_key)
    {
        return Ok(S3Config {
            s3_endpoint,
            s3_region: args.region,
            s3_bucket: args.bucket,
            s3_access_key,
            s3_secret_key,
            s3_checksums: Checksums::WhenRequired,
            s3_disk: None,
            s3_reserve_bytes: 0,
        });
    }
    let data = data.folder();
    let access = Servers::running_s3(&data).ok_or_else(|| {
        let message = format!("no CrowNest runs on {}, or this user may not administer it", data.display());
        Failure::new("no_store", message).hint(
            "Start it with `crownest up`, name its folder with --data, or another object store with --s3-endpoint.",
        )
    })?;
    Ok(access.config(&args.bucket))
}
