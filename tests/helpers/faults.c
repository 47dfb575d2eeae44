// Preloaded into a process: makes one of its operations on the files of a folder go wrong.
// tests/training/test_faults.py compiles it. Covered is what changes a disk: files opened for writing, writes,
// flushes, new names and removals, of Python and of C++ libraries, which both go through libc.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, FAIL, KILL, CUT };  // CUT: half of a write, then KILL

static char folder[PATH_MAX];
static int action, victim, count;
static char log_of_kinds[1 << 16];

// The operation `nth` in `where`, from 1, goes wrong in this way.
void faults_arm(const char *where, int nth, int how) {
  count = 0, victim = nth, action = how;
  memset(log_of_kinds, 0, sizeof log_of_kinds);
  strncpy(folder, where, sizeof folder - 1);
}

const char *faults_log(void) { return log_of_kinds; }  // the kinds of all operations, one letter each

static int within(const char *path) {
  return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int within_fd(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return within(path);
}

static int within_at(int directory, const char *path) {
  return path && path[0] == '/' ? within(path) : directory != AT_FDCWD && within_fd(directory);
}

// Returns whether this operation is the victim; it does not return if that is killed.
static int hit(char kind, int error) {
  int now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (now < (int)sizeof log_of_kinds) log_of_kinds[now - 1] = kind;
  if (now != victim || action == COUNT) return 0;
  if (action == KILL || (action == CUT && kind != 'w')) kill(getpid(), SIGKILL), pause();
  errno = error;
  return 1;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define WRITE(name, fd, length, half, ...)                        \
  REAL(name);                                                     \
  if ((length) && within_fd(fd) && hit('w', ENOSPC)) {            \
    if (action == CUT) { half; kill(getpid(), SIGKILL), pause(); } \
    return -1;                                                    \
  }                                                               \
  return real(__VA_ARGS__)

ssize_t write(int fd, const void *data, size_t size) {
  WRITE(write, fd, size, real(fd, data, size / 2), fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  WRITE(pwrite, fd, size, real(fd, data, size / 2, at), fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  WRITE(pwrite64, fd, size, real(fd, data, size / 2, at), fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
  WRITE(writev, fd, n, write(fd, parts[0].iov_base, parts[0].iov_len / 2), fd, parts, n);
}

#define FLUSH(name) \
  int name(int fd) { REAL(name); return within_fd(fd) && hit('f', EIO) ? -1 : real(fd); }
FLUSH(fsync)
FLUSH(fdatasync)

#define OPEN(name, signature, inside, ...)                                \
  int name signature {                                                    \
    REAL(name);                                                           \
    va_list rest;                                                         \
    va_start(rest, flags);                                                \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                         \
    if ((flags & O_ACCMODE) != O_RDONLY && (inside) && hit('o', EACCES)) return -1; \
    return real(__VA_ARGS__, flags, mode);                                \
  }
OPEN(open, (const char *path, int flags, ...), within(path), path)
OPEN(open64, (const char *path, int flags, ...), within(path), path)
OPEN(openat, (int d, const char *path, int flags, ...), within_at(d, path), d, path)
OPEN(openat64, (int d, const char *path, int flags, ...), within_at(d, path), d, path)

#define NAME(name, signature, kind, inside, ...) \
  int name signature { REAL(name); return (inside) && hit(kind, EIO) ? -1 : real(__VA_ARGS__); }
NAME(rename, (const char *a, const char *b), 'r', within(b), a, b)
NAME(renameat, (int d, const char *a, int e, const char *b), 'r', within_at(e, b), d, a, e, b)
NAME(renameat2, (int d, const char *a, int e, const char *b, unsigned flags), 'r',
     within_at(e, b), d, a, e, b, flags)
NAME(mkdir, (const char *path, mode_t mode), 'm', within(path), path, mode)
NAME(mkdirat, (int d, const char *path, mode_t mode), 'm', within_at(d, path), d, path, mode)
NAME(unlink, (const char *path), 'u', within(path), path)
NAME(unlinkat, (int d, const char *path, int flags), 'u', within_at(d, path), d, path, flags)
NAME(rmdir, (const char *path), 'u', within(path), path)
