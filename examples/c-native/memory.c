/* A plugin that takes every verb: files and directories in memory, which are gone
 * when its process ends. Compiled with -DPFS_ABI=1 it is one of the first
 * generation, whose FSWrite replaces files only. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin.h"

typedef struct Node {
	struct Node *next;
	char *path;
	char *data;
	int64_t size;
	uint32_t mode;
	int64_t time;
	int dir;
} Node;

typedef struct {
	pthread_mutex_t lock;
	Node *first; /* in no order; the root is not among them */
	uint32_t mode; /* of the root */
} Memory;

#if PFS_ABI == 1
#define NAME "memory-c-old"
#else
#define NAME "memory-c"
#endif

/* What goes out is one block, for PFSFree: a text, or entries with their texts. */
static const char *fail(const char *text) { return strdup(text); }

void *PluginNew(void) {
	Memory *m = calloc(1, sizeof *m);
	if (m) pthread_mutex_init(&m->lock, NULL), m->mode = 0755;
	return m;
}

static void drop(Node *n) {
	free(n->path);
	free(n->data);
	free(n);
}

void PluginFree(void *p) {
	Memory *m = p;
	for (Node *n = m->first, *next; n; n = next) {
		next = n->next;
		drop(n);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const char *PluginName(void *p) { (void)p; return NAME; }
const char *PluginGetReadme(void *p) { (void)p; return "# " NAME "\n\nFiles and directories in the memory of its process.\n"; }
const char *PluginInitialize(void *p, const char *config) { (void)p; (void)config; return NULL; }
const char *PluginShutdown(void *p) { (void)p; return NULL; }
void PFSFree(void *p, void *result) { (void)p; free(result); }

static Node *find(Memory *m, const char *path) {
	Node *n = m->first;
	while (n && strcmp(n->path, path)) n = n->next;
	return n;
}

/* below returns what follows "dir/" in path, NULL if it is not below dir. */
static const char *below(const char *path, const char *dir) {
	size_t n = strcmp(dir, "/") ? strlen(dir) : 0;
	return !strncmp(path, dir, n) && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static int isdir(Memory *m, const char *path) {
	if (!strcmp(path, "/")) return 1;
	Node *n = find(m, path);
	return n && n->dir;
}

/* add makes a file or a directory; *why says why it cannot. */
static Node *add(Memory *m, const char *path, int dir, uint32_t mode, const char **why) {
	char *parent = strdup(path);
	if (!parent) { *why = "out of memory"; return NULL; }
	char *slash = strrchr(parent, '/');
	slash[slash == parent] = 0;
	*why = isdir(m, parent) ? NULL : find(m, parent) ? "not a directory" : "parent not found";
	free(parent);
	if (*why) return NULL;
	Node *n = calloc(1, sizeof *n);
	if (!n || !(n->path = strdup(path))) { free(n); *why = "out of memory"; return NULL; }
	n->dir = dir;
	n->mode = mode & 0777;
	n->time = time(NULL);
	n->next = m->first;
	return m->first = n;
}

/* describe fills in what a node is. text is where its name goes. */
static void describe(FileInfoC *f, const Node *n, char *text) {
	const char *name = n ? strrchr(n->path, '/') + 1 : "/";
	strcpy(text, name);
	*f = (FileInfoC){.Name = text, .Size = n ? n->size : 0, .Mode = n ? n->mode : 0, .ModTime = n ? n->time : 0, .IsDir = n ? n->dir : 1};
}

FileInfoC *FSStat(void *p, const char *path) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	Node *n = find(m, path);
	FileInfoC *f = NULL;
	if ((n || !strcmp(path, "/")) && (f = malloc(sizeof *f + strlen(path) + 2))) describe(f, n, (char *)(f + 1));
	if (f && !n) f->Mode = m->mode;
	pthread_mutex_unlock(&m->lock);
	return f;
}

FileInfoArray *FSReadDir(void *p, const char *path, int *count) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	size_t texts = 0;
	int entries = 0;
	FileInfoArray *a = NULL;
	if (isdir(m, path)) {
		for (Node *n = m->first; n; n = n->next) {
			const char *rest = below(n->path, path);
			if (rest && !strchr(rest, '/')) entries++, texts += strlen(rest) + 1;
		}
		a = malloc(sizeof *a + (size_t)entries * sizeof(FileInfoC) + texts);
	}
	if (a) {
		a->Items = (FileInfoC *)(a + 1);
		a->Count = entries;
		char *text = (char *)(a->Items + entries);
		int i = 0;
		for (Node *n = m->first; n; n = n->next) {
			const char *rest = below(n->path, path);
			if (!rest || strchr(rest, '/')) continue;
			describe(&a->Items[i++], n, text);
			text += strlen(text) + 1;
		}
	}
	*count = a ? entries : -1;
	pthread_mutex_unlock(&m->lock);
	return a;
}

const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	Node *n = find(m, path);
	const char *out;
	if (!n || n->dir) {
		out = fail(n ? "is a directory" : "file not found");
		*len = -1;
	} else {
		if (off < 0) off = 0;
		if (off > n->size) off = n->size;
		if (size < 0 || size > n->size - off) size = n->size - off;
		char *copy = malloc((size_t)size + 1);
		if (copy && size) memcpy(copy, n->data + off, (size_t)size);
		*len = copy ? (int)size : -1;
		out = copy;
	}
	pthread_mutex_unlock(&m->lock);
	return out;
}

