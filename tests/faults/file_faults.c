/* What does a program leave behind when one of its file operations fails, or is its last?

Preloaded, it names every operation below a folder that changes what is kept there (open for writing, write, fsync,
sync, rename, link, mkdir, unlink, rmdir, ftruncate, chmod), writes each to a list, and at the one asked for does half
of a write and kills the process, or returns an error.

    cc -shared -fPIC -O1 -o file_faults.so file_faults.c -ldl -lpthread
    LD_PRELOAD=file_faults.so FAULT_ROOT=/run FAULT_LIST=/tmp/list FAULT_AT="write log.jsonl 3" FAULT_ERRNO=28 program

An operation is named by what it is, its path below the folder and how often it has happened to that path, so that
threads that take turns differently still mean the same one. Of a path, the process's number is written PID, and what
a library draws at random N. The list has each with the inode and the length of the file that was open, before it.
Only the process that was armed is counted, not the children it forks; nor what calls the kernel without the C library,
as the Rust of safetensors does for one rename.

FAULT_ERRNO 0: killed. FAULT_STICKY: from then on everything that takes up space fails.
A process may be armed later: fault_arm(root, list, at, errno, sticky), before which nothing is counted. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LONGEST 1400
#define MOST 20000

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[LONGEST], at[LONGEST];
static char *seen[MOST];
static int times[MOST];
static int list = -1, error, sticky, failing;
static pid_t armed;

void fault_arm(const char *folder, const char *file, const char *where, int number, int keeps) {
  snprintf(root, sizeof root, "%s", folder);
  snprintf(at, sizeof at, "%s", where ? where : "");
  for (int i = 0; i < MOST && seen[i]; i++) free(seen[i]), seen[i] = NULL;
  list = file && *file ? syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
  error = number, sticky = keeps, failing = 0;
  armed = getpid();
}

__attribute__((constructor)) static void arm_by_environment(void) {
  const char *folder = getenv("FAULT_ROOT"), *number = getenv("FAULT_ERRNO");
  if (!folder || !*folder) return;
  fault_arm(folder, getenv("FAULT_LIST"), getenv("FAULT_AT"), number ? atoi(number) : 0, getenv("FAULT_STICKY") != NULL);
  unsetenv("FAULT_ROOT"); /* programs that this one starts are others */
}

/* The path below the folder, in names that are the same in every run; 0 where it lies elsewhere. */
static int plain(const char *path, char *out, size_t size) {
  size_t length = strlen(root);
  if (strncmp(path, root, length) || (path[length] && path[length] != '/')) return 0;
  path += length + (path[length] == '/');
  char pid[16];
  int digits = snprintf(pid, sizeof pid, "%d", (int)getpid());
  size_t n = 0;
  while (*path && n + 4 < size) {
    if (!strncmp(path, pid, digits) && !isdigit((unsigned char)path[digits]) && n && out[n - 1] == '.') {
      n += snprintf(out + n, size - n, "PID"), path += digits;
    } else if (!strncmp(path, ".tmp", 4) && strcspn(path, "/") == 10) { /* .tmpXXXXXX */
      n += snprintf(out + n, size - n, ".tmpN"), path += 10;
    } else if (isdigit((unsigned char)*path) && strspn(path, "0123456789") > 8) { /* seconds since 1970 */
      n += snprintf(out + n, size - n, "N"), path += strspn(path, "0123456789");
    } else {
      out[n++] = *path++;
    }
  }
  out[n] = 0;
  return 1;
}

static int count_of(const char *name) {
  for (int i = 0; i < MOST; i++) {
    if (!seen[i]) seen[i] = strdup(name), times[i] = 0;
    if (!strcmp(seen[i], name)) return ++times[i];
  }
  abort();
}

/* Which path is meant by a folder that is open and a name in it? */
static void absolute(int folder, const char *path, char *out, size_t size) {
  char place[64], base[LONGEST] = "";
  if (*path == '/') {
    snprintf(out, size, "%s", path);
    return;
  }
  if (folder == AT_FDCWD) {
    if (syscall(SYS_getcwd, base, sizeof base) < 0) base[0] = 0;
  } else {
    snprintf(place, sizeof place, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(place, base, sizeof base - 1);
    base[n > 0 ? n : 0] = 0;
  }
  if (*path) snprintf(out, size, "%s/%s", base, path);
  else snprintf(out, size, "%s", base);
}

enum { NO, HALF, FAIL };

/* Is this operation to fail? `grows`: it takes up space. */
static int hit(const char *what, int folder, const char *path, int grows) {
  if (!armed || armed != getpid() || !path) return NO;
  int before = errno, verdict = NO;
  char whole[LONGEST], name[LONGEST], line[2 * LONGEST];
  struct stat about = {0};
  absolute(folder, path, whole, sizeof whole);
  if (!plain(whole, name, sizeof name)) return errno = before, NO;
  if (!*path) fstat(folder, &about);
  pthread_mutex_lock(&turn);
  snprintf(line, sizeof line, "%s %s", what, name);
  int number = count_of(line), here;
  snprintf(line, sizeof line, "%s %s %d", what, name, number);
  here = *at && !strcmp(line, at);
  if (list >= 0) {
    int n = snprintf(line, sizeof line, "%s %s %d\t%lu\t%ld\t%s\n", what, name, number, (unsigned long)about.st_ino,
                     (long)about.st_size, here ? "here" : "");
    if (syscall(SYS_write, list, line, n) != n) abort();
  }
  if (here && sticky) failing = 1;
  if (here || (failing && grows)) verdict = error ? FAIL : HALF;
  pthread_mutex_unlock(&turn);
  errno = before;
  return verdict;
}

static long fail(void) {
  if (!error) kill(getpid(), SIGKILL), pause();
  errno = error;
  return -1;
}

static int hit_open(int fd, const char *what, int grows) {
  return fd > 2 ? hit(what, fd, "", grows) : NO;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))
