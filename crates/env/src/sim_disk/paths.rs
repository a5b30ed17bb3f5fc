//! From paths to numbers.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::op::{Inode, ROOT};
use super::tree::{Node, Tree};

/// Where a path leads: the directory it ends in and the last name there.
pub(super) struct Place {
    pub(super) dir: Inode,
    pub(super) name: Arc<str>,
    /// What has that name, if anything does.
    pub(super) inode: Option<Inode>,
}

/// The names of a path from the root on. Refuses `..` and names that are not UTF-8.
pub(super) fn components(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(io::ErrorKind::InvalidFilename)?),
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidFilename.into()),
        }
    }
    Ok(names)
}

/// The file or directory at a path.
pub(super) fn lookup(tree: &Tree, path: &Path) -> io::Result<Inode> {
    let mut inode = ROOT;
    for name in components(path)? {
        inode = child(tree, inode, name)?.ok_or(io::ErrorKind::NotFound)?;
    }
    Ok(inode)
}

/// The directory a path ends in, which must exist, and the last name, which need not. The root has no such place.
pub(super) fn place(tree: &Tree, path: &Path) -> io::Result<Place> {
    let names = components(path)?;
    let (name, parents) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut dir = ROOT;
    for parent in parents {
        dir = child(tree, dir, parent)?.ok_or(io::ErrorKind::NotFound)?;
    }
    Ok(Place { dir, name: Arc::from(*name), inode: child(tree, dir, name)? })
}

pub(super) fn child(tree: &Tree, dir: Inode, name: &str) -> io::Result<Option<Inode>> {
    match tree.node(dir) {
        Some(Node::Dir(entries)) => Ok(entries.get(name).copied()),
        Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}
