/* What makes a C program a WASM plugin. Include it, define the functions fs_... that
 * the plugin can do, and compile it together with pfs_plugin.c:
 *
 *	clang --target=wasm32 -mbulk-memory -ffreestanding -nostdlib -Wl,--no-entry -o p.wasm p.c pfs_plugin.c
 *
 * A function that is defined is exported, and says what a mount takes: one that is
 * not there is one that the plugin cannot do. plugin_name, fs_stat, fs_readdir and
 * fs_read are needed. docs/plugins/external.md has the rules.
 *
 * Texts that come in are UTF-8, end with a zero, are never NULL, and are gone when
 * the function returns. Paths are absolute and clean: "/", "/dir/file". Texts that go
 * out are the host's, which gives them back with free: return a constant, or memory of
 * malloc that is not used any more.
 *
 * A function that returns a const char * returns NULL for success, and the text of an
 * error otherwise: "not found" becomes 404, "already exists" 409, "permission denied"
 * 403, "not supported" 501, and so on.
 *
 * One call at a time is in an instance; each instance has a memory of its own. */
#ifndef PFS_PLUGIN_H
#define PFS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define PFS_EXPORT(name) __attribute__((export_name(#name)))
#define PFS_IMPORT(from, name) __attribute__((import_module(from), import_name(#name)))

/* Two 32-bit halves: what most functions answer. */
typedef uint64_t pfs_answer;

/* --- What a plugin defines --- */

/* plugin_new is called first, in every instance; its result does not matter. */
PFS_EXPORT(plugin_new) int plugin_new(void);
PFS_EXPORT(plugin_name) const char *plugin_name(void);
PFS_EXPORT(plugin_get_readme) const char *plugin_get_readme(void);
/* A JSON array of {"name", "type", "required", "default", "description"}. */
PFS_EXPORT(plugin_get_config_params) const char *plugin_get_config_params(void);
/* config is a JSON object: the settings of the mount, and mount_path. */
PFS_EXPORT(plugin_validate) const char *plugin_validate(const char *config);
PFS_EXPORT(plugin_initialize) const char *plugin_initialize(const char *config);
PFS_EXPORT(plugin_shutdown) const char *plugin_shutdown(void);

/* fs_stat answers pfs_described or pfs_failed; fs_readdir pfs_listed or pfs_failed. */
PFS_EXPORT(fs_stat) pfs_answer fs_stat(const char *path);
PFS_EXPORT(fs_readdir) pfs_answer fs_readdir(const char *path);
/* fs_read answers pfs_bytes or PFS_NOTHING; it has no words for an error. */
PFS_EXPORT(fs_read) pfs_answer fs_read(const char *path, int64_t off, int64_t size);

/* Flags of fs_write. An offset of -1 with create and truncate replaces the file, with
 * append it is the end. */
enum { FLAG_APPEND = 1, FLAG_CREATE = 2, FLAG_EXCLUSIVE = 4, FLAG_TRUNCATE = 8 };

/* fs_write answers pfs_wrote or pfs_failed. */
#if PFS_ABI == 1
/* The first generation replaces the file; an error has no words. */
PFS_EXPORT(fs_write) pfs_answer fs_write(const char *path, const char *data, uint32_t len);
#else
PFS_EXPORT(fs_write) pfs_answer fs_write(const char *path, const char *data, uint32_t len, int64_t off, uint32_t flags);
#endif

PFS_EXPORT(fs_create) const char *fs_create(const char *path);
PFS_EXPORT(fs_mkdir) const char *fs_mkdir(const char *path, uint32_t mode);
PFS_EXPORT(fs_remove) const char *fs_remove(const char *path);
PFS_EXPORT(fs_remove_all) const char *fs_remove_all(const char *path);
PFS_EXPORT(fs_rename) const char *fs_rename(const char *from, const char *to);
PFS_EXPORT(fs_chmod) const char *fs_chmod(const char *path, uint32_t mode);

/* --- What it answers --- */

typedef struct {
	const char *name; /* the last element of its path, "/" for the root */
	int64_t size;
	uint32_t mode; /* permission bits */
	int64_t time;  /* seconds since 1970; 0: unknown */
	int dir;
} pfs_info;

/* pfs_text grows as it is written to. */
typedef struct {
	char *at; /* NULL: nothing yet, or no memory */
	size_t len, room;
	int full; /* there was no memory */
} pfs_text;

#define PFS_NOTHING ((pfs_answer)0)

pfs_answer pfs_described(const pfs_info *i);
/* pfs_entry adds a file to a listing, which pfs_listed answers. */
void pfs_entry(pfs_text *list, const pfs_info *i);
pfs_answer pfs_listed(pfs_text *list);
/* pfs_bytes answers that part of data which fs_read was asked for. */
pfs_answer pfs_bytes(const char *data, int64_t len, int64_t off, int64_t size);
pfs_answer pfs_wrote(uint32_t n);
/* pfs_failed answers an error: a constant, or memory of malloc. */
pfs_answer pfs_failed(const char *error);

/* pfs_setting finds a text among the settings and returns it in memory of malloc; NULL
 * if it is not there, is no text, or there is no memory. */
char *pfs_setting(const char *config, const char *name);
/* pfs_now returns the seconds since 1970. */
int64_t pfs_now(void);

/* --- What it may ask the host for ---
 * As far as the plugin was granted it when it was loaded. What the host answers, a text
 * or bytes, is memory that the host gives back when the call ends. */

PFS_IMPORT("env", host_fs_read) pfs_answer host_fs_read(const char *path, int64_t off, int64_t size);
PFS_IMPORT("env", host_fs_write) pfs_answer host_fs_write(const char *path, const char *data, uint32_t len);
PFS_IMPORT("env", host_fs_stat) pfs_answer host_fs_stat(const char *path);
PFS_IMPORT("env", host_fs_readdir) pfs_answer host_fs_readdir(const char *path);
PFS_IMPORT("env", host_fs_create) const char *host_fs_create(const char *path);
PFS_IMPORT("env", host_fs_mkdir) const char *host_fs_mkdir(const char *path, uint32_t mode);
PFS_IMPORT("env", host_fs_remove) const char *host_fs_remove(const char *path);
PFS_IMPORT("env", host_fs_remove_all) const char *host_fs_remove_all(const char *path);
PFS_IMPORT("env", host_fs_rename) const char *host_fs_rename(const char *from, const char *to);
PFS_IMPORT("env", host_fs_chmod) const char *host_fs_chmod(const char *path, uint32_t mode);
PFS_IMPORT("env", host_http_request) pfs_answer host_http_request(const char *request);

/* The halves of an answer. */
static inline uint32_t pfs_low(pfs_answer a) { return (uint32_t)a; }
static inline uint32_t pfs_high(pfs_answer a) { return (uint32_t)(a >> 32); }

/* --- The part of the C library that there is --- */

PFS_EXPORT(get_input_buffer_ptr) char *get_input_buffer_ptr(void);
PFS_EXPORT(get_output_buffer_ptr) char *get_output_buffer_ptr(void);
PFS_EXPORT(get_shared_buffer_size) uint32_t get_shared_buffer_size(void);
PFS_EXPORT(malloc) void *malloc(size_t n);
PFS_EXPORT(free) void free(void *p); /* of what malloc did not give: nothing happens */
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *at, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strdup(const char *s);

#endif
