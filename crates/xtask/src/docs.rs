//! Pages generated from tables in the code.

use std::path::PathBuf;

use crate::run::{Failed, root};

fn pages() -> Vec<(PathBuf, String)> {
    vec![(root().join("docs/reference/configuration.md"), chronik_config::reference_markdown())]
}

/// Writes every generated page.
pub fn write() -> Result<(), Failed> {
    for (path, text) in pages() {
        let dir = path.parent().map(PathBuf::from).unwrap_or_default();
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
        written.map_err(|e| Failed(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(())
}

/// Pages that differ from what [`write`] would write.
pub fn stale() -> Vec<String> {
    let differs = |(path, text): &(PathBuf, String)| std::fs::read_to_string(path).ok().as_ref() != Some(text);
    pages().iter().filter(|page| differs(page)).map(|(path, _)| path.display().to_string()).collect()
}
