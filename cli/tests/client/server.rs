//! A one-thread-per-connection HTTP/1.1 server: records requests, and answers as the test says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// `METHOD /path`, without the query.
    pub(crate) fn route(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) enum Reply {
    Json(u16, Value),
    /// Status, headers, body.
    Bytes(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Announces more than it sends, then closes the connection.
    Cut(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A stream: pieces with a pause after each; ends in a regular way if `true`, otherwise breaks.
    Stream(Vec<Vec<u8>>, bool),
    /// A stream whose pieces are made while it runs, until the function returns `None`.
    Live(Box<dyn FnMut() -> Option<Vec<u8>> + Send>),
    /// Closes the connection without an answer.
    Hangup,
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

pub(crate) struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// The handler gets each request and how many the same route had before.
    pub(crate) fn start(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, handler): (_, Arc<Handler>) = (requests.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, handler) = (seen.clone(), handler.clone());
                // A client that leaves early is part of the game.
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*handler).ok());
            }
        });
        Self { url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn routes(&self) -> Vec<String> {
        self.requests().iter().map(Request::route).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read(&mut reader)? else { return Ok(()) };
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|other| other.route() == request.route()).count();
        seen.push(request.clone());
        before
    };
    write(stream, handler(&request, before))
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

fn write(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    let json = |value: &Value| value.to_string().into_bytes();
    match reply {
        Reply::Json(status, body) => {
            let headers = [("content-type", "application/json".to_owned())];
            head(&mut stream, status, &headers, Some(json(&body).len()))?;
            stream.write_all(&json(&body))
        }
        Reply::Bytes(status, headers, body) => {
            head(&mut stream, status, &headers, Some(body.len()))?;
            stream.write_all(&body)
        }
        Reply::Cut(status, headers, body) => {
            head(&mut stream, status, &headers, Some(body.len() + 1000))?;
            stream.write_all(&body)
        }
        Reply::Stream(pieces, complete) => {
            let mut pieces = pieces.into_iter();
            chunked(&mut stream, || pieces.next())?;
            if complete { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
        }
        Reply::Live(mut next) => {
            chunked(&mut stream, &mut *next)?;
            stream.write_all(b"0\r\n\r\n")
        }
        Reply::Hangup => Ok(()),
    }
}

fn chunked(stream: &mut TcpStream, mut next: impl FnMut() -> Option<Vec<u8>>) -> std::io::Result<()> {
    head(stream, 200, &[("content-type", "text/event-stream".to_owned())], None)?;
    while let Some(piece) = next() {
        if piece.is_empty() {
            continue;
        }
        write!(stream, "{:x}\r\n", piece.len())?;
        stream.write_all(&piece)?;
        stream.write_all(b"\r\n")?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn head(stream: &mut TcpStream, status: u16, headers: &[(&str, String)], length: Option<usize>) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Something\r\nconnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    match length {
        Some(length) => write!(stream, "content-length: {length}\r\n\r\n"),
        None => write!(stream, "transfer-encoding: chunked\r\n\r\n"),
    }
}
