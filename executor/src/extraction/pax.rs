//! Extended headers: records `<length> <key>=<value>\n` that overrule fields of a header. After POSIX.1-2001 (pax),
//! "pax Extended Header"; what readers are known to understand differently is an error.
use std::ops::Range;

/// A point in time, as a file system has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) seconds: i64,
    /// Always forward: less than a second.
    pub(super) nanoseconds: u32,
}

/// The records of one extended header that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Time>,
    pub(super) sparse: Option<PaxSparse>,
}

/// A sparse file in the format that GNU calls 1.0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// The size, holes included.
    pub(super) real_size: Option<u64>,
    /// Something of another format was said.
    other: bool,
}

/// Sparse files of formats that nobody writes unless told to.
const OTHER_SPARSE: &str = "sparse files in this format are not supported (create it without --sparse)";

impl Extended {
    /// Parses a header for the entry that follows.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut extended = Self::default();
        for record in records(bytes) {
            let (key, value) = record?;
            match key {
                b"path" => once(&mut extended.path, text(value)?)?,
                b"linkpath" => once(&mut extended.link, text(value)?)?,
                b"size" => once(&mut extended.size, decimal(value).ok_or("its extended size is not a number")?)?,
                b"mtime" => once(&mut extended.modified, time(value).ok_or("its extended time is not a time")?)?,
                b"hdrcharset" => charset(value)?,
                b"SCHILY.realsize" | b"SUN.holesdata" => extended.sparse.get_or_insert_default().other = true,
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        extended.sparse.get_or_insert_default().set(key, value)?;
                    }
                }
            }
        }
        Ok(extended)
    }

    /// Parses a header for all entries that follow. Only a time makes sense for many; everything else that changes them is a trap.
    pub(super) fn parse_global(bytes: &[u8]) -> Result<Option<Time>, &'static str> {
        let all = Self::parse(bytes)?;
        if all.path.is_some() || all.link.is_some() || all.size.is_some() || all.sparse.is_some() {
            return Err("a global header sets the path, target or size of all entries");
        }
        Ok(all.modified)
    }
}

impl PaxSparse {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = || decimal(value).ok_or("its sparse map has a field that is not a number");
        match key {
            b"major" => once(&mut self.major, number()?),
            b"minor" => once(&mut self.minor, number()?),
            b"name" => once(&mut self.name, text(value)?),
            b"realsize" => once(&mut self.real_size, number()?),
            _ => {
                self.other = true;
                Ok(())
            }
        }
    }

    /// Name and size.
    pub(super) fn into_known(self) -> Result<(Vec<u8>, u64), &'static str> {
        match self {
            Self { major: Some(1), minor: Some(0), name: Some(name), real_size: Some(size), other: false } => {
                Ok((name, size))
            }
            _ => Err(OTHER_SPARSE),
        }
    }
}

/// By POSIX the last one counts, but not every reader knows that.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if place.replace(value).is_some() { Err("its extended header says the same thing twice") } else { Ok(()) }
}

/// An empty value takes back what was said before: of a path or target, readers make different things of that.
fn text(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() {
        return Err("its extended header has an empty path or target");
    }
    if value.contains(&0) {
        return Err("its extended header has a path or target with NUL");
    }
    Ok(value.to_vec())
}

/// Names are bytes here; whether they are UTF-8 does not matter. Other encodings would have to be converted.
fn charset(value: &[u8]) -> Result<(), &'static str> {
    match value {
        b"BINARY" | b"ISO-IR 10646 2000 UTF-8" => Ok(()),
        _ => Err("its extended header has an unknown hdrcharset"),
    }
}

pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

/// Seconds with a sign and a fraction.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nanoseconds = match parts.next() {
        None | Some(b"") => 0,
        Some(fraction) if fraction.iter().all(u8::is_ascii_digit) => {
            let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
            digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
        }
        Some(_) => return None,
    };
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds },
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

/// Keys and values. Ends at the first that is malformed.
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), &'static str>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((key, value, length)) = record(rest) else {
            rest = &[];
            return Some(Err("its extended header is malformed"));
        };
        let found = (&rest[key], &rest[value]);
        rest = &rest[length..];
        Some(Ok(found))
    })
}

/// Where key and value are, and how long the record is. The length counts itself, and decides: a value may contain
/// newlines.
fn record(bytes: &[u8]) -> Option<(Range<usize>, Range<usize>, usize)> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let end = length.checked_sub(1).filter(|&end| end > space)?;
    if bytes.get(end) != Some(&b'\n') {
        return None;
    }
    let key = space + 1;
    let equals = key + bytes[key..end].iter().position(|&byte| byte == b'=')?;
    let named = equals > key && !bytes[key..equals].iter().any(|byte| matches!(byte, 0 | b'\n'));
    named.then_some((key..equals, equals + 1..end, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_they_say() {
        let read = |text: &str| Extended::parse(text.as_bytes());
        assert_eq!(read("").unwrap(), Extended::default());
        assert_eq!(read("16 path=a\n6 b=c\n").unwrap().path.unwrap(), b"a\n6 b=c");
        let both = read("10 path=a\n18 comment=x=y\n. \n9 size=7\n");
        assert_eq!(both.map(|both| (both.path, both.size)), Ok((Some(b"a".to_vec()), Some(7))));
        for malformed in [
            "8 path=a\n",
            "9 path=ab\n",
            "11 path=a\n",
            "10 path=a",
            "x path=a\n",
            " 10 path=a\n",
            "+10 path=a\n",
            "10path=a\n",
            "5 =a\n",
            "7 path\n",
            "2 \n",
            "0 path=a\n",
            "99999999999999999999 path=a\n",
            "10 path=a\n\n",
            "10 path=a\n\0",
        ] {
            assert_eq!(read(malformed), Err("its extended header is malformed"), "{malformed:?}");
        }
        for refused in ["8 path=\n", "10 path=\0\n", "10 path=a\n10 path=a\n", "10 size=-\n", "11 mtime=x\n"] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn times_have_signs_and_fractions() {
        for (text, expected) in [
            ("5", Some((5, 0))),
            ("5.25", Some((5, 250_000_000))),
            ("5.1234567899", Some((5, 123_456_789))),
            ("-5", Some((-5, 0))),
            ("-1.5", Some((-2, 500_000_000))),
            ("5.", Some((5, 0))),
            (".5", None),
            ("5.x", None),
            ("--5", None),
            ("99999999999999999999", None),
        ] {
            let found = time(text.as_bytes()).map(|time| (time.seconds, time.nanoseconds));
            assert_eq!(found, expected, "{text}");
        }
    }
}