/* put writes, and returns an error that is nobody's to free. */
static const char *put(Memory *m, const char *path, const char *data, int len, int64_t off, uint32_t flags) {
	const char *why = NULL;
	Node *n = find(m, path);
	if (n && n->dir) return "is a directory";
	if (n && flags & FLAG_EXCLUSIVE) return "file already exists";
	if (!n && !(flags & FLAG_CREATE)) return "file not found";
	if (!n && !(n = add(m, path, 0, 0644, &why))) return why;
	int64_t size = flags & FLAG_TRUNCATE ? 0 : n->size;
	if (flags & FLAG_APPEND) off = size;
	if (off < 0) off = 0;
	int64_t end = off + len > size ? off + len : size;
	char *room = realloc(n->data, (size_t)end + 1);
	if (!room) return "out of memory";
	n->data = room;
	if (off > size) memset(room + size, 0, (size_t)(off - size));
	if (len) memcpy(room + off, data, (size_t)len);
	n->size = end;
	n->time = time(NULL);
	return NULL;
}

#if PFS_ABI == 1
const char *FSWrite(void *p, const char *path, const char *data, int len) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	const char *why = put(m, path, data, len, 0, FLAG_CREATE | FLAG_TRUNCATE);
	pthread_mutex_unlock(&m->lock);
	return why ? fail(why) : NULL;
}
#else
int64_t FSWrite(void *p, const char *path, const char *data, int len, int64_t off, uint32_t flags) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	const char *why = put(m, path, data, len, off, flags);
	pthread_mutex_unlock(&m->lock);
	return why ? -1 : len;
}
#endif

static const char *make(void *p, const char *path, int dir, uint32_t mode) {
	Memory *m = p;
	const char *why = NULL;
	pthread_mutex_lock(&m->lock);
	if (find(m, path)) why = "already exists";
	else add(m, path, dir, mode, &why);
	pthread_mutex_unlock(&m->lock);
	return why ? fail(why) : NULL;
}

const char *FSCreate(void *p, const char *path) { return make(p, path, 0, 0644); }
const char *FSMkdir(void *p, const char *path, uint32_t mode) { return make(p, path, 1, mode); }

/* cut removes a node, and with all = 1 what is below it. */
static const char *cut(Memory *m, const char *path, int all) {
	if (!find(m, path)) return "file not found";
	for (Node *n = m->first; n && !all; n = n->next)
		if (below(n->path, path)) return "directory not empty";
	for (Node **at = &m->first, *n; (n = *at);) {
		if (strcmp(n->path, path) && !below(n->path, path)) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		drop(n);
	}
	return NULL;
}

static const char *removal(void *p, const char *path, int all) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	const char *why = cut(m, path, all);
	pthread_mutex_unlock(&m->lock);
	return why ? fail(why) : NULL;
}

const char *FSRemove(void *p, const char *path) { return removal(p, path, 0); }
const char *FSRemoveAll(void *p, const char *path) { return removal(p, path, 1); }

static const char *move(Memory *m, const char *from, const char *to) {
	Node *n = find(m, from), *there = find(m, to);
	const char *why;
	if (!n) return "file not found";
	if (below(to, from)) return "invalid argument: a directory cannot go below itself";
	if (there && n->dir != there->dir) return there->dir ? "is a directory" : "not a directory";
	if (there && (why = cut(m, to, 0))) return why;
	Node *probe = add(m, to, n->dir, n->mode, &why); /* is there a directory for it? */
	if (!probe) return why;
	cut(m, to, 0);
	for (Node *k = m->first; k; k = k->next) {
		const char *rest = below(k->path, from);
		if (k != n && !rest) continue;
		size_t room = strlen(to) + (rest ? strlen(rest) : 0) + 2;
		char *path = malloc(room);
		if (!path) return "out of memory";
		snprintf(path, room, rest ? "%s/%s" : "%s", to, rest);
		free(k->path);
		k->path = path;
	}
	return NULL;
}

const char *FSRename(void *p, const char *from, const char *to) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	char *old = strdup(from);
	const char *why = old ? move(m, old, to) : "out of memory";
	free(old);
	pthread_mutex_unlock(&m->lock);
	return why ? fail(why) : NULL;
}

const char *FSChmod(void *p, const char *path, uint32_t mode) {
	Memory *m = p;
	pthread_mutex_lock(&m->lock);
	Node *n = find(m, path);
	uint32_t *of = n ? &n->mode : strcmp(path, "/") ? NULL : &m->mode;
	if (of) *of = mode & 0777;
	pthread_mutex_unlock(&m->lock);
	return of ? NULL : fail("file not found");
}
