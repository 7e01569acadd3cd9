// Package blob keeps chunks of content in files named by their BLAKE3-256.
//
// Layout below the store's directory: <aa>/<hash in hex>, where aa is the
// first byte of the hash; tmp/ for files being written; quarantine/ for files
// found damaged. A file is a header with a checksum for every 64 KiB, then the
// chunk: so a part of it is verified by reading only that part.
//
// Invariants:
//
//   - A chunk whose Put or Touch said yes is durable: its bytes were fsynced
//     before it got its name, and the directory after.
//   - Bytes are written once, and never changed under a name.
//   - Nothing is handed out unverified. A damaged file is moved aside, so that
//     the next Put of the chunk replaces it, and until then it reads as
//     damaged, not as absent.
//   - The first failed sync is final: Put and Touch fail from then on.
package blob
