/* What every plugin in C needs and WASM does not have: memory, texts, and the JSON of
 * the ABI. */
#include "pfs_plugin.h"

/* --- Memory: a list of free blocks in order of their addresses --- */

typedef struct block {
	size_t size; /* with this header */
	struct block *next;
} block;

/* A block that is taken keeps its size in front of what the caller has. */
enum { HEADER = 16, PAGE = 65536 };

extern char __heap_base; /* where the linker ends */

static block *first;
static size_t heap_end;

static void give_back(block *b) {
	block *before = NULL, *after = first;
	while (after && after < b) before = after, after = after->next;
	b->next = after;
	if (before) before->next = b;
	else first = b;
	if (after && (char *)b + b->size == (char *)after) {
		b->size += after->size;
		b->next = after->next;
	}
	if (before && (char *)before + before->size == (char *)b) {
		before->size += b->size;
		before->next = b->next;
	}
}

/* grow asks for pages that hold n bytes at least. */
static int grow(size_t n) {
	if (!heap_end) {
		size_t start = ((size_t)&__heap_base + HEADER - 1) & ~(size_t)(HEADER - 1);
		heap_end = __builtin_wasm_memory_size(0) * PAGE;
		if (heap_end >= start + HEADER) {
			block *rest = (block *)start;
			rest->size = heap_end - start;
			give_back(rest);
			if (rest->size >= n) return 1;
		}
	}
	size_t pages = (n + PAGE - 1) / PAGE, was = __builtin_wasm_memory_grow(0, pages);
	if (was == (size_t)-1) return 0;
	block *b = (block *)(was * PAGE);
	b->size = pages * PAGE;
	heap_end = (was + pages) * PAGE;
	give_back(b);
	return 1;
}

void *malloc(size_t n) {
	if (n > SIZE_MAX / 2) return NULL;
	n = (n + HEADER + HEADER - 1) & ~(size_t)(HEADER - 1);
	if (n < 2 * HEADER) n = 2 * HEADER;
	for (;;) {
		for (block **at = &first; *at; at = &(*at)->next) {
			block *b = *at;
			if (b->size < n) continue;
			if (b->size - n >= 2 * HEADER) { /* its end stays free */
				block *rest = (block *)((char *)b + n);
				rest->size = b->size - n;
				rest->next = b->next;
				*at = rest;
				b->size = n;
			} else {
				*at = b->next;
			}
			return (char *)b + HEADER;
		}
		if (!grow(n)) return NULL;
	}
}

void free(void *p) {
	if ((char *)p >= &__heap_base) give_back((block *)((char *)p - HEADER));
}

void *calloc(size_t n, size_t size) {
	if (size && n > SIZE_MAX / size) return NULL;
	void *p = malloc(n * size);
	return p ? memset(p, 0, n * size) : NULL;
}

void *realloc(void *p, size_t n) {
	size_t room = p ? ((block *)((char *)p - HEADER))->size - HEADER : 0;
	if (p && n <= room && n >= room / 4) return p;
	void *q = malloc(n);
	if (!q || !p) return q;
	memcpy(q, p, n < room ? n : room);
	free(p);
	return q;
}

/* --- The C library --- */

/* Each is one instruction, which the host does as its own copy. Without that option the
 * compiler would make each a call of itself. */
#ifndef __wasm_bulk_memory__
#error "pfs_plugin.c is built with -mbulk-memory: see pfs_plugin.h"
#endif
void *memmove(void *to, const void *from, size_t n) { return __builtin_memmove(to, from, n); }
void *memcpy(void *to, const void *from, size_t n) { return __builtin_memcpy(to, from, n); }
void *memset(void *at, int c, size_t n) { return __builtin_memset(at, c, n); }

int memcmp(const void *a, const void *b, size_t n) {
	const unsigned char *x = a, *y = b;
	for (; n--; x++, y++)
		if (*x != *y) return *x - *y;
	return 0;
}

size_t strlen(const char *s) {
	const char *p = s;
	while (*p) p++;
	return (size_t)(p - s);
}

