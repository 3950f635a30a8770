//! A record's bytes and its offset → a frame of a segment file, and back. Pure: bytes in, bytes out.
//!
//! A frame is `{length u32, crc32c u32, offset u64, record}`, big-endian; `length` counts the record,
//! and the checksum covers everything but itself. The offset stands in the frame so that a damaged
//! frame costs itself only: whatever the damage did to lengths, the frames behind it still know
//! their places, and the hole is exactly as wide as what was lost.

/// Bytes before the record.
pub(super) const HEAD: usize = 16;
/// The longest record, in bytes: more than any accepted webhook becomes, and little enough that the
/// length of a frame starts with a zero byte.
pub(super) const RECORD_BYTES_MAX: usize = 15 << 20;

/// A valid frame found in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its record's offset.
    pub(super) offset: u64,
    /// Its length in bytes, head included.
    pub(super) bytes: usize,
}

/// What stands at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A frame, whole and undamaged.
    Valid(Frame),
    /// What may be the start of a frame of this many bytes, of which the buffer holds fewer.
    Short(usize),
    /// No frame.
    Damaged,
}

/// Completes a frame in place: `frame` is [`HEAD`] bytes of anything, then the record.
pub(super) fn seal(frame: &mut [u8], offset: u64) {
    let length = u32::try_from(frame.len().saturating_sub(HEAD)).unwrap_or(u32::MAX);
    frame[0..4].copy_from_slice(&length.to_be_bytes());
    frame[8..16].copy_from_slice(&offset.to_be_bytes());
    let sum = checksum(frame);
    frame[4..8].copy_from_slice(&sum.to_be_bytes());
}

/// Says what stands at the start of `bytes`, where a record of an offset in `from..to` may stand.
pub(super) fn look(bytes: &[u8], from: u64, to: u64) -> Look {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return Look::Short(HEAD);
    };
    let [a, b, c, d, rest @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let [s, t, u, v, offset @ ..] = rest;
    let offset = u64::from_be_bytes(offset);
    if length == 0 || length > RECORD_BYTES_MAX || offset < from || offset >= to {
        return Look::Damaged;
    }
    let Some(frame) = bytes.get(..HEAD + length) else {
        return Look::Short(HEAD + length);
    };
    if checksum(frame) == u32::from_be_bytes([s, t, u, v]) {
        Look::Valid(Frame { offset, bytes: frame.len() })
    } else {
        Look::Damaged
    }
}

/// How many frames a stretch without a valid one may have held, by the lengths it shows. Their
/// offsets are not given out again: somebody may have read those records before the damage.
pub(super) fn traces(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((length, _)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        match bytes.get(HEAD + length..) {
            Some(rest) if length > 0 => bytes = rest,
            _ => break,
        }
        count += 1;
    }
    count
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u64, record: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEAD];
        frame.extend_from_slice(record);
        seal(&mut frame, offset);
        frame
    }

    #[test]
    fn a_frame_is_read_as_it_was_sealed_and_only_where_it_may_stand() {
        let bytes = frame(7, b"record");
        assert_eq!(look(&bytes, 7, 8), Look::Valid(Frame { offset: 7, bytes: bytes.len() }));
        assert_eq!(look(&bytes, 8, 9), Look::Damaged);
        assert_eq!(look(&bytes, 0, 7), Look::Damaged);
        assert_eq!(look(&bytes[..HEAD + 2], 0, 8), Look::Short(bytes.len()));
    }

    #[test]
    fn damaged_frames_leave_traces_and_torn_ones_none() {
        let mut bytes = [frame(7, b"one"), frame(8, b"other")].concat();
        bytes[HEAD] ^= 1;
        assert_eq!(traces(&bytes), 2);
        assert_eq!(traces(&bytes[..bytes.len() - 1]), 1);
        assert_eq!(traces(&[0; 64]), 0);
    }

    #[test]
    fn no_flipped_bit_passes() {
        let whole = frame(7, b"record");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(look(&bytes, 0, u64::MAX), Look::Valid(_)), "bit {bit}");
        }
    }
}
