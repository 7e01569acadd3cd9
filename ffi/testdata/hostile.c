/* A plugin that does what plugins must not: which, the path says, or a macro for
 * what it does before it is called. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void construct(void) { CONSTRUCTOR; }
#endif
#ifdef MISSING
void not_there(void);
void *use_it = not_there;
#endif
#ifndef NEW
#define NEW return malloc(1)
#endif
#ifndef NAME
#define NAME "hostile"
#endif
#ifndef INITIALIZE
#define INITIALIZE return NULL
#endif

#ifndef NO_NEW
void *PluginNew(void) { NEW; }
#endif
const char *PluginName(void *p) { return NAME; }
const char *PluginInitialize(void *p, const char *config) { INITIALIZE; }

#ifdef ENDS
const char *PluginShutdown(void *p) { puts("it shuts down"), fflush(stdout); return ENDS; }
#endif
void PluginFree(void *p) { puts("it is freed"), fflush(stdout), free(p); }

#define IS(s) (!strcmp(path, s))
#define BELOW(s) (!strncmp(path, s, strlen(s)))

static int recurse(volatile int *n) {
	volatile int here[1024];
	here[0] = *n + 1;
	return recurse(here) + here[0];
}

static void *rest(void *p) { for (;;) pause(); }

/* bell says on every lane that an answer is there. */
static void bell(int times) {
	for (int fd = 6; fd < 200; fd += 2)
		if (write(fd, "12345", times) < 0) break;
}

/* scribble writes over what the node and its process have in common, for ever. */
static void *scribble(void *unused) {
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
	if (at == MAP_FAILED) _exit(9);
	for (unsigned n = 1;; n = n * 1103515245 + 12345) at[n >> 8 & (n & 64 ? 127 : (1 << 20) - 1)] = n >> 3;
}

static char *filled(size_t n) { return memset(malloc(n), 'x', n); }

static volatile int inside, most;

const char *FSRead(void *p, const char *path, int64_t off, int64_t size, int *len) {
	*len = 5;
	if (IS("/segv")) *(volatile int *)8 = 1;
	if (IS("/abort")) abort();
	if (IS("/exit")) exit(3);
	if (IS("/_exit")) _exit(0);
	if (IS("/stack")) return recurse((volatile int[]){0}) ? "never" : "here.";
	if (IS("/loop")) for (volatile int n = 0;; n++);
	if (IS("/twice")) {
		char *b = malloc(100);
		free(b);
		free(b);
	}
	if (IS("/huge"))
		for (int n = 0; n < 100; n++) memset(malloc(100 << 20), 1, 100 << 20);
	if (IS("/fork")) { /* what is left behind holds the connection */
		if (!fork()) {
			setsid();
			for (;;) sleep(1);
		}
		_exit(4);
	}
	if (IS("/bomb"))
		for (;;) fork();
	if (IS("/threads"))
		for (pthread_t t;;) pthread_create(&t, NULL, rest, NULL);
	if (IS("/trickle")) { /* a frame of which a byte comes every second */
		char b[] = {0, 0, 0, 50};
		for (int n = 0;; n++, sleep(1))
			if (write(3, &b[n % 4], 1) < 0) abort();
	}
	if (IS("/hangup")) for (int fd = 3; fd < 200; fd++) close(fd);
	if (IS("/bell")) bell(1), sleep(60); /* there is no answer yet */
	if (IS("/bells")) bell(5), sleep(60);
	if (IS("/later")) bell(1); /* what the next call hears */
	if (IS("/shrink") && !ftruncate(4, 0)) _exit(9);
	if (IS("/punch") && fallocate(4, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 30)) _exit(9);
	if (IS("/scribble")) {
		pthread_t t;
		pthread_create(&t, NULL, scribble, NULL);
	}
	if (IS("/forge")) {
		char b[100];
		memset(b, 0xff, sizeof b);
		if (write(3, b, sizeof b) < 0) abort();
		sleep(60);
	}
	if (IS("/forge2")) { /* an answer that nobody has asked for */
		char b[14] = {0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0};
		if (write(3, b, sizeof b) < 0) abort();
		sleep(60);
	}
	if (IS("/wild")) return (char *)0x123456789abc;
	if (IS("/low")) return (char *)5;
	if (IS("/null")) return NULL;
	if (IS("/long")) {
		*len = 0x7fffffff;
		return "short";
	}
	if (IS("/wide")) *(int64_t *)len = 5; /* some take it for a long */
	if (IS("/minus")) {
		*len = -1;
		return "there is no such file";
	}
	if (IS("/minus2")) {
		*len = -2;
		return NULL;
	}
	if (IS("/endless")) {
		*len = -1;
		return filled(1 << 20);
	}
	if (IS("/print"))
		for (int n = 0; n < 20000; n++) printf("%064d\n", n), fprintf(stderr, "%064d\n", n), fflush(stdout);
	if (IS("/whole") || BELOW("/echo")) { /* whatever it is asked for, it answers all */
		if (BELOW("/echo")) {
			int now = __sync_add_and_fetch(&inside, 1);
			if (now > most) most = now;
			usleep(1000);
			__sync_sub_and_fetch(&inside, 1);
		}
		*len = (int)strlen(path);
		return strdup(path);
	}
	if (IS("/most")) {
		char *b = malloc(8);
		snprintf(b, 8, "%05d", most);
		return b;
	}
	return "fine.";
}

