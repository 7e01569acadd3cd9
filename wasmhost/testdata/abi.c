/* A module written from the description of the ABI alone, without any SDK, in the
 * shapes that published ones have:
 *
 *	OLD        fs_write of the first generation, with three parameters
 *	SIZED      free with the size, as Rust modules have it; another size traps
 *	BUFFERS    the shared buffers
 *	NO_MALLOC  neither malloc nor free
 *	PACKED     the count in the high half, as it was written before the SDKs
 *	REACTOR, COMMAND   _initialize, _start, each with a constructor
 *	WHOLE      with fs_chmod and fs_remove_all, for which others stand in
 *	BARE       no function that the ABI can do without
 *
 * /log tells what it was asked for, and what was passed; other files tell about it. */
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
#define EXPORT(name) __attribute__((export_name(#name))) name
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) name
#define ENV(name) __attribute__((import_module("env"), import_name(#name))) name

/* --- texts --- */

static u32 len(const char *s) { u32 n = 0; while (s[n]) n++; return n; }
static int same(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return *a == *b; }
static int begins(const char *a, const char *b) { while (*b && *a == *b) a++, b++; return !*b; }

static char said[1 << 16];
static u32 n_said;

static void put(const char *s, u32 n) {
	for (u32 i = 0; i < n && n_said < sizeof said - 1; i++) said[n_said++] = s[i] ? s[i] : '.';
	said[n_said] = 0;
}
static void say(const char *s) { put(s, len(s)); }
static void count(i64 n) {
	char b[24];
	u32 at = sizeof b;
	u64 u = n < 0 ? -(u64)n : (u64)n;
	do b[--at] = (char)('0' + u % 10); while (u /= 10);
	if (n < 0) b[--at] = '-';
	put(b + at, (u32)sizeof b - at);
}

/* --- memory: taken in order, and from the start again when all is given back --- */

static char heap[1 << 21] __attribute__((aligned(16)));
static u32 used, live, strange; /* strange: what was freed and never given */
static int starved;

static char *take(u32 n) {
	if (starved && n > 64) return 0;
	u32 room = (n + 31) & ~15u;
	if (used + room > sizeof heap) return 0;
	char *p = heap + used;
	used += room;
	*(u32 *)p = n;
	*(u32 *)(p + 4) = 0xa110c;
	live++;
	return p + 16;
}

static void give(char *p, int sized, u32 n) {
	if (p < heap || p >= heap + sizeof heap || *(u32 *)(p - 12) != 0xa110c) {
		strange++;
		return;
	}
	if (sized && *(u32 *)(p - 16) != n) __builtin_trap();
	*(u32 *)(p - 12) = 0;
	if (!--live) used = 0;
}

#ifndef NO_MALLOC
char *EXPORT(malloc)(u32 n) { return n ? take(n) : 0; } /* as Rust has it */
#ifdef SIZED
void EXPORT(free)(char *p, u32 n) { give(p, 1, n); }
#else
void EXPORT(free)(char *p) { give(p, 0, 0); }
#endif
#endif

#ifdef BUFFERS
static char in[4096], out[4096];
char *EXPORT(get_input_buffer_ptr)(void) { return in; }
char *EXPORT(get_output_buffer_ptr)(void) { return out; }
u32 EXPORT(get_shared_buffer_size)(void) { return sizeof in; }
#endif

/* answer is a block for the host, or without malloc always the same one. */
static char *answer(const char *s, u32 n) {
	static char only[1 << 16];
#ifdef NO_MALLOC
	char *p = only;
#else
	char *p = take(n) ?: only;
#endif
	for (u32 i = 0; i < n; i++) p[i] = s[i];
	return p;
}
static char *text(const char *s) { return answer(s, len(s) + 1); }
static u64 pair(u32 low, u32 high) { return (u64)high << 32 | low; }

/* --- its beginning --- */

static int constructed, begun, made, initialized;
static char config[4096];

#if defined(REACTOR) || defined(COMMAND)
__attribute__((constructor)) static void construct(void) { constructed++; }
#endif
void __wasm_call_ctors(void);
#ifdef REACTOR
void EXPORT(_initialize)(void) { begun += 1; __wasm_call_ctors(); }
#endif
#ifdef COMMAND
void EXPORT(_start)(void) {
	begun += 10;
#ifndef REACTOR
	__wasm_call_ctors();
#endif
}
#endif

/* --- what it imports --- */

