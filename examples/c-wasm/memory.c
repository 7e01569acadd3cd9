/* A plugin that takes every verb: files and directories in the memory of its instance,
 * which are gone when that is. Compiled with -DPFS_ABI=1 it is one of the first
 * generation, whose fs_write replaces files only. */
#include "pfs_plugin.h"

typedef struct node {
	struct node *next;
	char *path;
	char *data;
	int64_t size, room;
	uint32_t mode;
	int64_t time;
	int dir;
} node;

static node *first; /* in no order; the root is not among them */
static uint32_t root_mode = 0755;

#if PFS_ABI == 1
#define NAME "memory-c-wasm-old"
#else
#define NAME "memory-c-wasm"
#endif

const char *plugin_name(void) { return NAME; }
const char *plugin_get_readme(void) { return "# " NAME "\n\nFiles and directories in the memory of the plugin.\n"; }

static node *find(const char *path) {
	node *n = first;
	while (n && strcmp(n->path, path)) n = n->next;
	return n;
}

/* below returns what follows "dir/" in path, NULL if it is not below dir. */
static const char *below(const char *path, const char *dir) {
	size_t n = strcmp(dir, "/") ? strlen(dir) : 0;
	return !strncmp(path, dir, n) && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

/* above says what keeps path from being made: NULL if there is a directory for it. */
static const char *above(const char *path) {
	size_t n = (size_t)(strrchr(path, '/') - path);
	if (!n) return NULL;
	for (node *k = first; k; k = k->next)
		if (strlen(k->path) == n && !strncmp(k->path, path, n)) return k->dir ? NULL : "not a directory";
	return "parent not found";
}

/* add makes a file or a directory; *why says why it cannot. */
static node *add(const char *path, int dir, uint32_t mode, const char **why) {
	if ((*why = above(path))) return NULL;
	node *n = calloc(1, sizeof *n);
	if (!n || !(n->path = strdup(path))) {
		free(n);
		*why = "out of memory";
		return NULL;
	}
	n->dir = dir;
	n->mode = mode & 0777;
	n->time = pfs_now();
	n->next = first;
	return first = n;
}

static pfs_info info(const node *n) {
	return (pfs_info){.name = strrchr(n->path, '/') + 1, .size = n->size, .mode = n->mode, .time = n->time, .dir = n->dir};
}

pfs_answer fs_stat(const char *path) {
	node *n = find(path);
	pfs_info i = {.name = "/", .mode = root_mode, .dir = 1};
	if (n) i = info(n);
	else if (strcmp(path, "/")) return pfs_failed("file not found");
	return pfs_described(&i);
}

pfs_answer fs_readdir(const char *path) {
	node *dir = find(path);
	if (!dir && strcmp(path, "/")) return pfs_failed("file not found");
	if (dir && !dir->dir) return pfs_failed("not a directory");
	pfs_text list = {0};
	for (node *n = first; n; n = n->next) {
		const char *rest = below(n->path, path);
		pfs_info i = info(n);
		if (rest && !strchr(rest, '/')) pfs_entry(&list, &i);
	}
	return pfs_listed(&list);
}

pfs_answer fs_read(const char *path, int64_t off, int64_t size) {
	node *n = find(path);
	return n && !n->dir ? pfs_bytes(n->data, n->size, off, size) : PFS_NOTHING;
}

/* resize makes room for size bytes; those that are new are zero. */
static int resize(node *n, int64_t size) {
	if (size > n->room) {
		int64_t room = size < n->room * 2 ? n->room * 2 : size;
		char *more = room < INT32_MAX ? realloc(n->data, (size_t)room) : NULL;
		if (!more) return 0;
		n->data = more;
		n->room = room;
	}
	if (size > n->size) memset(n->data + n->size, 0, (size_t)(size - n->size));
	n->size = size;
	return 1;
}

static pfs_answer put(const char *path, const char *data, uint32_t len, int64_t off, uint32_t flags) {
	const char *why = NULL;
	node *n = find(path);
	if (n && n->dir) return pfs_failed("is a directory");
	if (n && flags & FLAG_EXCLUSIVE) return pfs_failed("file already exists");
	if (!n && !(flags & FLAG_CREATE)) return pfs_failed("file not found");
	if (!n && !(n = add(path, 0, 0644, &why))) return pfs_failed(why);
	if (flags & FLAG_TRUNCATE) n->size = 0;
	if (flags & FLAG_APPEND) off = n->size;
	if (off < 0) off = 0;
	if (off + len > n->size && !resize(n, off + len)) return pfs_failed("no space left: out of memory");
	if (len) memcpy(n->data + off, data, len);
	n->time = pfs_now();
	return pfs_wrote(len);
}

#if PFS_ABI == 1
pfs_answer fs_write(const char *path, const char *data, uint32_t len) {
	return put(path, data, len, 0, FLAG_CREATE | FLAG_TRUNCATE);
}
#else
pfs_answer fs_write(const char *path, const char *data, uint32_t len, int64_t off, uint32_t flags) {
	return put(path, data, len, off, flags);
}
#endif

static const char *make(const char *path, int dir, uint32_t mode) {
	const char *why = NULL;
	if (find(path)) return "already exists";
	add(path, dir, mode, &why);
	return why;
}

const char *fs_create(const char *path) { return make(path, 0, 0644); }
const char *fs_mkdir(const char *path, uint32_t mode) { return make(path, 1, mode); }

/* cut removes a node, and with all = 1 what is below it. */
static const char *cut(const char *path, int all) {
	if (!find(path)) return "file not found";
	for (node *n = first; n && !all; n = n->next)
		if (below(n->path, path)) return "directory not empty";
	for (node **at = &first, *n; (n = *at);) {
		if (strcmp(n->path, path) && !below(n->path, path)) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		free(n->path);
		free(n->data);
		free(n);
	}
	return NULL;
}

const char *fs_remove(const char *path) { return cut(path, 0); }
const char *fs_remove_all(const char *path) { return cut(path, 1); }

const char *fs_rename(const char *from, const char *to) {
	node *n = find(from), *there = find(to);
	const char *why = above(to);
	if (!n) return "file not found";
	if (below(to, from)) return "invalid argument: a directory cannot go below itself";
	if (there && n->dir != there->dir) return there->dir ? "is a directory" : "not a directory";
	if (why || (there && (why = cut(to, 0)))) return why;
	for (node *k = first; k; k = k->next) {
		const char *rest = below(k->path, from);
		if (k != n && !rest) continue;
		size_t a = strlen(to), b = rest ? strlen(rest) : 0;
		char *path = malloc(a + b + 2);
		if (!path) return "out of memory";
		memcpy(path, to, a + 1);
		if (rest) path[a] = '/', memcpy(path + a + 1, rest, b + 1);
		free(k->path);
		k->path = path;
	}
	return NULL;
}

const char *fs_chmod(const char *path, uint32_t mode) {
	node *n = find(path);
	if (!n && strcmp(path, "/")) return "file not found";
	*(n ? &n->mode : &root_mode) = mode & 0777;
	return NULL;
}
