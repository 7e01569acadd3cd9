// Package server makes a node of its parts: it reads the configuration, starts
// the cluster node and the HTTP API, and stops both in order.
//
// YAML is read here and nowhere else; the packages below take Go values.
// A setting is taken from the first of flag, environment (PFS_ and the flag's
// name in upper case), file and default that has it.
package server
