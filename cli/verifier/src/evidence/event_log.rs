//! The event log: each part by its digest, the frames by the Merkle root, the events by their numbers.

use std::io::{self, Read as _, Seek as _, SeekFrom};

use schemas::evidence::event_log::{IndexEntry, read_index};
use schemas::evidence::{EventLogPart, SeqRange};
use schemas::merkle::{self, Hash, leaf_hash};
use sha2::{Digest as _, Sha256};

use super::bundle::Bundle;
use super::pool;
use super::report::{Check, Report};
use super::segment::{Terminal, scan};
use crate::source::{self, Content, Source, part_file};

/// An index or a frame that is larger than this is not one of ours.
const MAX_INDEX_BYTES: u64 = 64 << 20;
const MAX_FRAME_BYTES: u64 = 64 << 20;

/// The walk through the frames of all parts, in order.
#[derive(Debug, Default)]
struct Walk {
    leaves: Vec<Hash>,
    events: u64,
    gaps: Vec<SeqRange>,
    /// Number of the event that comes next.
    following: u64,
    terminal: Option<Terminal>,
}

/// One part, read to its end.
struct PartFound {
    size_bytes: u64,
    sha256: String,
    /// An error is a defect of the index, which even a part with the sealed digest may have.
    frames: Result<Frames, String>,
}

/// The frames of one part, without those before it.
#[derive(Debug, Default)]
struct Frames {
    index: Vec<IndexEntry>,
    leaves: Vec<Hash>,
    /// The first frame that is not what the index says, and why.
    broken: Option<(usize, String)>,
    /// The first frame with the terminal event.
    terminal: Option<(usize, Terminal)>,
}

pub(super) fn check(bundle: &Bundle, files: &dyn Source, report: &mut Report) {
    let log = &bundle.content.event_log;
    let mut walk = Walk { following: 1, ..Walk::default() };
    let (mut damaged, mut defects) = (0, Vec::new());
    let read = pool::in_order(&log.parts, |part| read_part(part, files));
    for (part, found) in log.parts.iter().zip(read) {
        match found {
            Ok(found) => {
                let message = mismatch(part, &found);
                damaged += usize::from(message.is_some());
                let check = match message {
                    None => Check::verified(
                        "event_log_part",
                        format!("{} bytes with the digest that was sealed", part.size_bytes),
                    ),
                    Some(message) => Check::failed("event_log_part", message),
                };
                report.push(check.of(&part.object_key));
                let defect = found.frames.and_then(|frames| walk.part(frames)).err();
                defects.extend(defect.map(|defect| format!("{}: {defect}", name(part))));
            }
            Err(message) => {
                damaged += 1;
                report.push(Check::failed("event_log_part", message).of(&part.object_key));
            }
        }
    }
    if damaged > 0 {
        let message = format!("{damaged} of {} parts are not what was sealed", log.parts.len());
        report.push(Check::not_checked("merkle_root", message.clone()));
        report.push(Check::not_checked("events", message));
        return;
    }
    let root = hex::encode(merkle::root(&walk.leaves));
    report.push(if root == log.merkle_root {
        Check::verified("merkle_root", format!("of {} segments: {root}", walk.leaves.len()))
    } else {
        Check::failed("merkle_root", format!("the segments have root {root}, the bundle says {}", log.merkle_root))
    });
    report.push(match defects.into_iter().next().or_else(|| walk.contradiction(bundle)) {
        None => Check::verified("events", format!("{} events, numbered as the bundle says", walk.events)),
        Some(message) => Check::failed("events", message),
    });
}

fn name(part: &EventLogPart) -> &str {
    part_file(&part.object_key).unwrap_or(&part.object_key)
}

fn mismatch(part: &EventLogPart, found: &PartFound) -> Option<String> {
    if found.size_bytes != part.size_bytes {
        let what = if found.size_bytes < part.size_bytes { "it was cut" } else { "something was added" };
        return Some(format!("{} bytes, and {} were sealed: {what}", found.size_bytes, part.size_bytes));
    }
    (found.sha256 != part.sha256)
        .then(|| format!("its SHA-256 is {}, and {} was sealed: it was changed", found.sha256, part.sha256))
}

