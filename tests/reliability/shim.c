/* Makes one call of the C library fail: the n-th of a kind, or every one from the n-th on, on paths below a folder.

   Loaded before the C library (LD_PRELOAD), asleep until `fault_arm`. Nothing is faked but the failure: a call that is
   to fail is not made (close is made and then reports the error, as Linux does), a short write writes half. Memory:
   the n-th request of at least some bytes gets none. `shim.py` is its Python side. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, FSYNC, RENAME, MKDIR, CLOSE, REMOVE, TRUNCATE, FLOCK, KINDS };
enum { SHORT = -1 };

static char below[PATH_MAX];
static int mask, error_number, stays;
static long wanted, seen, fired, counts[KINDS];
static long memory_wanted, memory_seen, memory_fired;
static size_t memory_least;
static int memory_stays;

/* kinds: bit mask of the calls that count; number: from 1, 0 to only count; error: or SHORT. */
void fault_arm(const char *folder, int kinds, int error, long number, int for_good) {
    snprintf(below, sizeof below, "%s", folder);
    mask = kinds, error_number = error, wanted = number, stays = for_good, seen = fired = 0;
    memset(counts, 0, sizeof counts);
}

void fault_arm_memory(size_t least, long number, int for_good) {
    memory_seen = memory_fired = 0, memory_wanted = number, memory_stays = for_good;
    __atomic_store_n(&memory_least, least, __ATOMIC_SEQ_CST);
}

void fault_disarm(void) {
    below[0] = 0;
    memory_least = 0;
}

