// Package calls measures what a call of a plugin costs, beside a built-in plugin
// that does the same work in the same run.
//
// The plugin is a Device as its host gives it, without the API, the log and the
// guard around it. The other side is memfs over a store in memory, folded and
// committed as a node does it, without the log: so the difference of both is what
// it costs that the plugin is from outside. Rounds of both alternate, so that what
// else the machine does falls on both.
package calls
