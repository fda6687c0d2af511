//! The API against the reference: requests per second, and what a follower of a run costs.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::cpu;
use crate::reference::{EVENT_EVERY, EVENTS};
use crate::statistics::{max, median, min};
use crate::system::System;

/// Concurrent requests.
const CONNECTIONS: usize = 16;
const TIME: Duration = Duration::from_secs(2);
const FOLLOWERS: usize = 500;

/// A server and how it is asked.
struct Side<'a> {
    address: &'a str,
    /// Method and path, and the rest of the head.
    line: String,
    headers: String,
    body: &'a str,
}

impl Side<'_> {
    fn request(&self) -> Vec<u8> {
        let Self { line, headers, body, address } = self;
        let length = body.len();
        format!("{line} HTTP/1.1\r\nhost: {address}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }
}

pub(crate) async fn measure(system: &System, rounds: usize) -> anyhow::Result<()> {
    let run = system.some_run().await;
    let (reference, address) = start_reference(system).await?;
    let key = format!("authorization: Bearer {}\r\n", system.key());
    let body = r#"{"command":"echo hello"}"#;
    for (name, method, ours, theirs, body) in [
        ("GET run", "GET", format!("/v1/workspace-runs/{run}"), format!("/runs/{run}"), ""),
        ("create run", "POST", "/v1/workspace-runs".to_owned(), format!("/runs/{run}"), body),
    ] {
        let ours = Side { address: system.address(), line: format!("{method} {ours}"), headers: key.clone(), body };
        let theirs = Side { address: &address, line: format!("{method} {theirs}"), headers: String::new(), body };
        compare(name, rounds, &ours, &theirs).await?;
    }
    follow(system, &reference, &address, &key).await
}

async fn start_reference(system: &System) -> anyhow::Result<(Child, String)> {
    let address = crate::system::free_address()?;
    let reference = Command::new(std::env::current_exe()?)
        .args(["reference", &address])
        .env("CROWNEST_DATABASE_URL", system.admin_url())
        .kill_on_drop(true)
        .spawn()?;
    testkit::eventually("the reference serves", async || TcpStream::connect(&address).await.ok()).await;
    Ok((reference, address))
}

#[expect(clippy::print_stdout, reason = "a report for people")]
async fn compare(name: &str, rounds: usize, ours: &Side<'_>, theirs: &Side<'_>) -> anyhow::Result<()> {
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for side in [theirs, ours] {
        load(side, Duration::from_millis(300)).await?;
    }
    for _ in 0..rounds {
        let first = load(theirs, TIME / 2).await?;
        our_rates.push(load(ours, TIME).await?);
        their_rates.push(f64::midpoint(first, load(theirs, TIME / 2).await?));
    }
    let ratios: Vec<f64> = our_rates.iter().zip(&their_rates).map(|(ours, theirs)| ours / theirs).collect();
    println!("{name}: requests per second, {CONNECTIONS} at once (median of {rounds} rounds)");
    println!("  bare axum, one query {:>8.0}", median(&their_rates));
    println!("  CrowNest             {:>8.0}", median(&our_rates));
    println!("  ratio                {:>8.3}   (min {:.3}, max {:.3})\n", median(&ratios), min(&ratios), max(&ratios));
    Ok(())
}

/// Requests per second.
async fn load(side: &Side<'_>, time: Duration) -> anyhow::Result<f64> {
    let (request, begun) = (side.request(), Instant::now());
    let connection = async || {
        let (mut stream, mut answer, mut count) = (TcpStream::connect(side.address).await?, Vec::new(), 0u32);
        stream.set_nodelay(true)?;
        while begun.elapsed() < time {
            stream.write_all(&request).await?;
            read_answer(&mut stream, &mut answer).await?;
            count += 1;
        }
        anyhow::Ok(count)
    };
    let counts = join_all((0..CONNECTIONS).map(|_| connection())).await;
    let total: u32 = counts.into_iter().sum::<anyhow::Result<u32>>()?;
    Ok(f64::from(total) / begun.elapsed().as_secs_f64())
}

/// One whole answer with a length; anything but a success is an error.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        anyhow::ensure!(stream.read_buf(answer).await? > 0, "the server closed the connection");
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head])?;
        anyhow::ensure!(text.starts_with("HTTP/1.1 20"), "{}", String::from_utf8_lossy(answer));
        let length = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if answer.len() >= head + 4 + length.unwrap_or(0) {
            return Ok(());
        }
    }
}

/// CPU of the server for each follower of a run, beyond the first.
#[expect(clippy::print_stdout, reason = "a report for people")]
async fn follow(system: &System, reference: &Child, address: &str, key: &str) -> anyhow::Result<()> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let reference = reference.id().unwrap_or_default();
    for followers in [1, FOLLOWERS] {
        let before = cpu::of_process(reference);
        let line = "GET /stream".to_owned();
        let side = Side { address, line, headers: String::new(), body: "" };
        let streams = connect(&side, followers).await?;
        let go = Side { address, line: "POST /go".to_owned(), headers: String::new(), body: "" };
        let going = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&go.request()).await?;
            read_answer(&mut stream, &mut Vec::new()).await
        };
        tokio::try_join!(to_the_end(streams), going)?;
        theirs.push(cpu::of_process(reference) - before);

        let pause = EVENT_EVERY.as_secs_f64();
        let command = format!("for i in $(seq {EVENTS}); do echo line 1; sleep {pause}; done");
        let run = system.ready_to_start(&command).await;
        let before = cpu::of_process(system.pid_of("ingest"));
        let line = format!("GET /v1/workspace-runs/{run}/events?stream=true");
        let side = Side { address: system.address(), line, headers: key.to_owned(), body: "" };
        let streams = connect(&side, followers).await?;
        system.start_run(&run).await;
        to_the_end(streams).await?;
        ours.push(cpu::of_process(system.pid_of("ingest")) - before);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let each = |cost: &[f64]| (cost[1] - cost[0]) / (FOLLOWERS - 1) as f64;
    println!("following a run of {EVENTS} events: milliseconds of the server's CPU for each of {FOLLOWERS} followers");
    println!("  bare broadcast       {:>8.2}", each(&theirs));
    println!("  CrowNest             {:>8.2}", each(&ours));
    println!("  ratio                {:>8.2}", each(&ours) / each(&theirs));
    Ok(())
}

async fn connect(side: &Side<'_>, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let request = side.request();
    let one = async || {
        let mut stream = TcpStream::connect(side.address).await?;
        stream.write_all(&request).await?;
        // The head of the answer: from here on the follower is known.
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            anyhow::ensure!(stream.read_buf(&mut head).await? > 0, "the server closed the connection");
        }
        anyhow::ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        anyhow::Ok(stream)
    };
    let mut streams = Vec::new();
    while streams.len() < count {
        let some = join_all((0..(count - streams.len()).min(50)).map(|_| one())).await;
        streams.extend(some.into_iter().collect::<anyhow::Result<Vec<_>>>()?);
    }
    Ok(streams)
}

/// Reads each stream until its last chunk.
async fn to_the_end(streams: Vec<TcpStream>) -> anyhow::Result<()> {
    let read = async |mut stream: TcpStream| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "the stream broke off");
        }
        Ok(())
    };
    join_all(streams.into_iter().map(read)).await.into_iter().collect()
}
