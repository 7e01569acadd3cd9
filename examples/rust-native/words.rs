//! A native plugin in Rust without a crate: a read-write directory of small files.
//! The functions are those of the C ABI: docs/plugins/external.md of PFS.
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// FileInfoC, 64 bytes.
#[repr(C)]
pub struct FileInfo {
    name: *mut c_char,
    size: i64,
    mode: u32,
    mod_time: i64,
    is_dir: i32,
    meta_name: *mut c_char,
    meta_type: *mut c_char,
    meta_content: *mut c_char,
}

#[repr(C)]
pub struct FileInfoArray {
    items: *mut FileInfo,
    count: c_int,
}

/// What PluginNew returns. `out` keeps what was returned until PFSFree.
pub struct Words {
    files: Mutex<Files>,
    out: Mutex<BTreeMap<usize, Out>>,
}

/// Memory that is with the host.
enum Out {
    Text(#[allow(dead_code)] CString),
    Data(#[allow(dead_code)] Vec<u8>),
    Info(#[allow(dead_code)] Box<FileInfo>, #[allow(dead_code)] CString),
    List(#[allow(dead_code)] Box<FileInfoArray>, #[allow(dead_code)] Vec<FileInfo>, #[allow(dead_code)] Vec<CString>),
}

// The pointers in it are to memory that goes with it.
unsafe impl Send for Out {}

/// A panic elsewhere leaves what is in a lock as good as it was.
fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Words {
    fn give<T>(&self, at: *const T, out: Out) -> *const T {
        locked(&self.out).insert(at as usize, out);
        at
    }

    fn text(&self, s: &str) -> *const c_char {
        let text = CString::new(s).unwrap_or_default();
        self.give(text.as_ptr(), Out::Text(text))
    }
}

/// The names of this plugin have no directories: "/name".
unsafe fn name<'a>(path: *const c_char) -> Option<&'a str> {
    let path = CStr::from_ptr(path).to_str().ok()?;
    let name = path.strip_prefix('/')?;
    if name.is_empty() || name.contains('/') { None } else { Some(name) }
}

fn info(name: &CString, size: usize, mode: u32, dir: bool) -> FileInfo {
    FileInfo {
        name: name.as_ptr() as *mut c_char, size: size as i64, mode, mod_time: 0, is_dir: dir as i32,
        meta_name: null_mut(), meta_type: null_mut(), meta_content: null_mut(),
    }
}

#[no_mangle]
pub extern "C" fn PluginNew() -> *mut Words {
    Box::into_raw(Box::new(Words { files: Mutex::default(), out: Mutex::default() }))
}

#[no_mangle]
pub unsafe extern "C" fn PluginFree(p: *mut Words) {
    drop(Box::from_raw(p));
}

#[no_mangle]
pub extern "C" fn PluginName(_: *mut Words) -> *const c_char {
    "words-rust\0".as_ptr() as *const c_char
}

#[no_mangle]
pub extern "C" fn PluginGetReadme(_: *mut Words) -> *const c_char {
    "# words-rust\n\nFiles in memory, in one directory.\n\0".as_ptr() as *const c_char
}

#[no_mangle]
pub extern "C" fn PluginShutdown(_: *mut Words) -> *const c_char {
    null()
}

#[no_mangle]
pub unsafe extern "C" fn PFSFree(p: *mut Words, at: *mut c_void) {
    locked(&(*p).out).remove(&(at as usize));
}

#[no_mangle]
pub unsafe extern "C" fn FSStat(p: *mut Words, path: *const c_char) -> *const FileInfo {
    let words = &*p;
    let text: CString = CStr::from_ptr(path).to_owned();
    let found = match name(path) {
        Some(n) => locked(&words.files).get(n).map(|(data, mode)| info(&text, data.len(), *mode, false)),
        None if text.to_bytes() == b"/" => Some(info(&text, 0, 0o755, true)),
        None => None,
    };
    let found = match found {
        Some(found) => Box::new(found),
        None => return null(),
    };
    words.give(&*found, Out::Info(found, text))
}

#[no_mangle]
pub unsafe extern "C" fn FSReadDir(p: *mut Words, path: *const c_char, count: *mut c_int) -> *const FileInfoArray {
    let words = &*p;
    if CStr::from_ptr(path).to_bytes() != b"/" {
        *count = -1;
        return null();
    }
    let (mut items, mut names) = (Vec::new(), Vec::new());
    for (name, (data, mode)) in locked(&words.files).iter() {
        let name = CString::new(name.as_str()).unwrap_or_default();
        items.push(info(&name, data.len(), *mode, false));
        names.push(name);
    }
    *count = items.len() as c_int;
    let list = Box::new(FileInfoArray { items: items.as_mut_ptr(), count: *count });
    words.give(&*list, Out::List(list, items, names))
}

#[no_mangle]
pub unsafe extern "C" fn FSRead(p: *mut Words, path: *const c_char, off: i64, size: i64, len: *mut c_int) -> *const c_char {
    let words = &*p;
    let piece = name(path).and_then(|n| {
        let files = locked(&words.files);
        let data = &files.get(n)?.0;
        let from = (off.max(0) as usize).min(data.len());
        let to = if size < 0 { data.len() } else { from.saturating_add(size as usize).min(data.len()) };
        Some(data[from..to].to_vec())
    });
    let mut piece = match piece {
        Some(piece) => piece,
        None => {
            *len = -1;
            return words.text("file not found");
        }
    };
    *len = piece.len() as c_int;
    piece.push(0); // an empty one has an address, too
    words.give(piece.as_ptr() as *const c_char, Out::Data(piece))
}

const CREATE: u32 = 2;
const TRUNCATE: u32 = 8;

#[no_mangle]
pub unsafe extern "C" fn FSWrite(p: *mut Words, path: *const c_char, data: *const u8, len: c_int, off: i64, flags: u32) -> i64 {
    let name = match name(path) {
        Some(name) => name,
        None => return -1,
    };
    let data = std::slice::from_raw_parts(data, len as usize);
    let mut files = locked(&(*p).files);
    if flags & CREATE == 0 && !files.contains_key(name) {
        return -1;
    }
    let file = &mut files.entry(name.to_string()).or_insert_with(|| (Vec::new(), 0o644)).0;
    if flags & TRUNCATE != 0 {
        file.clear();
    }
    let from = off.max(0) as usize;
    if file.len() < from + data.len() {
        file.resize(from + data.len(), 0);
    }
    file[from..from + data.len()].copy_from_slice(data);
    len as i64
}

#[no_mangle]
pub unsafe extern "C" fn FSCreate(p: *mut Words, path: *const c_char) -> *const c_char {
    let words = &*p;
    let name = match name(path) {
        Some(name) => name,
        None => return words.text("permission denied: there are no directories"),
    };
    let mut files = locked(&words.files);
    if files.contains_key(name) {
        return words.text("file already exists");
    }
    files.insert(name.to_string(), (Vec::new(), 0o644));
    null()
}

#[no_mangle]
pub unsafe extern "C" fn FSRemove(p: *mut Words, path: *const c_char) -> *const c_char {
    let words = &*p;
    match name(path).and_then(|n| locked(&words.files).remove(n)) {
        Some(_) => null(),
        None => words.text("file not found"),
    }
}
