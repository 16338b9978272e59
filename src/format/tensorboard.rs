//! Event files that TensorBoard reads: records of protocol buffers, each with its length and two checksums.
//!
//! A record is the length of its data as u64, a checksum of these eight bytes, the data, and a checksum of the data, all little
//! endian (TensorFlow's `record_writer.h`). The checksum is CRC-32C, rotated right by 15 bits, plus 0xa282ead8. The data is an
//! `Event` (`event.proto`), of which the messages below hold what is written here, with the field numbers of `event.proto` and
//! `summary.proto`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use crate::error::{Error, Result};

/// CRC-32C.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    /// In the first event alone.
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    histogram: Option<HistogramProto>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    /// The upper ends of the buckets.
    #[prost(double, repeated, tag = "6")]
    limits: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    counts: Vec<f64>,
}

/// Numbers in buckets: each bucket's lower and upper end and how many numbers lie in it, in ascending order.
pub type Buckets = Vec<(f64, f64, u64)>;

/// Writes an event file.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Makes an event file in a directory, which is made where it is missing. Files that are there already stay: TensorBoard shows
    /// a directory's files as one run, so it should be one of its own.
    ///
    /// # Errors
    /// [`Error::File`] where nothing can be written there.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, format!("cannot be made: {error}")))?;
        let now = seconds();
        // The part that TensorBoard looks for is `tfevents`; the rest only has to differ.
        let names = (0..).map(|number| format!("events.out.tfevents.{:010}.wgrad.{number}", now as u64));
        let path = names.map(|name| folder.join(name)).find(|path| !path.exists()).unwrap_or_default();
        let made = File::options().write(true).create_new(true).open(&path);
        let file = made.map_err(|error| Error::file(&path, format!("cannot be written: {error}")))?;
        let mut events = Self { path, file: BufWriter::new(file) };
        events.write(&Event { wall_time: now, file_version: Some("brain.Event:2".into()), ..Event::default() })?;
        Ok(events)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes numbers and histograms of a step, by their tags: `gradient/conv1.weight`.
    ///
    /// # Errors
    /// [`Error::File`] where the disk takes no more.
    pub fn step(&mut self, step: u64, scalars: &[(String, f64)], histograms: &[(String, Buckets)]) -> Result<()> {
        let scalar = |(tag, value): &(String, f64)| Value {
            tag: tag.clone(),
            simple_value: Some(*value as f32),
            histogram: None,
        };
        let histogram = |(tag, buckets): &(String, Buckets)| Value {
            tag: tag.clone(),
            simple_value: None,
            histogram: Some(proto(buckets)),
        };
        let values = scalars.iter().map(scalar).chain(histograms.iter().map(histogram)).collect();
        let summary = Some(Summary { values });
        self.write(&Event { wall_time: seconds(), step: step as i64, file_version: None, summary })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let written = self.file.write_all(&record(&event.encode_to_vec())).and_then(|()| self.file.flush());
        written.map_err(|error| Error::file(&self.path, format!("takes no more events: {error}")))
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn masked(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

/// Buckets as TensorBoard has them: by their upper ends, empty ones between them.
fn proto(buckets: &Buckets) -> HistogramProto {
    let (mut limits, mut counts) = (Vec::new(), Vec::new());
    for &(low, high, count) in buckets {
        if limits.last().is_none_or(|&last| last < low) {
            limits.push(low);
            counts.push(0.0);
        }
        limits.push(high);
        counts.push(count as f64);
    }
    let total = |of: fn(f64) -> f64| {
        buckets.iter().map(|(low, high, count)| of(0.5 * (low + high)) * *count as f64).sum::<f64>()
    };
    HistogramProto {
        min: buckets.first().map_or(0.0, |first| first.0),
        max: buckets.last().map_or(0.0, |last| last.1),
        num: total(|_| 1.0),
        sum: total(|middle| middle),
        sum_squares: total(|middle| middle * middle),
        limits,
        counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32C bit by bit, as RFC 3720 defines it.
    fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    /// The data of the records of a file; every checksum must hold.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let masked = |bytes: &[u8]| {
            let crc = crc32c(bytes);
            crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked(&bytes[..8]));
            let data = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked(data));
            found.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        found
    }

    /// The fields of a message, by number and wire type alone: what follows the key, without its length.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let varint = |bytes: &mut &[u8]| {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let content = match key & 7 {
                0 => varint(&mut bytes).to_le_bytes().to_vec(),
                kind => {
                    let length = match kind {
                        1 => 8,
                        2 => varint(&mut bytes) as usize,
                        5 => 4,
                        kind => panic!("wire type {kind}"),
                    };
                    let content = bytes[..length].to_vec();
                    bytes = &bytes[length..];
                    content
                }
            };
            found.push((key >> 3, content));
        }
        found
    }

    fn doubles(bytes: &[u8]) -> Vec<f64> {
        bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
    }

    #[test]
    fn an_event_file_is_read_back_by_the_formats_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(&folder.path().join("deep/run")).unwrap();
        let buckets = vec![(0.25, 1.0, 3), (4.0, 16.0, 5)];
        file.step(7, &[("loss".into(), 0.5), ("odd".into(), f64::NAN)], &[("gradient/a".into(), buckets)]).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.contains("tfevents"), "{name}");
        let records = records(&std::fs::read(file.path()).unwrap());
        assert_eq!(records.len(), 2);
        assert!(fields(&records[0]).contains(&(3, b"brain.Event:2".to_vec())));
        let event = fields(&records[1]);
        assert!(doubles(&event[0].1)[0] > 1.6e9 && event[0].0 == 1);
        assert_eq!(event[1], (2, 7u64.to_le_bytes().to_vec()));
        let values: Vec<_> = fields(&event[2].1).into_iter().map(|(number, value)| (number, fields(&value))).collect();
        assert_eq!((event[2].0, values.len()), (5, 3));
        assert_eq!(values[0], (1, vec![(1, b"loss".to_vec()), (2, 0.5f32.to_le_bytes().to_vec())]));
        assert!(f32::from_le_bytes(values[1].1[1].1[..].try_into().unwrap()).is_nan());
        let histogram = fields(&values[2].1[1].1);
        assert_eq!(
            (values[2].1[1].0, histogram.iter().map(|field| field.0).collect::<Vec<_>>()),
            (5, (1..=7).collect())
        );
        assert_eq!(doubles(&histogram[2].1), [8.0]);
        // Both ends of each bucket are there, with nothing between them.
        assert_eq!(doubles(&histogram[5].1), [0.25, 1.0, 4.0, 16.0]);
        assert_eq!(doubles(&histogram[6].1), [0.0, 3.0, 0.0, 5.0]);
    }

    #[test]
    fn two_files_of_a_second_have_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let files = [0, 1].map(|_| EventFile::create(folder.path()).unwrap());
        assert_ne!(files[0].path(), files[1].path());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(EventFile::create(&file).unwrap_err().to_string().contains("cannot be made"));
    }
}
