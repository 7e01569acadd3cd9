/* The C ABI of native plugins. Only PluginNew is required; a function that is not
 * there is one that the plugin cannot do. docs/plugins/external.md has the rules.
 *
 * Texts that come in are UTF-8, end with a zero, are never NULL, and are gone when
 * the function returns. Paths are absolute and clean: "/", "/dir/file". Texts that
 * go out must stay until the next call in this instance, or for ever; with PFSFree
 * they are the host's to give back.
 *
 * A function that returns a const char * returns NULL for success, and the text of
 * an error otherwise: "not found" becomes 404, "already exists" 409, "permission
 * denied" 403, "not supported" 501, and so on. */
#ifndef PFS_PLUGIN_H
#define PFS_PLUGIN_H

#include <stdint.h>

typedef struct {
	char *Name;
	int64_t Size;
	uint32_t Mode;    /* permission bits */
	int64_t ModTime;  /* seconds since 1970; 0: unknown */
	int32_t IsDir;
	char *MetaName;   /* the plugin's type; may be NULL, as the others */
	char *MetaType;   /* the role of the file */
	char *MetaContent; /* a JSON object of texts */
} FileInfoC;

typedef struct {
	FileInfoC *Items;
	int Count;
} FileInfoArray;

/* Flags of FSWrite. An offset of -1 with create and truncate replaces the file. */
enum { FLAG_APPEND = 1, FLAG_CREATE = 2, FLAG_EXCLUSIVE = 4, FLAG_TRUNCATE = 8 };

void *PluginNew(void);
void PluginFree(void *p);
const char *PluginName(void *p);
const char *PluginGetReadme(void *p);
/* config is a JSON object: the settings of the mount, and mount_path. */
const char *PluginValidate(void *p, const char *config);
const char *PluginInitialize(void *p, const char *config);
const char *PluginShutdown(void *p);

/* FSStat returns NULL where there is no file. */
FileInfoC *FSStat(void *p, const char *path);
/* FSReadDir sets *count to the number of entries, or to -1. */
FileInfoArray *FSReadDir(void *p, const char *path, int *count);
/* FSRead returns *len bytes from off, at most size (-1: all). With *len = -1 it
 * returns the text of an error. */
const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len);

#if PFS_ABI == 1
/* FSWrite of the first generation replaces the file. */
const char *FSWrite(void *p, const char *path, const char *data, int len);
#else
/* FSWrite returns how many bytes it has written, or a negative number. */
int64_t FSWrite(void *p, const char *path, const char *data, int len, int64_t off, uint32_t flags);
#endif

const char *FSCreate(void *p, const char *path);
const char *FSMkdir(void *p, const char *path, uint32_t mode);
const char *FSRemove(void *p, const char *path);
const char *FSRemoveAll(void *p, const char *path);
const char *FSRename(void *p, const char *from, const char *to);
const char *FSChmod(void *p, const char *path, uint32_t mode);

/* PFSFree is called once with whatever a function FS* has returned, unless that
 * was NULL, when the host has copied it. It must free what belongs to it, too: the
 * texts of a FileInfoC, the items of a FileInfoArray. Without it nothing is ever
 * freed, and the process ends when its memory is used up. */
void PFSFree(void *p, void *result);

#endif
