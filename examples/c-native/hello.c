/* The smallest plugin: one file that can be read. */
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

typedef struct {
	char text[256];
	FileInfoC file, root;
	FileInfoArray list;
} Hello;

void *PluginNew(void) {
	Hello *h = calloc(1, sizeof *h);
	if (!h) return NULL;
	strcpy(h->text, "Hello from C plugin!\n");
	h->file = (FileInfoC){.Name = "hello", .Size = (int64_t)strlen(h->text), .Mode = 0444, .MetaName = "hellofs-c", .MetaType = "file"};
	h->root = (FileInfoC){.Name = "/", .Mode = 0555, .IsDir = 1};
	h->list = (FileInfoArray){&h->file, 1};
	return h;
}

void PluginFree(void *p) { free(p); }
const char *PluginName(void *p) { (void)p; return "hellofs-c"; }
const char *PluginGetReadme(void *p) { (void)p; return "# hellofs-c\n\nOne file, /hello. The setting greeting replaces what it says.\n"; }

/* greeting finds "greeting":"..." in the settings; a real plugin has a JSON parser. */
static const char *greeting(const char *config, size_t *len) {
	const char *key = strstr(config, "\"greeting\":\"");
	if (!key) return NULL;
	key += strlen("\"greeting\":\"");
	const char *end = strchr(key, '"');
	if (!end) return NULL;
	*len = (size_t)(end - key);
	return key;
}

const char *PluginValidate(void *p, const char *config) {
	(void)p;
	size_t len;
	if (greeting(config, &len) && len > 200) return "invalid greeting: at most 200 bytes";
	return NULL;
}

const char *PluginInitialize(void *p, const char *config) {
	Hello *h = p;
	size_t len;
	const char *text = greeting(config, &len);
	if (!text) return NULL;
	memcpy(h->text, text, len);
	strcpy(h->text + len, "\n");
	h->file.Size = (int64_t)len + 1;
	return NULL;
}

const char *PluginShutdown(void *p) { (void)p; return NULL; }

FileInfoC *FSStat(void *p, const char *path) {
	Hello *h = p;
	if (!strcmp(path, "/")) return &h->root;
	if (!strcmp(path, "/hello")) return &h->file;
	return NULL;
}

FileInfoArray *FSReadDir(void *p, const char *path, int *count) {
	Hello *h = p;
	if (strcmp(path, "/")) {
		*count = -1;
		return NULL;
	}
	*count = h->list.Count;
	return &h->list;
}

const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len) {
	Hello *h = p;
	if (strcmp(path, "/hello")) {
		*len = -1;
		return "file not found";
	}
	if (off < 0) off = 0;
	if (off > h->file.Size) off = h->file.Size;
	if (size < 0 || size > h->file.Size - off) size = h->file.Size - off;
	*len = (int)size;
	return h->text + off;
}