int WASI(clock_time_get)(int clock, i64 precision, i64 *ns);
int WASI(random_get)(void *at, u32 n);
int WASI(environ_sizes_get)(u32 *n, u32 *size);
int WASI(args_sizes_get)(u32 *n, u32 *size);
int WASI(fd_prestat_get)(int fd, void *at);
int WASI(fd_write)(int fd, const void *iovs, u32 n, u32 *written);
void WASI(proc_exit)(int code) __attribute__((noreturn));
int ENV(main)(int argc, char **argv);          /* what clang leaves of a command */
i64 ENV(no_such_function)(i64 a, float b);
float ENV(no_such_number)(void);
int ENV(host_fs_chmod)(int a, int b, int c);   /* known, with other parameters */
char *ENV(host_fs_mkdir)(const char *path, u32 mode);
u64 ENV(host_fs_stat)(const char *path);
u64 ENV(host_fs_read)(const char *path, i64 off, i64 size);
int __attribute__((import_module("elsewhere"), import_name("f"))) elsewhere(void);

/* --- the plugin --- */

static const char *const words[] = {
	"file not found", "permission denied", "file already exists", "is a directory", "not a directory",
	"read-only filesystem", "invalid input: a name", "I/O error: a disk", "something else", "operation not supported", "directory not empty",
};

static char *word(const char *path) { return text(words[(path[6] - '0') * 10 + path[7] - '0']); }

#ifndef BARE
int EXPORT(plugin_new)(void) { made++; return 0; } /* whatever it answers */
char *EXPORT(plugin_name)(void) { return text("from-the-page"); }
char *EXPORT(plugin_get_readme)(void) { return text("# A page"); }
char *EXPORT(plugin_get_config_params)(void) {
	return text("[{\"name\":\"a\",\"type\":\"string\",\"required\":true,\"default\":\"x\",\"description\":\"d\"},{\"name\":\"n\",\"type\":\"int\",\"default\":5,\"description\":\"e\"}]");
}
static int has(const char *where, const char *what) {
	for (; *where; where++)
		if (begins(where, what)) return 1;
	return 0;
}
char *EXPORT(plugin_validate)(const char *c) { return has(c, "\"refuse\"") ? text("not like this") : 0; }
char *EXPORT(plugin_initialize)(const char *c) {
	initialized++;
	for (u32 i = 0; i < sizeof config - 1 && (config[i] = c[i]); i++) {}
	return has(c, "\"hesitate\"") ? text("not now") : 0;
}
char *EXPORT(plugin_shutdown)(void) {
	static const char bye[] = "it shuts down\n";
	u32 iov[2] = {(u32)bye, sizeof bye - 1}, n;
	fd_write(1, iov, 1, &n);
	return 0;
}
#endif

u64 EXPORT(fs_stat)(const char *path) {
	static const char dir[] = "{\"Name\":\"d\",\"Size\":0,\"Mode\":493,\"ModTime\":\"0001-01-01T00:00:00Z\",\"IsDir\":true}";
	if (same(path, "/f") || same(path, "/fails"))
		return pair((u32)text("{\"Name\":\"f\",\"Size\":5,\"Mode\":420,\"ModTime\":\"2020-02-03T04:05:06Z\",\"IsDir\":false,"
		                      "\"Meta\":{\"Name\":\"m\",\"Type\":\"t\",\"Content\":{\"n\":1,\"s\":\"x\",\"o\":{\"deep\":[1,2]}}}}"), 0);
	if (same(path, "/") || same(path, "/d")) return pair((u32)text(dir), 0);
	if (begins(path, "/says/")) return pair(0, (u32)word(path));
	if (begins(path, "/tell-")) return pair((u32)text("{\"Name\":\"x\",\"Size\":0,\"Mode\":292}"), 0);
	if (same(path, "/silent")) return 0;
	return pair(0, (u32)text("file not found"));
}

u64 EXPORT(fs_readdir)(const char *path) {
	if (same(path, "/d")) return 0; /* nothing in it */
	return pair((u32)text("[{\"Name\":\"f\",\"Size\":5,\"Mode\":420},{\"Name\":\"d\",\"Mode\":493,\"IsDir\":true}]"), 0);
}

