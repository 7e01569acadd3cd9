// Package backup is the form of a backup: the whole state of a cluster at one
// index, and all content that it refers to, as one stream.
//
//	magic, 8 bytes, the last one the version
//	records: kind u8, length of the payload u32, payload,
//	         CRC32C of these u32
//
// Numbers are big endian. The records are, in this order:
//
//	H  once: the Header, as JSON
//	R  rows of the state: key length u32, value length u32, key, value, again
//	   and again; keys rise over all records
//	C  a chunk: its BLAKE3-256, 32 bytes, and its bytes; hashes rise
//	E  once: the Trailer, as JSON; nothing follows it
//
// Invariants:
//
//   - A stream that was cut, anywhere, or changed is not a backup: the trailer
//     holds a BLAKE3 of every byte before it, the header the digest of the rows.
//   - Rows are logical: which database a node keeps them in does not show.
//     Those that tell whose state it is are not among them.
//   - Writer and Reader hold one record in memory, however long the stream is.
package backup
