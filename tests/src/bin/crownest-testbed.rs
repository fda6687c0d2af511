//! Keeps the shared services of the tests running as long as a test needs them: `crownest-testbed <folder>`.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let home = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: crownest-testbed <folder>"))?;
    testkit::serve(std::path::Path::new(&home)).await
}
