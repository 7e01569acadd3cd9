//! Makes a Rust program a WASM plugin, without a crate. A plugin is a file with
//!
//! ```ignore
//! #[macro_use]
//! mod guest;
//!
//! export_files!("name", "# page", Hello::new()); // or export_changes!
//! ```
//!
//! where the value implements [`Files`], and [`Changes`] if it can be written to. One
//! call at a time is in an instance; each instance has a memory of its own.
#![allow(dead_code)] // not every plugin uses everything

use std::alloc::{alloc, dealloc, Layout};

/// The text of an error. The host tells these words apart; others are 500 with the text.
pub type Error = String;

pub const NOT_FOUND: &str = "file not found";
pub const EXISTS: &str = "file already exists";
pub const IS_DIR: &str = "is a directory";
pub const NOT_DIR: &str = "not a directory";
pub const NOT_EMPTY: &str = "directory not empty";
pub const DENIED: &str = "permission denied";
pub const INVALID: &str = "invalid input";

/// What a file is.
#[derive(Clone, Default)]
pub struct Info {
    pub name: String, // the last element of its path
    pub size: u64,
    pub mode: u32, // permissions
    pub time: i64, // seconds since 1970; 0: unknown
    pub dir: bool,
}

/// What every plugin is. Paths begin with a slash.
pub trait Files {
    fn stat(&mut self, path: &str) -> Result<Info, Error>;
    fn list(&mut self, path: &str) -> Result<Vec<Info>, Error>;
    /// At most size bytes from off; all from there if size is negative.
    fn read(&mut self, path: &str, off: i64, size: i64) -> Result<Vec<u8>, Error>;

