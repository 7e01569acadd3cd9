//! A plugin that takes every verb: files and directories in the memory of its instance,
//! which are gone when that is.
#[macro_use]
mod guest;

use guest::{Changes, Error, Files, Info};
use std::collections::BTreeMap;

struct File {
    data: Vec<u8>,
    mode: u32,
    time: i64,
    dir: bool,
}

impl File {
    fn new(mode: u32, dir: bool) -> File {
        File { data: Vec::new(), mode: mode & 0o777, time: guest::now(), dir }
    }

    fn info(&self, path: &str) -> Info {
        let name = path.rsplit('/').next().unwrap_or_default().to_string();
        Info { name, size: self.data.len() as u64, mode: self.mode, time: self.time, dir: self.dir }
    }
}

const FULL: &str = "no space left: out of memory";

/// Everything by its path; "" is the root.
struct Memory {
    files: BTreeMap<String, File>,
}

fn key(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn no<T>(words: &str) -> Result<T, Error> {
    Err(words.to_string())
}

impl Memory {
    fn new() -> Memory {
        let mut files = BTreeMap::new();
        files.insert(String::new(), File { data: Vec::new(), mode: 0o755, time: 0, dir: true });
        Memory { files }
    }

    fn find(&mut self, path: &str) -> Result<&mut File, Error> {
        self.files.get_mut(key(path)).ok_or_else(|| guest::NOT_FOUND.to_string())
    }

    /// The paths below dir, in order.
    fn below(&self, dir: &str) -> Vec<String> {
        let prefix = key(dir).to_string() + "/";
        self.files.range(prefix.clone()..).map(|(p, _)| p).take_while(|p| p.starts_with(&prefix)).cloned().collect()
    }

    /// Whether there is a directory for path to be in.
    fn parent(&mut self, path: &str) -> Result<(), Error> {
        let dir = &path[..path.rfind('/').unwrap_or(0)];
        if self.find(dir)?.dir { Ok(()) } else { no(guest::NOT_DIR) }
    }

    fn make(&mut self, path: &str, file: File) -> Result<&mut File, Error> {
        if self.files.contains_key(key(path)) {
            return no(guest::EXISTS);
        }
        self.parent(path)?;
        Ok(self.files.entry(path.to_string()).or_insert(file))
    }
}

impl Files for Memory {
    fn stat(&mut self, path: &str) -> Result<Info, Error> {
        let mut info = self.find(path)?.info(path);
        if path == "/" {
            info.name = path.to_string();
        }
        Ok(info)
    }

    fn list(&mut self, path: &str) -> Result<Vec<Info>, Error> {
        if !self.find(path)?.dir {
            return no(guest::NOT_DIR);
        }
        let below = self.below(path);
        let start = key(path).len() + 1;
        Ok(below.iter().filter(|p| !p[start..].contains('/')).map(|p| self.files[p].info(p)).collect())
    }

    fn read(&mut self, path: &str, off: i64, size: i64) -> Result<Vec<u8>, Error> {
        let file = self.find(path)?;
        if file.dir { no(guest::IS_DIR) } else { Ok(guest::part(&file.data, off, size)) }
    }
}

impl Changes for Memory {
    fn write(&mut self, path: &str, data: &[u8], off: i64, flags: u32) -> Result<usize, Error> {
        let there = self.files.contains_key(key(path));
        if there && flags & guest::EXCLUSIVE != 0 {
            return no(guest::EXISTS);
        }
        let file = if there || flags & guest::CREATE == 0 { self.find(path)? } else { self.make(path, File::new(0o644, false))? };
        if file.dir {
            return no(guest::IS_DIR);
        }
        if flags & guest::TRUNCATE != 0 {
            file.data.clear();
        }
        let from = if flags & guest::APPEND != 0 { file.data.len() as i64 } else { off.max(0) };
        if from > i32::MAX as i64 {
            return no(FULL);
        }
        let (from, end) = (from as usize, from as usize + data.len());
        if end > file.data.len() {
            if file.data.try_reserve(end - file.data.len()).is_err() {
                return no(FULL);
            }
            file.data.resize(end, 0);
        }
        file.data[from..end].copy_from_slice(data);
        file.time = guest::now();
        Ok(data.len())
    }

    fn create(&mut self, path: &str) -> Result<(), Error> {
        self.make(path, File::new(0o644, false)).map(|_| ())
    }

    fn mkdir(&mut self, path: &str, mode: u32) -> Result<(), Error> {
        self.make(path, File::new(mode, true)).map(|_| ())
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.find(path)?;
        if !self.below(path).is_empty() {
            return no(guest::NOT_EMPTY);
        }
        self.files.remove(path);
        Ok(())
    }

    fn remove_all(&mut self, path: &str) -> Result<(), Error> {
        self.find(path)?;
        for p in self.below(path) {
            self.files.remove(&p);
        }
        self.files.remove(path);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let dir = self.find(from)?.dir;
        self.parent(to)?;
        if to.starts_with(&(from.to_string() + "/")) {
            return no(guest::INVALID);
        }
        if let Some(there) = self.files.get(to) {
            match (dir, there.dir) {
                (true, false) => return no(guest::NOT_DIR),
                (false, true) => return no(guest::IS_DIR),
                _ => self.remove(to)?,
            }
        }
        let mut moved = self.below(from);
        moved.push(from.to_string());
        for p in moved {
            if let Some(file) = self.files.remove(&p) {
                self.files.insert(to.to_string() + &p[from.len()..], file);
            }
        }
        Ok(())
    }

    fn chmod(&mut self, path: &str, mode: u32) -> Result<(), Error> {
        self.find(path)?.mode = mode & 0o777;
        Ok(())
    }
}

export_changes!("memory-rust-wasm", "# memory-rust-wasm\n\nFiles and directories in the memory of the plugin.\n", Memory::new());
