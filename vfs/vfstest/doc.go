// Package vfstest judges filesystems. [Run] is a plugin's whole test: it holds
// the plugin to the laws that every filesystem keeps and plays its scripts.
// [State], [Tx] and [Chunks] are what a Folder needs to run without a store, a
// log or a server; they forbid what their contracts forbid.
//
// # Laws
//
// [Laws] lists them. Each is a function that answers an error, so that tests
// can show that a filesystem which breaks it is found out. Laws know nothing
// of a plugin's paths: they walk what it lists, try verbs on what they find and
// on new names beside it, and compare what must agree. A plugin that takes
// Create, Write, Mkdir, Rename and RemoveAll is also compared with a plain map
// of files under random Ops, in the first directory that takes new files.
// What a law finds is repeatable: all randomness comes from fixed seeds.
//
// # Scripts
//
// A script is a text file of lines, each a verb with its arguments, an arrow
// and the expected answer:
//
//	# a comment
//	mkdir /a           -> ok
//	write /a/f "hi\n"  -> 3
//	read /a/f          -> "hi\n"
//	ls /               -> README a/
//	read /x            -> not_found
//
// Paths are relative to the mount. Arguments are separated by spaces; one that
// holds spaces, and all content, is quoted as in Go, with " or `. The verbs:
//
//	mkdir PATH [MODE]              ok
//	create PATH [MODE]             ok
//	write PATH CONTENT [FLAG...]   the number of bytes
//	read PATH [off=N] [size=N]     the content
//	consume PATH [NAME=VALUE...]   the content that was taken away
//	truncate PATH SIZE             ok
//	touch PATH                     ok
//	chmod PATH MODE                ok
//	rm [-r] PATH                   ok
//	mv PATH PATH                   ok
//	ln TARGET PATH                 ok; makes the symbolic link PATH
//	readlink PATH                  the target as content
//	ls PATH                        the names in order, directories with a "/"
//	stat PATH                      "dir MODE", "file MODE SIZE" or "link"
//
// Modes are octal. write replaces the file, or makes it; its flags are append,
// at=N (writes at that offset), notrunc (writes over the start, keeping the
// rest) and excl (fails with exists when the file is there); any other
// NAME=VALUE is an Option of the file. read of a file whose reading takes
// something away is the same as consume, and has neither off nor size. An empty
// directory is answered with nothing behind the arrow.
//
// An operation that fails answers its code, such as not_found, exists or
// not_empty. Expected answers may hold <id> for an id, <time> for an RFC 3339
// time and <n> for a whole number. An answer that starts with "~ " is a
// regular expression for the whole answer; for content it is matched against
// the bytes themselves, otherwise against the line:
//
//	read /q/dequeue -> ~ \{"id":"[^"]+","data":"job".*\}
//
// What a named group of such an expression has matched is put in the place of
// its name in the lines that follow:
//
//	consume /q/take          -> ~ .*"lease":"(?P<lease>[^"]+)".*
//	write /q/ack "${lease}"  -> <n>
//
// The same files run against a Folder alone, over HTTP on one node and on
// three: all that [Script] needs is a [Driver].
package vfstest