    /// A JSON array of the settings, for who lists the plugins.
    fn params(&self) -> &str {
        "[]"
    }
    /// The settings of the mount and mount_path, a JSON object; [`setting`] reads it.
    fn validate(&mut self, _config: &str) -> Result<(), Error> {
        Ok(())
    }
    fn initialize(&mut self, _config: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// Flags of a write.
pub const APPEND: u32 = 1;
pub const CREATE: u32 = 2;
pub const EXCLUSIVE: u32 = 4;
pub const TRUNCATE: u32 = 8;

/// A plugin that can be written to.
pub trait Changes: Files {
    /// Off -1 replaces the file with TRUNCATE in flags, and appends with APPEND.
    fn write(&mut self, path: &str, data: &[u8], off: i64, flags: u32) -> Result<usize, Error>;
    fn create(&mut self, path: &str) -> Result<(), Error>;
    fn mkdir(&mut self, path: &str, mode: u32) -> Result<(), Error>;
    fn remove(&mut self, path: &str) -> Result<(), Error>;
    fn remove_all(&mut self, path: &str) -> Result<(), Error>;
    fn rename(&mut self, from: &str, to: &str) -> Result<(), Error>;
    fn chmod(&mut self, path: &str, mode: u32) -> Result<(), Error>;
}

/// The part of data that a read asks for.
pub fn part(data: &[u8], off: i64, size: i64) -> Vec<u8> {
    let from = (off.max(0) as u64).min(data.len() as u64) as usize;
    let left = data.len() - from;
    let n = if size < 0 { left } else { (size as u64).min(left as u64) as usize };
    data[from..from + n].to_vec()
}

// --- Memory. The host frees what it gets with the length that it was allocated with. ---

#[no_mangle]
pub extern "C" fn malloc(size: usize) -> *mut u8 {
    match Layout::from_size_align(size, 1) {
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

#[no_mangle]
pub unsafe extern "C" fn free(at: *mut u8, size: usize) {
    let shared = (at as usize).wrapping_sub(get_output_buffer_ptr() as usize) < SHARED;
    if !at.is_null() && size > 0 && !shared {
        dealloc(at, Layout::from_size_align_unchecked(size, 1));
    }
}

/// The buffers that are shared with the host: it writes arguments into the first, and
/// reads answers in the second before the next call. What is longer is allocated.
const SHARED: usize = 64 << 10;
static mut INPUT: [u8; SHARED] = [0; SHARED];
static mut OUTPUT: [u8; SHARED] = [0; SHARED];

#[no_mangle]
pub extern "C" fn get_input_buffer_ptr() -> *mut u8 {
    unsafe { std::ptr::addr_of_mut!(INPUT) as *mut u8 }
}
#[no_mangle]
pub extern "C" fn get_output_buffer_ptr() -> *mut u8 {
    unsafe { std::ptr::addr_of_mut!(OUTPUT) as *mut u8 }
}
#[no_mangle]
pub extern "C" fn get_shared_buffer_size() -> usize {
    SHARED
}

/// Bytes for the host: where they are, and how many. No bytes have an address, too.
pub fn give(data: Vec<u8>) -> u64 {
    let n = data.len();
    let at = if n <= SHARED {
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), get_output_buffer_ptr(), n) };
        get_output_buffer_ptr()
    } else {
        Box::into_raw(data.into_boxed_slice()) as *mut u8
    };
    (n as u64) << 32 | at as usize as u64
}

/// A text for the host, with a zero behind it; 0 for an empty one.
pub fn text(s: &str) -> u64 {
    if s.is_empty() {
        return 0;
    }
    let mut bytes = Vec::with_capacity(s.len() + 1);
    if s.contains('\0') {
        bytes.extend(s.bytes().filter(|b| *b != 0));
    } else {
        bytes.extend_from_slice(s.as_bytes());
    }
    bytes.push(0);
    give(bytes) & 0xffff_ffff
}

/// The text that the host passes. What is no UTF-8 names nothing here.
pub unsafe fn str<'a>(at: *const u8) -> &'a str {
    let mut n = 0;
    while *at.add(n) != 0 {
        n += 1;
    }
    std::str::from_utf8(std::slice::from_raw_parts(at, n)).unwrap_or("\u{fffd}")
}

/// The answer with a value below, or the text of an error above.
pub fn answer(r: Result<u64, Error>) -> u64 {
    match r {
        Ok(low) => low,
        Err(e) => text(if e.is_empty() { "error" } else { &e }) << 32,
    }
}

/// The answer of what has only an error.
pub fn done(r: Result<(), Error>) -> u32 {
    (answer(r.map(|_| 0)) >> 32) as u32
}

// --- JSON ---

fn quote(s: &str, out: &mut String) {
    out.push('"');
    if s.bytes().all(|c| c >= b' ' && c != b'"' && c != b'\\') {
        out.push_str(s);
    } else {
        for c in s.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

/// Appends a number of width digits at least. In a module, format! is most of a call.
fn number(mut n: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while n > 0 || at > digits.len() - width {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends a time as RFC 3339 has it; what is unknown is in the year 1.
fn date(time: i64, out: &mut String) {
    let time = if time == 0 { -62_135_596_800 } else { time };
    let (days, rest) = (time.div_euclid(86_400) + 719_468, time.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097)); // 400 years from a 1 March on
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + (month <= 2) as i64;
    for (n, width, behind) in [(year, 4, "-"), (month, 2, "-"), (day, 2, "T"), (rest / 3600, 2, ":"), (rest / 60 % 60, 2, ":"), (rest % 60, 2, "Z")] {
        number(n.max(0) as u64, width, out);
        out.push_str(behind);
    }
}

pub fn describe(i: &Info) -> String {
    let mut out = String::with_capacity(i.name.len() + 120);
    out.push_str("{\"Name\":");
    quote(&i.name, &mut out);
    out.push_str(",\"Size\":");
    number(i.size, 1, &mut out);
    out.push_str(",\"Mode\":");
    number(i.mode as u64, 1, &mut out);
    out.push_str(",\"ModTime\":\"");
    date(i.time, &mut out);
    out.push_str(if i.dir { "\",\"IsDir\":true}" } else { "\",\"IsDir\":false}" });
    out
}

/// Finds a text among the settings; None if it is not there, or no text.
pub fn setting(config: &str, name: &str) -> Option<String> {
    let mut rest = config.trim_start().strip_prefix('{')?;
    loop {
        let (key, after) = unquote(rest.trim_start())?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        if key == name {
            return unquote(rest).map(|(value, _)| value);
        }
        rest = skip(rest)?.trim_start().strip_prefix(',')?;
    }
}

/// Reads a text of JSON; also returns what is behind it.
fn unquote(s: &str) -> Option<(String, &str)> {
    let mut chars = s.strip_prefix('"')?.char_indices();
    let mut units = Vec::new(); // of UTF-16, as \u has them
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((String::from_utf16_lossy(&units), &s[at + 2..])),
            '\\' => match chars.next()?.1 {
                'u' => {
                    let digits: String = (0..4).map_while(|_| chars.next()).map(|(_, c)| c).collect();
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                }
                c => {
                    let n = "\"\\/bfnrt".find(c)?;
                    units.push(b"\"\\/\x08\x0c\n\r\t"[n] as u16);
                }
            },
            c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    None
}

/// Returns what is behind a value.
fn skip(mut s: &str) -> Option<&str> {
    let mut depth = 0;
    loop {
        s = s.trim_start();
        match s.chars().next()? {
            '"' => s = unquote(s)?.1,
            '{' | '[' => {
                depth += 1;
                s = &s[1..];
            }
            '}' | ']' => {
                depth -= 1;
                s = &s[1..];
            }
            ',' | ':' if depth > 0 => s = &s[1..],
            _ => {
                let n = s.find(|c: char| c.is_whitespace() || ",:{}[]\"".contains(c)).unwrap_or(s.len());
                if n == 0 {
                    return None;
                }
                s = &s[n..];
            }
        }
        if depth <= 0 {
            return Some(s);
        }
    }
}

// --- The system and the host ---

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn clock_time_get(clock: u32, precision: i64, ns: *mut i64) -> u32;
}

/// Seconds since 1970. std has no clock here.
pub fn now() -> i64 {
    let mut ns = 0;
    unsafe { clock_time_get(0, 1, &mut ns) };
    ns / 1_000_000_000
}

#[link(wasm_import_module = "env")]
extern "C" {
    fn host_fs_read(path: *const u8, off: i64, size: i64) -> u64;
    fn host_fs_readdir(path: *const u8) -> u64;
}

/// Reads from a file of the server's tree, as far as the plugin is granted it: at most
/// 4 MiB at once, fewer bytes at its end.
pub fn host_read(path: &str, off: i64, size: i64) -> Result<Vec<u8>, Error> {
    let name = path.to_string() + "\0";
    let r = unsafe { host_fs_read(name.as_ptr(), off, size) };
    if r as u32 == 0 {
        return Err(format!("{}, or not found: {}", DENIED, path));
    }
    // The memory is the host's, which takes it back when the call ends.
    Ok(unsafe { std::slice::from_raw_parts(r as u32 as usize as *const u8, (r >> 32) as usize) }.to_vec())
}

/// Lists a directory of the server's tree, as the JSON that the host answers.
pub fn host_list(path: &str) -> Result<String, Error> {
    let name = path.to_string() + "\0";
    let r = unsafe { host_fs_readdir(name.as_ptr()) };
    match (r as u32, (r >> 32) as u32) {
        (0, 0) => Ok("[]".to_string()),
        (list, 0) => Ok(unsafe { str(list as usize as *const u8) }.to_string()),
        (_, error) => Err(unsafe { str(error as usize as *const u8) }.to_string()),
    }
}

// --- The functions of the ABI ---

/// Exports a plugin that can be read: its name, its page, and its first value.
#[macro_export]
macro_rules! export_files {
    ($name:expr, $readme:expr, $new:expr) => {
        export_files!(dyn guest::Files, $name, $readme, $new);
    };
    ($kind:ty, $name:expr, $readme:expr, $new:expr) => {
        thread_local! {
            static PLUGIN: std::cell::RefCell<Box<$kind>> = std::cell::RefCell::new(Box::new($new));
        }

        fn plugin<R>(f: impl FnOnce(&mut $kind) -> R) -> R {
            PLUGIN.with(|p| f(&mut **p.borrow_mut()))
        }

        #[no_mangle]
        pub extern "C" fn plugin_new() -> u32 {
            plugin(|_| 1)
        }
        #[no_mangle]
        pub extern "C" fn plugin_name() -> u32 {
            guest::text($name) as u32
        }
        #[no_mangle]
        pub extern "C" fn plugin_get_readme() -> u32 {
            guest::text($readme) as u32
        }
        #[no_mangle]
        pub extern "C" fn plugin_get_config_params() -> u32 {
            plugin(|p| guest::text(p.params()) as u32)
        }
        #[no_mangle]
        pub unsafe extern "C" fn plugin_validate(config: *const u8) -> u32 {
            plugin(|p| guest::done(p.validate(guest::str(config))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn plugin_initialize(config: *const u8) -> u32 {
            plugin(|p| guest::done(p.initialize(guest::str(config))))
        }
        #[no_mangle]
        pub extern "C" fn plugin_shutdown() -> u32 {
            0
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_stat(path: *const u8) -> u64 {
            plugin(|p| guest::answer(p.stat(guest::str(path)).map(|i| guest::text(&guest::describe(&i)))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_readdir(path: *const u8) -> u64 {
            plugin(|p| {
                guest::answer(p.list(guest::str(path)).map(|list| {
                    let list: Vec<String> = list.iter().map(guest::describe).collect();
                    guest::text(&format!("[{}]", list.join(",")))
                }))
            })
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_read(path: *const u8, off: i64, size: i64) -> u64 {
            plugin(|p| p.read(guest::str(path), off, size).map_or(0, guest::give)) // an error has no words here
        }
    };
}

/// Exports a plugin that can be read and written to.
#[macro_export]
macro_rules! export_changes {
    ($name:expr, $readme:expr, $new:expr) => {
        export_files!(dyn guest::Changes, $name, $readme, $new);

        #[no_mangle]
        pub unsafe extern "C" fn fs_write(path: *const u8, data: *const u8, len: usize, off: i64, flags: u32) -> u64 {
            let data = if len == 0 { &[][..] } else { std::slice::from_raw_parts(data, len) };
            plugin(|p| guest::answer(p.write(guest::str(path), data, off, flags).map(|n| n as u64)))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_create(path: *const u8) -> u32 {
            plugin(|p| guest::done(p.create(guest::str(path))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_mkdir(path: *const u8, mode: u32) -> u32 {
            plugin(|p| guest::done(p.mkdir(guest::str(path), mode)))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_remove(path: *const u8) -> u32 {
            plugin(|p| guest::done(p.remove(guest::str(path))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_remove_all(path: *const u8) -> u32 {
            plugin(|p| guest::done(p.remove_all(guest::str(path))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_rename(from: *const u8, to: *const u8) -> u32 {
            plugin(|p| guest::done(p.rename(guest::str(from), guest::str(to))))
        }
        #[no_mangle]
        pub unsafe extern "C" fn fs_chmod(path: *const u8, mode: u32) -> u32 {
            plugin(|p| guest::done(p.chmod(guest::str(path), mode)))
        }
    };
}
