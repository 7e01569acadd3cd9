// Package configs holds the configuration files that come with PFS. The
// commented one is built into the server, which prints it on request.
package configs

import _ "embed" // the sample

// Sample is config.example.yaml: every key with its default and a comment.
//
//go:embed config.example.yaml
var Sample string
