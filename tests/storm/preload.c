/* Faults for one process tree: system calls on files under one folder fail, write less, or raise a signal.

   Loaded with LD_PRELOAD. STORM_PAGE names a file of sizeof(struct page) bytes that faults.py maps as well: what it
   writes there takes effect at once, and the counts are read back from it. Everything outside the folder, and
   everything while no rule is active, is passed on unchanged. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_OPEN, WRITE_OPEN, WRITE, FSYNC, RENAME, MKDIR, UNLINK, KINDS };
enum { FAIL, SHORT, SIGNAL_BEFORE, SIGNAL_AFTER };
#define RULES 4

struct rule {
    uint32_t active;
    uint32_t kinds;       /* one bit per kind of call */
    uint32_t action;
    int32_t value;        /* errno or signal */
    uint64_t after;       /* matching calls that pass before the rule begins */
    uint64_t count;       /* matching calls that it then looks at; 0 for all */
    uint32_t probability; /* that such a call is hit, of 1,000,000 */
    uint32_t seed;
    uint64_t matched;
    uint64_t hits[KINDS];
    char contains[64];    /* part of the path, or empty */
};

struct page {
    char root[PATH_MAX];
    uint64_t calls[KINDS]; /* under the folder */
    struct rule rules[RULES];
};

static struct page *page;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("STORM_PAGE");
    if (!name) return;
    int file = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) page = found;
    close(file);
}

static uint32_t drawn(uint64_t seed, uint64_t index) {
    uint64_t x = (seed << 32) + index * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((x ^ (x >> 31)) % 1000000u);
}

/* The absolute path of a name, or of a descriptor where name is NULL; empty when it is no file. */
static void locate(int folder, const char *name, char *path) {
    path[0] = 0;
    if (name && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char link[64];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    if (name && path[0] && (size_t)length + strlen(name) + 2 < PATH_MAX) {
        path[length] = '/';
        strcpy(path + length + 1, name);
    }
}

/* The rule that hits this call, or NULL. */
static struct rule *hit(int kind, int folder, const char *name) {
    if (!page) return NULL;
    int any = 0;
    for (int i = 0; i < RULES; i++) any |= page->rules[i].active;
    size_t length = strnlen(page->root, PATH_MAX);
    if (!any || !length) return NULL;
    int kept = errno;
    char path[PATH_MAX];
    locate(folder, name, path);
    errno = kept;
    if (strncmp(path, page->root, length) || path[length] != '/') return NULL;
    __atomic_add_fetch(&page->calls[kind], 1, __ATOMIC_RELAXED);
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &page->rules[i];
        if (!rule->active || !(rule->kinds >> kind & 1)) continue;
        if (rule->contains[0] && !strstr(path, rule->contains)) continue;
        uint64_t index = __atomic_fetch_add(&rule->matched, 1, __ATOMIC_RELAXED);
        if (index < rule->after || (rule->count && index >= rule->after + rule->count)) continue;
        if (drawn(rule->seed, index) >= rule->probability) continue;
        if (rule->action == SHORT && kind != WRITE) continue;
        __atomic_add_fetch(&rule->hits[kind], 1, __ATOMIC_RELAXED);
        return rule;
    }
    return NULL;
}

static int before(struct rule *rule) {
    if (!rule) return 0;
    if (rule->action == SIGNAL_BEFORE) kill(getpid(), rule->value);
    if (rule->action != FAIL) return 0;
    errno = rule->value;
    return 1;
}

static void after(struct rule *rule) {
    int kept = errno;
    if (rule && rule->action == SIGNAL_AFTER) kill(getpid(), rule->value);
    errno = kept;
}

static size_t shortened(struct rule *rule, size_t size) {
    return rule && rule->action == SHORT && size > 1 ? size / 2 : size;
}

#define CALL(kind, folder, name, call)                                                                                 \
    do {                                                                                                               \
        struct rule *rule = hit(kind, folder, name);                                                                   \
        if (before(rule)) return -1;                                                                                   \
        long result = call;                                                                                            \
        after(rule);                                                                                                   \
        return result;                                                                                                 \
    } while (0)

static int opened(int folder, const char *name, int flags, mode_t mode) {
    int kind = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT ? WRITE_OPEN : READ_OPEN;
    CALL(kind, folder, name, syscall(SYS_openat, folder, name, flags, mode));
}

#define MODE(flags, last)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                           \
        va_list more;                                                                                                  \
        va_start(more, last);                                                                                          \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *name, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags, flags) return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags, flags) return opened(folder, name, flags, mode);
}

ssize_t write(int file, const void *data, size_t size) {
    struct rule *rule = hit(WRITE, file, NULL);
    if (before(rule)) return -1;
    ssize_t result = syscall(SYS_write, file, data, shortened(rule, size));
    after(rule);
    return result;
}

static ssize_t placed(int file, const void *data, size_t size, off_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
    struct rule *rule = hit(WRITE, file, NULL);
    if (before(rule)) return -1;
    ssize_t result = next(file, data, shortened(rule, size), offset);
    after(rule);
    return result;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return placed(file, data, size, offset); }
ssize_t pwrite64(int file, const void *data, size_t size, off_t offset) { return placed(file, data, size, offset); }

ssize_t writev(int file, const struct iovec *parts, int count) {
    struct rule *rule = hit(WRITE, file, NULL);
    if (before(rule)) return -1;
    int fewer = rule && rule->action == SHORT && count > 1 ? count / 2 : count;
    ssize_t result = syscall(SYS_writev, file, parts, fewer);
    after(rule);
    return result;
}

int fsync(int file) { CALL(FSYNC, file, NULL, syscall(SYS_fsync, file)); }
int fdatasync(int file) { CALL(FSYNC, file, NULL, syscall(SYS_fdatasync, file)); }

static int renamed(int from, const char *old, int to, const char *new, unsigned flags) {
    CALL(RENAME, to, new, syscall(SYS_renameat2, from, old, to, new, flags));
}

int rename(const char *old, const char *new) { return renamed(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return renamed(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return renamed(from, old, to, new, flags);
}
int linkat(int from, const char *old, int to, const char *new, int flags) {
    CALL(RENAME, to, new, syscall(SYS_linkat, from, old, to, new, flags));
}

int mkdir(const char *name, mode_t mode) { CALL(MKDIR, AT_FDCWD, name, syscall(SYS_mkdirat, AT_FDCWD, name, mode)); }
int mkdirat(int folder, const char *name, mode_t mode) {
    CALL(MKDIR, folder, name, syscall(SYS_mkdirat, folder, name, mode));
}

int unlink(const char *name) { CALL(UNLINK, AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, 0)); }
int unlinkat(int folder, const char *name, int flags) {
    CALL(UNLINK, folder, name, syscall(SYS_unlinkat, folder, name, flags));
}
int rmdir(const char *name) { CALL(UNLINK, AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, AT_REMOVEDIR)); }