static void tell_where(int number) {
    void *frames[24];
    backtrace_symbols_fd(frames, backtrace(frames, 24), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* What dies says on standard error in which libraries it was: a line for each call, the innermost first. */
void fault_tell_deaths(void) {
    void *frames[1];
    backtrace(frames, 1); /* loads what it needs, while there is memory */
    const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t each = 0; each < sizeof deaths / sizeof *deaths; each++) signal(deaths[each], tell_where);
}

long fault_count(int kind) { return counts[kind]; }
long fault_fired(void) { return fired + memory_fired; }
long fault_memory_seen(void) { return memory_seen; }

static int inside(const char *path) {
    size_t length = strlen(below);
    return length && strncmp(path, below, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int inside_at(int folder, const char *path) {
    char whole[2 * PATH_MAX];
    if (!below[0] || !path) return 0;
    if (path[0] == '/') return inside(path);
    ssize_t length;
    if (folder == AT_FDCWD) {
        length = getcwd(whole, PATH_MAX) ? (ssize_t)strlen(whole) : -1;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, whole, PATH_MAX - 1);
    }
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return inside(whole);
}

static int inside_descriptor(int descriptor) {
    char link[64], whole[PATH_MAX];
    if (!below[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int before = errno;
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    errno = before;
    if (length < 0) return 0;
    whole[length] = 0;
    return inside(whole);
}

/* 0 to go on, SHORT, or the error. */
static int verdict(int kind) {
    __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    if (!(mask & 1 << kind)) return 0;
    long number = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (!wanted || !(number == wanted || (stays && number > wanted))) return 0;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
    return error_number;
}

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define FAIL(found, value)                                                                                             \
    if (found) {                                                                                                       \
        errno = found;                                                                                                 \
        return value;                                                                                                  \
    }

#define OPENING(name)                                                                                                  \
    int name(const char *path, int flags, ...) {                                                                       \
        REAL(int, #name, const char *, int, ...);                                                                      \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                                        \
        va_end(list);                                                                                                  \
        int found = inside_at(AT_FDCWD, path) ? verdict(OPEN) : 0;                                                     \
        FAIL(found, -1)                                                                                                \
        return real(path, flags, mode);                                                                                \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        REAL(int, #name, int, const char *, int, ...);                                                                 \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                                        \
        va_end(list);                                                                                                  \
        int found = inside_at(folder, path) ? verdict(OPEN) : 0;                                                       \
        FAIL(found, -1)                                                                                                \
        return real(folder, path, flags, mode);                                                                        \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define STREAM(name)                                                                                                   \
    FILE *name(const char *path, const char *mode) {                                                                   \
        REAL(FILE *, #name, const char *, const char *);                                                               \
        int found = inside_at(AT_FDCWD, path) ? verdict(OPEN) : 0;                                                     \
        FAIL(found, NULL)                                                                                              \
        return real(path, mode);                                                                                       \
    }
STREAM(fopen)
STREAM(fopen64)

#define READING(name, offset_type)                                                                                     \
    ssize_t name(int descriptor, void *data, size_t size, offset_type offset) {                                        \
        REAL(ssize_t, #name, int, void *, size_t, offset_type);                                                        \
        int found = inside_descriptor(descriptor) ? verdict(READ) : 0;                                                 \
        if (found == SHORT) return real(descriptor, data, size > 1 ? size / 2 : size, offset);                         \
        FAIL(found, -1)                                                                                                \
        return real(descriptor, data, size, offset);                                                                   \
    }
READING(pread, off_t)
READING(pread64, off64_t)

ssize_t read(int descriptor, void *data, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    int found = inside_descriptor(descriptor) ? verdict(READ) : 0;
    if (found == SHORT) return real(descriptor, data, size > 1 ? size / 2 : size);
    FAIL(found, -1)
    return real(descriptor, data, size);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int found = inside_descriptor(descriptor) ? verdict(WRITE) : 0;
    if (found == SHORT) return real(descriptor, data, size > 1 ? size / 2 : size);
    FAIL(found, -1)
    return real(descriptor, data, size);
}

#define WRITING(name, offset_type)                                                                                     \
    ssize_t name(int descriptor, const void *data, size_t size, offset_type offset) {                                  \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type);                                                  \
        int found = inside_descriptor(descriptor) ? verdict(WRITE) : 0;                                                \
        if (found == SHORT) return real(descriptor, data, size > 1 ? size / 2 : size, offset);                         \
        FAIL(found, -1)                                                                                                \
        return real(descriptor, data, size, offset);                                                                   \
    }
WRITING(pwrite, off_t)
WRITING(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    int found = inside_descriptor(descriptor) ? verdict(WRITE) : 0;
    if (found == SHORT) return real(descriptor, parts, count > 1 ? count / 2 : count);
    FAIL(found, -1)
    return real(descriptor, parts, count);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    int found = below[0] && stream && inside_descriptor(fileno(stream)) ? verdict(WRITE) : 0;
    if (found == SHORT) found = 0; /* the C library repeats what was short itself */
    FAIL(found, 0)
    return real(data, size, count, stream);
}

int fclose(FILE *stream) {
    REAL(int, "fclose", FILE *);
    int found = below[0] && stream && inside_descriptor(fileno(stream)) ? verdict(CLOSE) : 0;
    int code = real(stream);
    FAIL(found, EOF)
    return code;
}

#define ON_DESCRIPTOR(name, kind)                                                                                      \
    int name(int descriptor) {                                                                                         \
        REAL(int, #name, int);                                                                                         \
        int found = inside_descriptor(descriptor) ? verdict(kind) : 0;                                                 \
        if (kind == CLOSE) {                                                                                           \
            int code = real(descriptor);                                                                               \
            FAIL(found, -1)                                                                                            \
            return code;                                                                                               \
        }                                                                                                              \
        FAIL(found, -1)                                                                                                \
        return real(descriptor);                                                                                       \
    }
ON_DESCRIPTOR(close, CLOSE)
ON_DESCRIPTOR(fsync, FSYNC)
ON_DESCRIPTOR(fdatasync, FSYNC)

#define ON_PATH(name, kind)                                                                                            \
    int name(const char *path) {                                                                                       \
        REAL(int, #name, const char *);                                                                                \
        int found = inside_at(AT_FDCWD, path) ? verdict(kind) : 0;                                                     \
        FAIL(found, -1)                                                                                                \
        return real(path);                                                                                             \
    }
ON_PATH(unlink, REMOVE)
ON_PATH(rmdir, REMOVE)

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    int found = inside_at(folder, path) ? verdict(REMOVE) : 0;
    FAIL(found, -1)
    return real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    int found = inside_at(AT_FDCWD, path) ? verdict(MKDIR) : 0;
    FAIL(found, -1)
    return real(path, mode);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    int found = inside_at(AT_FDCWD, to) ? verdict(RENAME) : 0;
    FAIL(found, -1)
    return real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    int found = inside_at(to_folder, to) ? verdict(RENAME) : 0;
    FAIL(found, -1)
    return real(from_folder, from, to_folder, to);
}

#define CUTTING(name, offset_type)                                                                                     \
    int name(const char *path, offset_type size) {                                                                     \
        REAL(int, #name, const char *, offset_type);                                                                   \
        int found = inside_at(AT_FDCWD, path) ? verdict(TRUNCATE) : 0;                                                 \
        FAIL(found, -1)                                                                                                \
        return real(path, size);                                                                                       \
    }
CUTTING(truncate, off_t)
CUTTING(truncate64, off64_t)

#define CUTTING_OPEN(name, offset_type)                                                                                \
    int name(int descriptor, offset_type size) {                                                                       \
        REAL(int, #name, int, offset_type);                                                                            \
        int found = inside_descriptor(descriptor) ? verdict(TRUNCATE) : 0;                                             \
        FAIL(found, -1)                                                                                                \
        return real(descriptor, size);                                                                                 \
    }
CUTTING_OPEN(ftruncate, off_t)
CUTTING_OPEN(ftruncate64, off64_t)

int flock(int descriptor, int operation) {
    REAL(int, "flock", int, int);
    int found = inside_descriptor(descriptor) ? verdict(FLOCK) : 0;
    FAIL(found, -1)
    return real(descriptor, operation);
}

/* Memory: glibc's own names, so that nothing has to be looked up while nothing can be allocated. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static int denied(size_t size) {
    if (!memory_least || size < memory_least) return 0;
    long number = __atomic_add_fetch(&memory_seen, 1, __ATOMIC_SEQ_CST);
    if (!memory_wanted || !(number == memory_wanted || (memory_stays && number > memory_wanted))) return 0;
    __atomic_add_fetch(&memory_fired, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return denied(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return denied(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return denied(size) ? NULL : __libc_realloc(old, size); }
void *memalign(size_t step, size_t size) { return denied(size) ? NULL : __libc_memalign(step, size); }
void *aligned_alloc(size_t step, size_t size) { return denied(size) ? NULL : __libc_memalign(step, size); }

int posix_memalign(void **found, size_t step, size_t size) {
    if (denied(size)) return ENOMEM;
    *found = __libc_memalign(step, size);
    return *found ? 0 : ENOMEM;
}

#define MAPPING(name, offset_type)                                                                                     \
    void *name(void *at, size_t size, int protection, int flags, int descriptor, offset_type offset) {                 \
        REAL(void *, #name, void *, size_t, int, int, int, offset_type);                                               \
        if (descriptor < 0 && denied(size)) return MAP_FAILED;                                                         \
        return real(at, size, protection, flags, descriptor, offset);                                                  \
    }
MAPPING(mmap, off_t)
MAPPING(mmap64, off64_t)