/* tell puts what a file tells into said. */
static void tell(const char *what) {
	u32 a = 7, b = 7;
	i64 ns = 0;
	unsigned char random[8];
	if (same(what, "live")) count(live), say(" strange "), count(strange), say(" ");
	if (same(what, "config")) say(config);
	if (same(what, "begun")) say("begun "), count(begun), say(" constructed "), count(constructed), say(" made "), count(made), say(" initialized "), count(initialized);
	if (same(what, "clock")) clock_time_get(0, 1, &ns), count(ns / 1000000000);
	if (same(what, "monotonic")) clock_time_get(1, 1, &ns), count(ns);
	if (same(what, "random")) random_get(random, 8), count((i64)*(u64 *)random >> 1);
	if (same(what, "env")) environ_sizes_get(&a, &b), count(a), say(" "), count(b);
	if (same(what, "args")) args_sizes_get(&a, &b), count(a), say(" "), count(b);
	if (same(what, "dirs")) count(fd_prestat_get(3, random));
	if (same(what, "unknown")) count(main(1, 0) + no_such_function(5, 1) + (i64)no_such_number() + elsewhere() + host_fs_chmod(1, 2, 3));
	if (same(what, "host")) {
		char *why = host_fs_mkdir("/x", 0700);
		say(why ? why : "null");
	}
	if (same(what, "wild")) {
		u64 r = host_fs_stat((const char *)0xfffffff0);
		say(r >> 32 ? (const char *)(u32)(r >> 32) : "null");
		count((i64)host_fs_read((const char *)0xfffffff0, 0, 5));
		count((i64)host_fs_read(0, -1, -1));
	}
	if (same(what, "print")) {
		static const char line[] = "it prints\n";
		u32 iov[2] = {(u32)line, sizeof line - 1}, n;
		fd_write(1, iov, 1, &n), fd_write(2, iov, 1, &n);
	}
	if (same(what, "exit")) proc_exit(3);
	if (same(what, "starve")) starved = 1;
}

u64 EXPORT(fs_read)(const char *path, i64 off, i64 size) {
	if (same(path, "/f")) { /* whatever was asked for */
		(void)off, (void)size;
		return pair((u32)answer("hello", 5), 5);
	}
	if (same(path, "/tell-log")) {
		u32 n = n_said;
		n_said = 0;
		return pair((u32)answer(said, n), n);
	}
	if (begins(path, "/tell-")) {
		u32 from = n_said, n;
		tell(path + 6);
		n = n_said - from;
		n_said = from;
		return pair((u32)answer(said + from, n), n);
	}
	return 0;
}

static char *heard(const char *verb, const char *path, const char *more) {
	say(verb), say(" "), say(path), say(more), say("\n");
	return begins(path, "/says/") ? word(path) : 0;
}

static u64 wrote(const char *path, const char *data, u32 n) {
	say(" len "), count(n), say(data ? " data " : " null "), put(data, n < 64 ? n : 64), say("\n");
#ifdef OLD
	static const char ok[] = "written";
	return same(path, "/fails") ? 0 : pair((u32)answer(ok, 7), 7);
#else
	char *why = same(path, "/fails") ? text("permission denied") : 0;
#ifdef PACKED
	if (!why) return pair(0, n);
#endif
	return why ? pair(0, (u32)why) : pair(n, 0);
#endif
}

#ifndef BARE
#ifdef OLD
u64 EXPORT(fs_write)(const char *path, const char *data, u32 n) {
	say("write "), say(path);
	return wrote(path, data, n);
}
#else
u64 EXPORT(fs_write)(const char *path, const char *data, u32 n, i64 off, u32 flags) {
	say("write "), say(path), say(" off "), count(off), say(" flags "), count(flags);
	return wrote(path, data, n);
}
#endif
char *EXPORT(fs_create)(const char *path) { return heard("create", path, ""); }
char *EXPORT(fs_remove)(const char *path) { return heard("remove", path, ""); }
char *EXPORT(fs_rename)(const char *from, const char *to) { return heard("rename", from, to); }
static char *moded(const char *verb, const char *path, u32 mode) {
	say("mode "), count(mode), say(" ");
	return heard(verb, path, "");
}
char *EXPORT(fs_mkdir)(const char *path, u32 mode) { return moded("mkdir", path, mode); }
#ifdef WHOLE
char *EXPORT(fs_chmod)(const char *path, u32 mode) { return moded("chmod", path, mode); }
char *EXPORT(fs_remove_all)(const char *path) { return heard("remove all", path, ""); }
#endif
#endif

/* Handles: the host has its own, and calls none of these, whatever they look like. */
i64 EXPORT(handle_open)(const char *path, int flags, int mode) { (void)path, (void)flags, (void)mode; __builtin_trap(); }
i64 EXPORT(handle_read)(i64 id, char *at, u32 n) { (void)id, (void)at, (void)n; __builtin_trap(); }
int EXPORT(handle_close)(void) { __builtin_trap(); }
