/* The smallest plugin: one file that can be read, with one setting. */
#include "pfs_plugin.h"

static const char *text = "Hello from C WASM plugin!\n";

const char *plugin_name(void) { return "hellofs-c-wasm"; }
const char *plugin_get_readme(void) { return "# hellofs-c-wasm\n\nOne file, /hello. The setting greeting is what it says.\n"; }

const char *plugin_get_config_params(void) {
	return "[{\"name\":\"greeting\",\"type\":\"string\",\"required\":false,"
	       "\"default\":\"Hello from C WASM plugin!\",\"description\":\"what /hello says\"}]";
}

const char *plugin_validate(const char *config) {
	char *greeting = pfs_setting(config, "greeting");
	int fits = !greeting || strlen(greeting) <= 200;
	free(greeting);
	return fits ? NULL : "invalid greeting: at most 200 bytes";
}

const char *plugin_initialize(const char *config) {
	char *greeting = pfs_setting(config, "greeting");
	if (!greeting) return NULL;
	size_t n = strlen(greeting);
	char *line = realloc(greeting, n + 2);
	if (!line) return "out of memory";
	memcpy(line + n, "\n", 2);
	text = line;
	return NULL;
}

static pfs_info file(void) { return (pfs_info){.name = "hello", .size = (int64_t)strlen(text), .mode = 0444}; }

pfs_answer fs_stat(const char *path) {
	pfs_info i = file();
	if (!strcmp(path, "/")) i = (pfs_info){.name = "/", .mode = 0555, .dir = 1};
	else if (strcmp(path, "/hello")) return pfs_failed("file not found");
	return pfs_described(&i);
}

pfs_answer fs_readdir(const char *path) {
	if (strcmp(path, "/")) return pfs_failed("not a directory");
	pfs_text list = {0};
	pfs_info i = file();
	pfs_entry(&list, &i);
	return pfs_listed(&list);
}

pfs_answer fs_read(const char *path, int64_t off, int64_t size) {
	if (strcmp(path, "/hello")) return PFS_NOTHING;
	return pfs_bytes(text, (int64_t)strlen(text), off, size);
}