#define OPEN(name)                                                                    \
  int name(const char *path, int flags, ...) {                                        \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    REAL(name);                                                                       \
    if (WRITES(flags) && hit("open", AT_FDCWD, path, 1)) return fail();         \
    return real(path, flags, mode);                                                   \
  }
#define OPENAT(name)                                                                  \
  int name(int folder, const char *path, int flags, ...) {                            \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    REAL(name);                                                                       \
    if (WRITES(flags) && hit("open", folder, path, 1)) return fail();           \
    return real(folder, path, flags, mode);                                           \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* Half is written before a kill, and before an error that is the disk's fullness. */
ssize_t write(int fd, const void *data, size_t n) {
  REAL(write);
  if (hit_open(fd, "write", 1)) {
    if (n > 1 && real(fd, data, n / 2) < 0) return -1;
    return fail();
  }
  return real(fd, data, n);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t place) {
  REAL(pwrite64);
  if (hit_open(fd, "write", 1)) {
    if (n > 1 && real(fd, data, n / 2, place) < 0) return -1;
    return fail();
  }
  return real(fd, data, n, place);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
  REAL(writev);
  return hit_open(fd, "write", 1) ? fail() : real(fd, parts, n);
}
ssize_t sendfile(int to, int from, off_t *place, size_t n) {
  static ssize_t (*real)(int, int, off_t *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "sendfile");
  return hit_open(to, "write", 1) ? fail() : real(to, from, place, n);
}
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags) {
  REAL(copy_file_range);
  return hit_open(to, "write", 1) ? fail() : real(from, a, to, b, n, flags);
}
int ftruncate(int fd, off_t n) { REAL(ftruncate); return hit_open(fd, "ftruncate", 1) ? fail() : real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); return hit_open(fd, "ftruncate", 1) ? fail() : real(fd, n); }
int truncate(const char *p, off_t n) { REAL(truncate); return hit("ftruncate", AT_FDCWD, p, 1) ? fail() : real(p, n); }
int fsync(int fd) { REAL(fsync); return hit_open(fd, "fsync", 0) ? fail() : real(fd); }
void sync(void) {
  static void (*real)(void);
  if (!real) real = dlsym(RTLD_NEXT, "sync");
  if (*root && hit("sync", AT_FDCWD, root, 0) == HALF) fail(); /* it has no way to tell of an error */
  real();
}
int syncfs(int fd) { REAL(syncfs); return *root && hit("sync", AT_FDCWD, root, 0) ? fail() : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return hit_open(fd, "fsync", 0) ? fail() : real(fd); }
int fchmod(int fd, mode_t m) { REAL(fchmod); return hit_open(fd, "chmod", 0) ? fail() : real(fd, m); }
int chmod(const char *p, mode_t m) { REAL(chmod); return hit("chmod", AT_FDCWD, p, 0) ? fail() : real(p, m); }
int rename(const char *a, const char *b) { REAL(rename); return hit("rename", AT_FDCWD, b, 0) ? fail() : real(a, b); }
int renameat(int x, const char *a, int y, const char *b) {
  REAL(renameat);
  return hit("rename", y, b, 0) ? fail() : real(x, a, y, b);
}
int renameat2(int x, const char *a, int y, const char *b, unsigned flags) {
  REAL(renameat2);
  return hit("rename", y, b, 0) ? fail() : real(x, a, y, b, flags);
}
int link(const char *a, const char *b) { REAL(link); return hit("link", AT_FDCWD, b, 1) ? fail() : real(a, b); }
int linkat(int x, const char *a, int y, const char *b, int f) {
  REAL(linkat);
  return hit("link", y, b, 1) ? fail() : real(x, a, y, b, f);
}
int symlink(const char *a, const char *b) { REAL(symlink); return hit("link", AT_FDCWD, b, 1) ? fail() : real(a, b); }
int mkdir(const char *p, mode_t m) { REAL(mkdir); return hit("mkdir", AT_FDCWD, p, 1) ? fail() : real(p, m); }
int mkdirat(int d, const char *p, mode_t m) { REAL(mkdirat); return hit("mkdir", d, p, 1) ? fail() : real(d, p, m); }
int unlink(const char *p) { REAL(unlink); return hit("unlink", AT_FDCWD, p, 0) ? fail() : real(p); }
int rmdir(const char *p) { REAL(rmdir); return hit("rmdir", AT_FDCWD, p, 0) ? fail() : real(p); }
int unlinkat(int d, const char *p, int f) {
  REAL(unlinkat);
  return hit(f & AT_REMOVEDIR ? "rmdir" : "unlink", d, p, 0) ? fail() : real(d, p, f);
}
