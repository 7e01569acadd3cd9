/* A plugin that counts what it has handed out, and ends its process when it is given
 * back what it has not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define MAGIC 0x6f776e65642d6d65ULL
static long out;
static int validated;

static void *give(size_t n) {
	unsigned long long *p = calloc(1, n + 16);
	p[0] = MAGIC;
	__sync_add_and_fetch(&out, 1);
	return p + 2;
}
static char *say(const char *text) { return strcpy(give(strlen(text) + 1), text); }

#ifndef NO_FREE
void PFSFree(void *p, void *result) {
	unsigned long long *at = (unsigned long long *)result - 2;
	if (!result || at[0] != MAGIC) abort();
	at[0] = 0;
	__sync_sub_and_fetch(&out, 1);
	free(at);
}
#endif

void *PluginNew(void) { return &out; }
const char *PluginName(void *p) { return "owned"; }
const char *PluginGetReadme(void *p) { return "it is not freed"; }
const char *PluginValidate(void *p, const char *config) {
	validated = 1;
	return strstr(config, "\"colour\"") ? "" : "colour is missing";
}
const char *PluginInitialize(void *p, const char *config) { return validated ? "" : "it was not validated"; }

FileInfoC *FSStat(void *p, const char *path) {
	if (!strcmp(path, "/none")) return NULL;
	FileInfoC *f = give(sizeof *f);
	*f = (FileInfoC){.Name = "f", .Size = 0, .Mode = 0644, .IsDir = !strcmp(path, "/") || !strcmp(path, "/broken")};
	return f;
}
FileInfoArray *FSReadDir(void *p, const char *path, int *count) {
	struct { FileInfoArray a; FileInfoC one; } *d = give(sizeof *d);
	d->one.Name = "f";
	d->a = (FileInfoArray){&d->one, 1};
	*count = strcmp(path, "/broken") ? 1 : -1;
	return &d->a;
}
const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len) {
	char b[64];
	snprintf(b, sizeof b, "%ld", out);
#ifdef NO_FREE
	if (!strcmp(path, "/borrow")) return *len = strlen(path), path; /* the caller's own memory */
#endif
	if (!strcmp(path, "/error")) return *len = -1, say("permission denied");
	if (!strcmp(path, "/silent")) return *len = -1, NULL;
	if (!strcmp(path, "/null")) return *len = 7, NULL;
	if (!strcmp(path, "/end")) return *len = 0, say("");
	*len = (int)strlen(b);
	return say(b);
}
int64_t FSWrite(void *p, const char *path, const char *data, int len, int64_t off, uint32_t flags) {
	if (!data || !path || !*path) abort();
	return !strcmp(path, "/minus") ? -1 : len;
}
const char *FSCreate(void *p, const char *path) { return !path || !*path ? abort(), NULL : say("disk quota exceeded"); }
const char *FSRemove(void *p, const char *path) { return say(""); }
const char *FSRename(void *p, const char *from, const char *to) { return strcmp(to, "/f") ? NULL : say("already exists"); }
