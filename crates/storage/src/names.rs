//! Names of the files in a partition's directory.

/// Something that has begun to be deleted.
pub(crate) const DELETED: &str = ".deleted";

pub(crate) fn log(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

pub(crate) fn offset_index(base_offset: i64) -> String {
    format!("{base_offset:020}.index")
}

pub(crate) fn time_index(base_offset: i64) -> String {
    format!("{base_offset:020}.timeindex")
}

pub(crate) fn snapshot(offset: i64) -> String {
    format!("{offset:020}.snapshot")
}

/// The offset in a name of 20 digits and `suffix`.
pub(crate) fn offset_of(name: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
