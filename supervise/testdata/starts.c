/* Starts a process in the way that its argument names, or a thread, and says how that
 * went. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *nothing(void *p) { return p; }

#if defined(__x86_64__)
static long by32(long number, long a) { /* as programs of 32 bits call the system */
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a), "c"(0L), "d"(0L), "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
	if (r < 0) errno = -r;
	return r < 0 ? -1 : r;
}
#endif

static long start(const char *how) {
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (!strcmp(how, "libc")) return fork();
	if (!strcmp(how, "vfork")) {
		pid_t pid = vfork();
		if (!pid) _exit(0); /* it may not return from here */
		return pid;
	}
	if (!strcmp(how, "clone")) return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!strcmp(how, "clone3")) return syscall(SYS_clone3, &args, sizeof args);
#if defined(__x86_64__)
	if (!strcmp(how, "fork")) return syscall(SYS_fork);
	if (!strcmp(how, "x32")) return syscall(SYS_fork | 1 << 30);
	if (!strcmp(how, "fork of 32 bits")) return by32(2, 0);
	if (!strcmp(how, "clone of 32 bits")) return by32(120, SIGCHLD);
#endif
	if (!strcmp(how, "thread")) {
		pthread_t t;
		if ((errno = pthread_create(&t, 0, nothing, 0))) return -1;
		pthread_join(t, 0);
		return 1;
	}
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv) {
	long pid = argc == 2 ? start(argv[1]) : -1;
	if (pid == 0) _exit(0);
	puts(pid < 0 ? strerror(errno) : "started");
	while (wait(0) > 0 || errno == EINTR) {
	}
	return 0;
}