int strcmp(const char *a, const char *b) {
	while (*a && *a == *b) a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n) {
	while (n && *a && *a == *b) a++, b++, n--;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strchr(const char *s, int c) {
	while (*s && *s != (char)c) s++;
	return *s == (char)c ? (char *)s : NULL;
}

char *strrchr(const char *s, int c) {
	const char *last = NULL;
	do
		if (*s == (char)c) last = s;
	while (*s++);
	return (char *)last;
}

char *strdup(const char *s) {
	size_t n = strlen(s) + 1;
	char *copy = malloc(n);
	return copy ? memcpy(copy, s, n) : NULL;
}

/* --- Answers --- */

/* The buffers that are shared with the host: it writes arguments into the first, and
 * reads answers in the second before the next call. What is longer is allocated. */
static char input[1 << 16], output[1 << 16];

char *get_input_buffer_ptr(void) { return input; }
char *get_output_buffer_ptr(void) { return output; }
uint32_t get_shared_buffer_size(void) { return sizeof output; }

static pfs_answer pair(size_t low, size_t high) { return (pfs_answer)high << 32 | (uint32_t)low; }

static void add(pfs_text *t, const char *s, size_t n) {
	if (t->full) return;
	if (t->len + n + 1 > t->room) {
		size_t room = 2 * (t->len + n + 64);
		char *more = realloc(t->at == output ? NULL : t->at, room);
		if (!more) {
			t->full = 1;
			return;
		}
		if (t->at == output) memcpy(more, output, t->len);
		t->at = more;
		t->room = room;
	}
	memcpy(t->at + t->len, s, n);
	t->at[t->len += n] = 0;
}

static void put(pfs_text *t, const char *s) { add(t, s, strlen(s)); }

static void number(pfs_text *t, int64_t n, int width) {
	char b[24];
	int at = sizeof b;
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
	for (; u || width > 0 || at == sizeof b; u /= 10, width--) b[--at] = (char)('0' + u % 10);
	if (n < 0) b[--at] = '-';
	add(t, b + at, sizeof b - (size_t)at);
}

static void quoted(pfs_text *t, const char *s) {
	add(t, "\"", 1);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char u[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
		if (c < ' ') add(t, u, 6);
		else if (c == '"' || c == '\\') add(t, (char[]){'\\', (char)c}, 2);
		else add(t, s, 1);
	}
	add(t, "\"", 1);
}

/* date writes a time as RFC 3339 has it. */
static void date(pfs_text *t, int64_t time) {
	int64_t days = time / 86400, rest = time % 86400;
	if (rest < 0) rest += 86400, days--;
	/* The 400 years from a 1 March on are 146097 days. */
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097, day = days - era * 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	int64_t month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	month += month < 10 ? 3 : -9;
	number(t, year + era * 400 + (month <= 2), 4);
	put(t, "-"), number(t, month, 2), put(t, "-"), number(t, day + 1, 2);
	put(t, "T"), number(t, rest / 3600, 2), put(t, ":"), number(t, rest / 60 % 60, 2);
	put(t, ":"), number(t, rest % 60, 2), put(t, "Z");
}

static void describe(pfs_text *t, const pfs_info *i) {
	put(t, "{\"Name\":"), quoted(t, i->name);
	put(t, ",\"Size\":"), number(t, i->size, 0);
	put(t, ",\"Mode\":"), number(t, i->mode, 0);
	put(t, ",\"ModTime\":\""), date(t, i->time ? i->time : -62135596800); /* the year 1: unknown */
	put(t, i->dir ? "\",\"IsDir\":true}" : "\",\"IsDir\":false}");
}

static pfs_answer told(pfs_text *t) {
	if (!t->full) return pair((size_t)t->at, 0);
	free(t->at);
	return pfs_failed("out of memory");
}

pfs_answer pfs_described(const pfs_info *i) {
	pfs_text t = {.at = output, .room = sizeof output};
	describe(&t, i);
	return told(&t);
}

void pfs_entry(pfs_text *list, const pfs_info *i) {
	put(list, list->len ? "," : "[");
	describe(list, i);
}

pfs_answer pfs_listed(pfs_text *list) {
	put(list, list->len ? "]" : "[]");
	return told(list);
}

pfs_answer pfs_bytes(const char *data, int64_t len, int64_t off, int64_t size) {
	if (off < 0) off = 0;
	if (off > len) off = len;
	if (size < 0 || size > len - off) size = len - off;
	char *copy = (size_t)size <= sizeof output ? output : malloc((size_t)size); /* NULL is an error, also of no bytes */
	if (!copy) return PFS_NOTHING;
	if (size) memcpy(copy, data + off, (size_t)size);
	return pair((size_t)copy, (size_t)size);
}

pfs_answer pfs_wrote(uint32_t n) {
#if PFS_ABI == 1
	(void)n;
	return pair((size_t)"ok", 2); /* what it has to say; 0 is an error */
#else
	return pair(n, 0);
#endif
}

pfs_answer pfs_failed(const char *error) {
	return pair(0, (size_t)error);
}

/* --- Settings --- */

static const char *space(const char *s) {
	while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r') s++;
	return s;
}

static int hex(const char *s, uint32_t *out) {
	*out = 0;
	for (int n = 0; n < 4; n++) {
		int c = s[n], d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (d < 0) return 0;
		*out = *out << 4 | (uint32_t)d;
	}
	return 1;
}

static void rune(pfs_text *t, uint32_t r) {
	char b[4];
	if (r < 0x80) add(t, (char[]){(char)r}, 1);
	else if (r < 0x800) b[0] = (char)(0xc0 | r >> 6), b[1] = (char)(0x80 | (r & 63)), add(t, b, 2);
	else if (r < 0x10000) b[0] = (char)(0xe0 | r >> 12), b[1] = (char)(0x80 | (r >> 6 & 63)), b[2] = (char)(0x80 | (r & 63)), add(t, b, 3);
	else b[0] = (char)(0xf0 | r >> 18), b[1] = (char)(0x80 | (r >> 12 & 63)), b[2] = (char)(0x80 | (r >> 6 & 63)), b[3] = (char)(0x80 | (r & 63)), add(t, b, 4);
}

/* unquote reads a text of JSON and returns what is behind it; NULL if it is none. */
static const char *unquote(const char *s, pfs_text *out) {
	if (*s++ != '"') return NULL;
	for (add(out, "", 0); *s != '"'; s++) {
		if (!*s) return NULL;
		if (*s != '\\') {
			add(out, s, 1);
			continue;
		}
		static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
		const char *letter = strchr(letters, *++s);
		uint32_t r, low;
		if (*s == 'u') {
			if (!hex(s + 1, &r)) return NULL;
			s += 4;
			if (r >= 0xd800 && r < 0xdc00 && s[1] == '\\' && s[2] == 'u' && hex(s + 3, &low) && low >= 0xdc00 && low < 0xe000) {
				r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
				s += 6;
			}
			rune(out, r);
		} else if (*s && letter) {
			add(out, meant + (letter - letters), 1);
		} else {
			return NULL;
		}
	}
	return s + 1;
}

/* skip returns what is behind a value. */
static const char *skip(const char *s) {
	int depth = 0;
	do {
		s = space(s);
		if (*s == '"') {
			pfs_text ignored = {0};
			s = unquote(s, &ignored);
			free(ignored.at);
			if (!s) return NULL;
		} else if (*s == '{' || *s == '[') {
			depth++, s++;
		} else if (*s == '}' || *s == ']') {
			depth--, s++;
		} else if (depth && (*s == ',' || *s == ':')) {
			s++;
		} else {
			const char *start = s;
			while (*s && !strchr(" \t\r\n,:{}[]\"", *s)) s++;
			if (s == start) return NULL;
		}
	} while (depth > 0);
	return s;
}

char *pfs_setting(const char *config, const char *name) {
	const char *s = space(config);
	if (*s != '{') return NULL;
	do {
		pfs_text key = {0}, value = {0};
		s = unquote(space(s + 1), &key);
		int found = s && key.at && !strcmp(key.at, name);
		free(key.at);
		if (!s || *(s = space(s)) != ':') return NULL;
		s = space(s + 1);
		if (found) {
			if (unquote(s, &value) && !value.full) return value.at;
			free(value.at);
			return NULL;
		}
		s = skip(s);
		if (s) s = space(s);
	} while (s && *s == ',');
	return NULL;
}

PFS_IMPORT("wasi_snapshot_preview1", clock_time_get) int clock_time_get(int clock, int64_t precision, int64_t *ns);

int64_t pfs_now(void) {
	int64_t ns = 0;
	clock_time_get(0, 1, &ns);
	return ns / 1000000000;
}
