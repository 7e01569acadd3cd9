//! The smallest plugin: one file that can be read, with one setting.
#[macro_use]
mod guest;

use guest::{Error, Files, Info};

struct Hello {
    text: String,
}

const GREETING: &str = "Hello from Rust WASM plugin!";

impl Files for Hello {
    fn params(&self) -> &str {
        r#"[{"name":"greeting","type":"string","required":false,"default":"Hello from Rust WASM plugin!","description":"what /hello says"}]"#
    }

    fn validate(&mut self, config: &str) -> Result<(), Error> {
        match guest::setting(config, "greeting") {
            Some(g) if g.len() > 200 => Err(format!("{}: greeting has at most 200 bytes", guest::INVALID)),
            _ => Ok(()),
        }
    }

    fn initialize(&mut self, config: &str) -> Result<(), Error> {
        self.text = guest::setting(config, "greeting").unwrap_or_else(|| GREETING.to_string()) + "\n";
        Ok(())
    }

    fn stat(&mut self, path: &str) -> Result<Info, Error> {
        match path {
            "/" => Ok(Info { name: "/".to_string(), mode: 0o555, dir: true, ..Info::default() }),
            "/hello" => Ok(Info { name: "hello".to_string(), size: self.text.len() as u64, mode: 0o444, ..Info::default() }),
            _ => Err(guest::NOT_FOUND.to_string()),
        }
    }

    fn list(&mut self, path: &str) -> Result<Vec<Info>, Error> {
        match path {
            "/" => Ok(vec![self.stat("/hello")?]),
            _ => Err(guest::NOT_DIR.to_string()),
        }
    }

    fn read(&mut self, path: &str, off: i64, size: i64) -> Result<Vec<u8>, Error> {
        match path {
            "/hello" => Ok(guest::part(self.text.as_bytes(), off, size)),
            _ => Err(guest::NOT_FOUND.to_string()),
        }
    }
}

export_files!(
    "hellofs-rust-wasm",
    "# hellofs-rust-wasm\n\nOne file, /hello. The setting greeting is what it says.\n",
    Hello { text: GREETING.to_string() + "\n" }
);