/// Reads the file once for everything: its digest, the leaves of its frames, the events in them.
fn read_part(part: &EventLogPart, files: &dyn Source) -> Result<PartFound, String> {
    let name = part_file(&part.object_key).ok_or("its name is not that of a part")?;
    let mut file = files.open(name)?.ok_or("it is missing")?;
    let failed = |error: io::Error| format!("cannot read {name}: {error}");
    let size_bytes = file.seek(SeekFrom::End(0)).and_then(|size| file.rewind().map(|()| size)).map_err(failed)?;
    if size_bytes != part.size_bytes {
        // The part is wrong already, whatever is in it.
        let (size_bytes, sha256) = source::digest(file).map_err(failed)?;
        return Ok(PartFound { size_bytes, sha256, frames: Ok(Frames::default()) });
    }
    let index = match index_of(&mut file, part).map_err(failed)? {
        Ok(index) => index,
        Err(defect) => {
            file.rewind().map_err(failed)?;
            let (size_bytes, sha256) = source::digest(file).map_err(failed)?;
            return Ok(PartFound { size_bytes, sha256, frames: Err(defect) });
        }
    };
    read_frames(file, index).map_err(failed)
}

/// The index, or its defect.
fn index_of(file: &mut Content, part: &EventLogPart) -> io::Result<Result<Vec<IndexEntry>, String>> {
    let length = part.size_bytes.saturating_sub(part.index_offset);
    if length == 0 || length > MAX_INDEX_BYTES {
        return Ok(Err(format!("it cannot have its index at {}", part.index_offset)));
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(part.index_offset))?;
    file.by_ref().take(length).read_to_end(&mut bytes)?;
    file.rewind()?;
    let entries = match read_index(&bytes) {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(Err("its index is empty".to_owned()));
    };
    if first.offset != 0 || last.offset + last.length != part.index_offset {
        return Ok(Err("its frames do not fill what is before the index".to_owned()));
    }
    if (first.first_seq, last.last_seq) != (part.first_seq, part.last_seq) {
        return Ok(Err("its index has other numbers than the bundle".to_owned()));
    }
    let too_large = entries.iter().find(|entry| entry.length > MAX_FRAME_BYTES);
    Ok(too_large.map_or(Ok(entries.clone()), |entry| Err(format!("a segment of {} bytes", entry.length))))
}

fn read_frames(mut file: Content, index: Vec<IndexEntry>) -> io::Result<PartFound> {
    let (mut hasher, mut size_bytes, mut frame) = (Sha256::new(), 0, Vec::new());
    let mut frames = Frames::default();
    for (number, entry) in index.iter().enumerate() {
        frame.clear();
        file.by_ref().take(entry.length).read_to_end(&mut frame)?;
        hasher.update(&frame);
        size_bytes += frame.len() as u64;
        frames.leaves.push(leaf_hash(&frame));
        if frames.broken.is_some() || frames.terminal.is_some() {
            // There is a defect already, or this frame is one.
            continue;
        }
        match scan(&frame, entry) {
            Ok(terminal) => frames.terminal = terminal.map(|terminal| (number, terminal)),
            Err(message) => frames.broken = Some((number, message)),
        }
    }
    let mut rest = Vec::new();
    file.by_ref().take(MAX_INDEX_BYTES).read_to_end(&mut rest)?;
    hasher.update(&rest);
    size_bytes += rest.len() as u64;
    frames.index = index;
    Ok(PartFound { size_bytes, sha256: hex::encode(hasher.finalize()), frames: Ok(frames) })
}

impl Walk {
    /// Goes on with the next part, up to its first defect.
    fn part(&mut self, frames: Frames) -> Result<(), String> {
        self.leaves.extend(frames.leaves);
        let (mut broken, mut terminal) = (frames.broken, frames.terminal);
        for (number, entry) in frames.index.iter().enumerate() {
            self.place(entry)?;
            if let Some((_, message)) = broken.take_if(|(at, _)| *at == number) {
                return Err(message);
            }
            self.terminal = terminal.take_if(|(at, _)| *at == number).map(|(_, terminal)| terminal);
            self.events += entry.last_seq - entry.first_seq + 1;
        }
        Ok(())
    }

    fn place(&mut self, entry: &IndexEntry) -> Result<(), String> {
        if self.terminal.is_some() {
            return Err(format!("event {} comes after the terminal one", entry.first_seq));
        }
        if entry.first_seq < self.following {
            return Err(format!("event {} occurs twice", entry.first_seq));
        }
        if entry.first_seq > self.following {
            self.gaps.push(SeqRange { first_seq: self.following, last_seq: entry.first_seq - 1 });
        }
        self.following = entry.last_seq.saturating_add(1);
        Ok(())
    }

    /// A difference between the events and the bundle.
    fn contradiction(&self, bundle: &Bundle) -> Option<String> {
        let bundle = &bundle.content;
        if self.events != bundle.event_log.count {
            return Some(format!("{} events, the bundle says {}", self.events, bundle.event_log.count));
        }
        if self.gaps != bundle.completeness.gaps {
            return Some("the gaps between the events are not those that the bundle lists".to_owned());
        }
        let Some(terminal) = &self.terminal else { return Some("the last event is not the terminal one".to_owned()) };
        terminal.contradiction(bundle)
    }
}
