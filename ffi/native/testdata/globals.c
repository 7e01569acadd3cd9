/* A plugin that keeps its settings and a count of its instances in globals, and a
 * number for each instance. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

static char settings[4096];
static int made, freed, inside, most;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *PluginNew(void) {
	made++;
	return calloc(1, 64);
}
void PluginFree(void *p) {
	memset(p, 0xff, 64); /* whoever still uses it sees that */
	freed++;
	free(p);
}
const char *PluginName(void *p) { return "globals"; }
const char *PluginShutdown(void *p) { return inside ? "a call is under way" : NULL; }
const char *PluginInitialize(void *p, const char *config) {
	if (strstr(config, "refuse")) return "it is refused";
	snprintf(settings, sizeof settings, "%s", config);
	snprintf(p, 64, "%s", strstr(config, "one") ? "one" : "other");
	return NULL;
}

static void enter(void) {
	pthread_mutex_lock(&lock);
	if (++inside > most) most = inside;
	pthread_mutex_unlock(&lock);
}
static void leave(void) {
	pthread_mutex_lock(&lock);
	inside--;
	pthread_mutex_unlock(&lock);
}

const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len) {
	char b[8192];
	enter();
	if (!strcmp(path, "/slow")) usleep(200000);
	if (!strcmp(path, "/settings")) snprintf(b, sizeof b, "%s", settings);
	else if (!strcmp(path, "/counts")) snprintf(b, sizeof b, "made %d freed %d", made, freed);
	else if (!strcmp(path, "/most")) snprintf(b, sizeof b, "%d", most);
	else snprintf(b, sizeof b, "%s", (char *)p);
	leave();
	*len = (int)strlen(b);
	return strdup(b);
}
FileInfoC *FSStat(void *p, const char *path) {
	FileInfoC *f = calloc(1, sizeof *f);
	*f = (FileInfoC){.Name = "f", .Mode = 0444, .IsDir = !strcmp(path, "/")};
	return f;
}
void PFSFree(void *p, void *result) { free(result); }