FileInfoC *FSStat(void *p, const char *path) {
	FileInfoC *f = calloc(1, sizeof *f);
	*f = (FileInfoC){.Name = "f", .Size = 5, .Mode = 0100644};
	if (IS("/") || BELOW("/list")) f->IsDir = -1;
	if (IS("/whole") || BELOW("/echo")) f->Size = (int64_t)strlen(path);
	if (IS("/none")) return NULL;
	if (IS("/stat/wild")) return (FileInfoC *)0x123456789abc;
	if (IS("/stat/size")) f->Size = -1;
	if (IS("/stat/name")) f->Name = (char *)1;
	if (IS("/stat/meta")) f->MetaName = "n", f->MetaType = "t", f->MetaContent = "{\"a\":\"b\",\"c\":1,\"consume\":\"true\"}";
	if (IS("/stat/broken")) f->MetaContent = "{\"a\":";
	if (IS("/stat/text")) f->MetaContent = filled(1 << 20);
	if (IS("/stat/time")) f->ModTime = -1LL << 62;
	return f;
}

FileInfoArray *FSReadDir(void *p, const char *path, int *count) {
	FileInfoArray *a = calloc(1, sizeof *a);
	a->Items = calloc(3, sizeof *a->Items);
	a->Items[0].Name = "a";
	a->Items[1].Name = "b";
	a->Items[2].Name = "c";
	a->Count = *count = 3;
	*(int *)((char *)&a->Count + 4) = 0x5a5a5a5a; /* nobody says what is there */
	if (IS("/list/long")) {
		a->Items = calloc(20000, sizeof *a->Items);
		for (int n = 0; n < 20000; n++) {
			a->Items[n].Name = malloc(200);
			snprintf(a->Items[n].Name, 200, "%0150d", n);
		}
		return *count = 20000, a;
	}
	if (IS("/list/minus")) return *count = -1, NULL;
	if (IS("/list/minus2")) return *count = -1, a;
	if (IS("/list/null")) return NULL;
	if (IS("/list/items")) a->Items = NULL;
	if (IS("/list/wild")) a->Items = (FileInfoC *)0x123456789abc;
	if (IS("/list/many")) *count = 0x7fffffff;
	if (IS("/list/more")) *count = 100000; /* than there are */
	if (IS("/list/name")) a->Items[1].Name = NULL;
	if (IS("/list/slash")) a->Items[1].Name = "a/b";
	if (IS("/list/dots")) a->Items[1].Name = "..";
	if (IS("/list/bytes")) a->Items[1].Name = "\xff";
	if (IS("/list/twice")) a->Items[1].Name = "a";
	if (IS("/list/size")) a->Items[1].Size = 1LL << 60;
	if (IS("/list/empty")) return *count = 0, NULL;
	return a;
}

int64_t FSWrite(void *p, const char *path, const char *data, int len, int64_t off, uint32_t flags) {
	if (!data || !path) abort();
	if (IS("/minus")) return -1;
	if (IS("/short")) return len - 1;
	if (IS("/more")) return len + 1;
	if (IS("/text")) return (int64_t)strdup("it is read-only");
	if (IS("/wild")) return 0x123456789abc;
	if (IS("/nothing")) return 0;
	return len;
}
