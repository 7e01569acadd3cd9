// Package secret keeps the secret settings of mounts out of the log in the
// clear.
//
// A setting that its plugin calls secret is either a reference that every node
// resolves for itself (env:NAME, file:PATH), or it was given inline and is
// sealed with the cluster's key before it enters the log.
//
// Invariants:
//
//   - A sealed text opens only under the key, plugin type and parameter that it
//     was sealed for.
//   - Sealing is deterministic: what a configuration file asks for again is
//     equal to what the log has. Two equal secrets of one parameter are seen to
//     be equal; nothing else is.
//   - No error text holds a secret.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// Key seals the secrets of one cluster.
type Key [32]byte

// NewKey returns a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// ParseKey reads what Text wrote.
func ParseKey(s string) (k Key, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(k) {
		return k, errors.New("not a key: 64 hexadecimal digits")
	}
	copy(k[:], b)
	return k, nil
}

// Text returns the key as 64 hexadecimal digits, for a file that only the node
// reads. It is not called String, so that nothing prints a key by accident.
func (k Key) Text() string { return hex.EncodeToString(k[:]) }

// String hides the key.
func (k Key) String() string { return "***" }

// GoString hides the key.
func (k Key) GoString() string { return "***" }

// Prefix begins every sealed text; base64 of nonce, ciphertext and tag follows.
const Prefix = "sealed:v1:"

// errSealed says nothing of what was sealed.
var errSealed = errors.New("sealed with another key or for another setting")

// seal encrypts text for a purpose with AES-256-GCM under a nonce that is a
// keyed hash of both, as in deterministic authenticated encryption (Rogaway and
// Shrimpton, 2006): a nonce repeats only for the same message.
func (k Key) seal(purpose, text string) string {
	mac := hmac.New(sha256.New, k.derive("nonce"))
	// The length keeps the two apart.
	mac.Write([]byte{byte(len(purpose) >> 8), byte(len(purpose))})
	mac.Write([]byte(purpose))
	mac.Write([]byte(text))
	aead := k.aead()
	nonce := mac.Sum(nil)[:aead.NonceSize()]
	return Prefix + base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(text), []byte(purpose)))
}

// open reverses seal.
func (k Key) open(purpose, sealed string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(sealed, Prefix))
	aead := k.aead()
	if err != nil || len(b) < aead.NonceSize() {
		return "", errSealed
	}
	text, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(purpose))
	if err != nil {
		return "", errSealed
	}
	return string(text), nil
}

// derive makes a key for one use.
func (k Key) derive(use string) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("pfs secret " + use))
	return mac.Sum(nil)
}

func (k Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.derive("cipher"))
	if err != nil {
		panic(err) // the length is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is right
	}
	return aead
}
