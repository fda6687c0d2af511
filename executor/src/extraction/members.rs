//! The members of a tar archive, one after the other, with their content. It understands what GNU tar, bsdtar, Python
//! and git write, and refuses what could be read in two ways, so that nobody sees another archive than we do.
use std::io::{self, Read};

use super::block::{BLOCK_BYTES, Block, Kind};
use super::pax::{Extended, Time};
use super::sparse::{Layout, MapReader};

/// Maximum bytes of the headers of one member.
pub(super) const HEADER_BYTES: u64 = 1 << 20;
/// The largest size that fits into the size field of a header. Larger sizes are in an extended header.
const OCTAL_SIZE_MAX: u64 = 0o777_7777_7777;

/// One entry, as its header and the extensions of the header describe it.
#[derive(Debug)]
pub(super) struct Member {
    /// Never empty, without NUL.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// The target of a link; without NUL.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) modified: Time,
    /// The size, holes included.
    pub(super) size: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TarError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No header where there should be one.
    #[error("{0}")]
    Damaged(&'static str),
    /// About [`Members::reached`].
    #[error("{0}")]
    Refused(&'static str),
    #[error("more header bytes than allowed")]
    HeaderBytes,
}

pub(super) struct Members<R> {
    input: R,
    /// Bytes read so far of the current member's headers.
    header_bytes: u64,
    /// The time from a global header.
    modified: Option<Time>,
    /// Content of the current member that was not read yet.
    content: Layout,
    padding: u64,
    reached: Vec<u8>,
}

/// The headers that came before the one of the member itself.
#[derive(Debug, Default)]
struct Before {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    extended: Option<Extended>,
}

impl<R: Read> Members<R> {
    pub(super) fn new(input: R) -> Self {
        let content = Layout::default();
        Self { input, header_bytes: 0, modified: None, content, padding: 0, reached: Vec::new() }
    }

    /// The name of what was read last, for messages.
    pub(super) fn reached(&self) -> &[u8] {
        &self.reached
    }

    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// The next member; the content of the one before must have been read. `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        self.header_bytes = 0;
        let mut before = Before::default();
        loop {
            let Some(block) = self.header()? else {
                if before.is_empty() {
                    return Ok(None);
                }
                return Err(TarError::Refused("it describes an entry that does not follow"));
            };
            let kind = block.kind();
            if before.name.is_none() {
                self.reached = block.name();
            }
            match kind {
                Kind::GnuLongName => before.long(|before| &mut before.name, self.text(&block)?)?,
                Kind::GnuLongLink => before.long(|before| &mut before.link, self.text(&block)?)?,
                Kind::Extended => {
                    let extended = Extended::parse(&self.records(&block)?).map_err(TarError::Refused)?;
                    if before.extended.replace(extended).is_some() {
                        return Err(TarError::Refused("two extended headers describe the same entry"));
                    }
                }
                // `git archive` puts the commit id there.
                Kind::Global if before.is_empty() => {
                    let body = self.records(&block)?;
                    self.modified = Extended::parse_global(&body).map_err(TarError::Refused)?.or(self.modified);
                }
                Kind::Global => return Err(TarError::Refused("a global header separates an entry from its header")),
                Kind::Label if before.is_empty() => {
                    // Not used, but no header either if they are none.
                    block.mode().and_then(|_| block.modified()).map_err(TarError::Refused)?;
                    self.body(&block)?;
                }
                _ => return self.member(&block, before).map(Some),
            }
        }
    }

    /// Reads the next piece of content, and says where in the file it belongs. Zero bytes at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<(u64, usize), TarError> {
        let Some((offset, length)) = self.content.next() else {
            self.skip_padding()?;
            return Ok((0, 0));
        };
        let wanted = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let bytes = self.input.read(&mut buffer[..wanted])?;
        if bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within the content of an entry").into());
        }
        self.content.take(bytes as u64);
        Ok((offset, bytes))
    }

    fn skip_padding(&mut self) -> Result<(), TarError> {
        let mut block = [0; BLOCK_BYTES];
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or_default();
        Ok(self.input.read_exact(&mut block[..padding])?)
    }

    /// `None` at the end: two blocks of zeros (what follows them does not count), or where nothing follows.
    fn header(&mut self) -> Result<Option<Block>, TarError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.is_zero() {
            // Some readers go on after a single one.
            return match self.block()? {
                Some(second) if !second.is_zero() => {
                    Err(TarError::Damaged("a single block of zeros among its headers"))
                }
                _ => Ok(None),
            };
        }
        if !block.checksum_matches() {
            return Err(TarError::Damaged("a header has a wrong checksum"));
        }
        Ok(Some(block))
    }

    fn block(&mut self) -> Result<Option<Block>, TarError> {
        self.header_bytes += BLOCK_BYTES as u64;
        if self.header_bytes > HEADER_BYTES {
            return Err(TarError::HeaderBytes);
        }
        let mut block = Block([0; BLOCK_BYTES]);
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.input.read(&mut block.0[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a header").into()),
                bytes => filled += bytes,
            }
        }
        Ok(Some(block))
    }

    fn more(&mut self) -> Result<Block, TarError> {
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a header");
        Ok(self.block()?.ok_or_else(ended)?)
    }

    /// The body of a header that describes another header, up to the end of its last block.
    fn body(&mut self, header: &Block) -> Result<Vec<u8>, TarError> {
        let size = header.size().map_err(TarError::Refused)?;
        if size > HEADER_BYTES {
            return Err(TarError::HeaderBytes);
        }
        let size = usize::try_from(size).map_err(|_| TarError::HeaderBytes)?;
        let mut body = Vec::with_capacity(size.next_multiple_of(BLOCK_BYTES));
        while body.len() < size {
            body.extend_from_slice(&self.more()?.0);
        }
        Ok(body)
    }

    fn records(&mut self, header: &Block) -> Result<Vec<u8>, TarError> {
        let mut records = self.body(header)?;
        records.truncate(usize::try_from(header.size().map_err(TarError::Refused)?).unwrap_or(usize::MAX));
        Ok(records)
    }

    /// A long name, of which the NUL at its end is a part.
    fn text(&mut self, header: &Block) -> Result<Vec<u8>, TarError> {
        let mut text = self.body(header)?;
        let size = usize::try_from(header.size().map_err(TarError::Refused)?).map_err(|_| TarError::HeaderBytes)?;
        // Some readers take it to the first NUL, however long it is said to be.
        if text[size..].iter().any(|&byte| byte != 0) {
            return Err(TarError::Refused("a long name goes on behind its end"));
        }
        while text.pop_if(|byte| *byte == 0).is_some() {}
        if text.is_empty() || text.contains(&0) {
            return Err(TarError::Refused("a long name is empty or contains NUL"));
        }
        Ok(text)
    }

    fn member(&mut self, block: &Block, before: Before) -> Result<Member, TarError> {
        let Before { name, link, extended } = before;
        let extended = extended.unwrap_or_default();
        // Readers disagree on which of them counts.
        let twice = (name.is_some() && extended.path.is_some()) || (link.is_some() && extended.link.is_some());
        let mut path = name.or(extended.path).unwrap_or_else(|| block.name());
        let link = link.or(extended.link).unwrap_or_else(|| block.link());
        self.reached.clone_from(&path);
        if twice {
            return Err(TarError::Refused("it has a GNU long name and one in an extended header"));
        }
        let mut real_size = None;
        if let Some(sparse) = extended.sparse {
            self.reached.clone_from(sparse.name.as_ref().unwrap_or(&path));
            let (name, size) = sparse.into_known().map_err(TarError::Refused)?;
            (path, real_size) = (name, Some(size));
        }
        if path.is_empty() {
            return Err(TarError::Refused("it has no name"));
        }
        let mut kind = block.kind();
        // Archives older than POSIX have no type for folders.
        if kind == Kind::File && path.ends_with(b"/") {
            kind = Kind::Directory;
        }
        let stored = stored_size(block, extended.size, kind).map_err(TarError::Refused)?;
        let size = match (kind, real_size) {
            (Kind::GnuSparse, None) => self.gnu_sparse(block, stored)?,
            (Kind::File, Some(size)) => self.pax_sparse(stored, size)?,
            (_, Some(_)) => return Err(TarError::Refused("it has a sparse map and is not a file")),
            (_, None) => {
                self.content = Layout::whole(stored);
                stored
            }
        };
        self.padding = stored.wrapping_neg() % BLOCK_BYTES as u64;
        let kind = if kind == Kind::GnuSparse { Kind::File } else { kind };
        let mode = block.mode().map_err(TarError::Refused)?;
        let modified = match extended.modified.or(self.modified) {
            Some(modified) => modified,
            None => block.modified().map_err(TarError::Refused)?,
        };
        Ok(Member { path, kind, link, mode, modified, size })
    }

    /// Reads the rest of the map; returns the size with holes.
    fn gnu_sparse(&mut self, block: &Block, stored: u64) -> Result<u64, TarError> {
        let size = block.real_size().map_err(TarError::Refused)?;
        let (mut list, mut continues) = block.segments().map_err(TarError::Refused)?;
        while continues {
            let (more, again) = self.more()?.more_segments().map_err(TarError::Refused)?;
            list.extend(more);
            continues = again;
        }
        self.content = Layout::sparse(&list, stored, size).map_err(TarError::Refused)?;
        Ok(size)
    }

    /// Reads the map that is in front of the content; returns the size with holes.
    fn pax_sparse(&mut self, stored: u64, size: u64) -> Result<u64, TarError> {
        let mut map = MapReader::default();
        let mut left = stored;
        loop {
            left = left.checked_sub(BLOCK_BYTES as u64).ok_or(TarError::Refused("its sparse map is malformed"))?;
            let block = self.more()?;
            if let Some(list) = map.push(&block.0).map_err(TarError::Refused)? {
                self.content = Layout::sparse(&list, left, size).map_err(TarError::Refused)?;
                return Ok(size);
            }
        }
    }
}

impl Before {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.extended.is_none()
    }

    fn long(&mut self, place: impl Fn(&mut Self) -> &mut Option<Vec<u8>>, text: Vec<u8>) -> Result<(), TarError> {
        match place(self).replace(text) {
            Some(_) => Err(TarError::Refused("two long names describe the same entry")),
            None => Ok(()),
        }
    }
}

/// Number of bytes that follow the headers. Who believes the one header where another believes the other would take content
/// for headers (CVE-2025-62518), so both must agree, unless the older field is too small.
fn stored_size(block: &Block, extended: Option<u64>, kind: Kind) -> Result<u64, &'static str> {
    let size = match extended {
        Some(size) if size > OCTAL_SIZE_MAX => size,
        Some(size) if block.size()? != size => return Err("its header and its extended header differ in size"),
        _ => block.size()?,
    };
    // For some readers content follows, for others the next header.
    let empty = matches!(kind, Kind::HardLink | Kind::Symlink | Kind::Directory | Kind::Device | Kind::Fifo);
    if size != 0 && empty {
        return Err("it has a size and is not a file");
    }
    Ok(size)
}
