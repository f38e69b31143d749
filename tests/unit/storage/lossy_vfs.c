#include "tests/unit/storage/lossy_vfs.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

enum {
    MAX_FILES = 8,
    MAX_NAME = 512,
    MAX_REGIONS = 64, /* of shared memory, 32 KiB each */
    /* In percent: how often the disk writes something of its own accord, and what becomes of a sector at the cut. */
    EARLY = 20,
    LOST = 40,
    WRITTEN = 40,
};

/* SQLite's system VFS syncs the folder with the first sync of such a file that it made (unixOpen(), UNIXFILE_DIRSYNC). */
#define OF_JOURNALS (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

struct image {
    char *at;
    size_t len, cap;
};

struct lossy_file {
    char name[MAX_NAME];
    bool there, kept_there; /* to the process, on the disk */
    bool anew;              /* made anew since the one on the disk was deleted */
    bool syncs_folder;      /* its next sync is one of the folder, too */
    struct image now, kept;
    unsigned char *dirty; /* one a sector of `now` */
    size_t n_dirty;       /* sectors that `dirty` has room for */
    void *shared[MAX_REGIONS];
};

struct handle {
    sqlite3_file base;
    struct lossy_file *file;
    bool delete_on_close;
};

static struct {
    struct lossy_file files[MAX_FILES];
    struct random random;
    size_t sector;
    atomic_bool cut;
    _Atomic int64_t left, operations;
} disk;

static sqlite3_vfs *system_vfs;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What is beyond the old end is zero. */
static void resize(struct image *i, size_t len)
{
    if (len > i->cap) {
        i->cap = max_size(len, 2 * i->cap);
        i->at = xrealloc(i->at, i->cap);
    }
    if (len > i->len)
        memset(i->at + i->len, 0, len - i->len);
    i->len = len;
}

static void copy(struct image *to, const struct image *from)
{
    resize(to, from->len);
    if (from->len != 0)
        memcpy(to->at, from->at, from->len);
}

/* Counts an operation; false if the power is gone already. *ret_last: it goes during this one. */
static bool operate(bool *ret_last)
{
    *ret_last = false;
    if (atomic_load(&disk.cut))
        return false;
    disk.operations++;
    if (disk.left > 0 && --disk.left == 0)
        *ret_last = true;
    return true;
}

static int end_operation(bool last, int failed)
{
    if (last)
        atomic_store(&disk.cut, true);
    return last ? failed : SQLITE_OK;
}

/* The sector's bytes [from, to) as `now` has them are on the disk. */
static void keep_bytes(struct lossy_file *f, size_t from, size_t to)
{
    to = min_size(to, f->now.len);
    if (from >= to)
        return;
    if (f->kept.len < to)
        resize(&f->kept, to);
    memcpy(f->kept.at + from, f->now.at + from, to - from);
}

static void mark_dirty(struct lossy_file *f, size_t from, size_t to)
{
    size_t last = (to + disk.sector - 1) / disk.sector;

    if (last > f->n_dirty) {
        f->dirty = xrealloc(f->dirty, 2 * last);
        memset(f->dirty + f->n_dirty, 0, 2 * last - f->n_dirty);
        f->n_dirty = 2 * last;
    }
    for (size_t i = from / disk.sector; i < last; i++) {
        /* What an earlier write left there may have come to the disk before this one. */
        if (f->dirty[i] != 0 && !f->anew && random_percent(&disk.random, EARLY))
            keep_bytes(f, i * disk.sector, (i + 1) * disk.sector);
        f->dirty[i] = 1;
    }
}

static void clean(struct lossy_file *f)
{
    if (f->dirty != NULL)
        memset(f->dirty, 0, f->n_dirty);
}

/* All names are on the disk; what was deleted is gone for good. */
static void sync_folder(void)
{
    for (int i = 0; i < MAX_FILES; i++) {
        struct lossy_file *f = &disk.files[i];

        if (!f->there || f->anew)
            f->kept.len = 0;
        f->kept_there = f->there;
        f->anew = false;
    }
}

static void garble(struct lossy_file *f, size_t from, size_t to)
{
    to = min_size(to, min_size(f->now.len, f->kept.len));
    for (size_t i = from; i < to; i++) {
        if (f->now.at[i] != f->kept.at[i])
            f->kept.at[i] = (char)random_u64(&disk.random);
    }
}

static void lose_sector(struct lossy_file *f, size_t from)
{
    size_t to = from + disk.sector, cut;
    int64_t what = random_in(&disk.random, 0, 99);

    if (what < LOST)
        return;
    if (what < LOST + WRITTEN) {
        keep_bytes(f, from, to);
        return;
    }
    cut = from + (size_t)random_in(&disk.random, 0, (int64_t)disk.sector);
    if (random_percent(&disk.random, 50))
        keep_bytes(f, from, cut);
    else
        keep_bytes(f, cut, to);
    if (random_percent(&disk.random, 30))
        garble(f, from, to);
}

static size_t lost_size(const struct lossy_file *f)
{
    size_t low = min_size(f->now.len, f->kept.len), high = max_size(f->now.len, f->kept.len);

    switch (random_in(&disk.random, 0, 2)) {
    case 0:
        return f->now.len;
    case 1:
        return f->kept.len;
    default:
        return (size_t)random_in(&disk.random, (int64_t)low, (int64_t)high);
    }
}

static void lose(struct lossy_file *f)
{
    size_t size;

    if (f->there != f->kept_there || f->anew) {
        /* Its name did not come to the disk, or its end did not. */
        if (random_percent(&disk.random, 50)) {
            f->there = f->kept_there;
            return;
        }
        if (!f->there || !f->kept_there || f->anew)
            f->kept.len = 0;
        f->kept_there = f->there;
        if (!f->there)
            return;
    }
    if (!f->there)
        return;
    size = lost_size(f);
    for (size_t i = 0; i < f->n_dirty; i++) {
        if (f->dirty[i] != 0)
            lose_sector(f, i * disk.sector);
    }
    resize(&f->kept, size);
}

static void drop_shared(struct lossy_file *f)
{
    for (int i = 0; i < MAX_REGIONS; i++) {
        free(f->shared[i]);
        f->shared[i] = NULL;
    }
}

void lossy_power_on(void)
{
    for (int i = 0; i < MAX_FILES; i++) {
        struct lossy_file *f = &disk.files[i];

        if (f->name[0] == '\0')
            continue;
        lose(f);
        copy(&f->now, &f->kept);
        clean(f);
        f->anew = f->syncs_folder = false;
        drop_shared(f);
    }
    disk.left = 0;
    atomic_store(&disk.cut, false);
}

/* The file of this name, there or not. */
static struct lossy_file *named(const char *name)
{
    for (int i = 0; i < MAX_FILES; i++) {
        struct lossy_file *f = &disk.files[i];

        if (f->name[0] == '\0')
            (void)snprintf(f->name, sizeof f->name, "%s", name);
        if (strcmp(f->name, name) == 0)
            return f;
    }
    assert(false && "a file too many");
    abort();
}

static struct lossy_file *of(sqlite3_file *file)
{
    return ((struct handle *)file)->file;
}

static int lossy_delete(sqlite3_vfs *vfs, const char *name, int with_folder)
{
    struct lossy_file *f = named(name);
    bool last;

    (void)vfs;
    if (!operate(&last))
        return SQLITE_IOERR_DELETE;
    if (!f->there)
        return SQLITE_IOERR_DELETE_NOENT;
    f->there = false;
    f->anew = false;
    f->now.len = 0;
    clean(f);
    if (with_folder && !last)
        sync_folder();
    return end_operation(last, SQLITE_IOERR_DELETE);
}

static int lossy_close(sqlite3_file *file)
{
    const struct handle *h = (struct handle *)file;

    if (h->delete_on_close)
        (void)lossy_delete(NULL, h->file->name, 0);
    return SQLITE_OK;
}

static int lossy_read(sqlite3_file *file, void *to, int n, sqlite3_int64 offset)
{
    struct lossy_file *f = of(file);
    size_t at = (size_t)offset, len = (size_t)n, have;

    if (atomic_load(&disk.cut))
        return SQLITE_IOERR_READ;
    have = at < f->now.len ? min_size(len, f->now.len - at) : 0;
    if (have != 0)
        memcpy(to, f->now.at + at, have);
    memset((char *)to + have, 0, len - have);
    return have == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int lossy_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 offset)
{
    struct lossy_file *f = of(file);
    size_t at = (size_t)offset, len = (size_t)n;
    bool last;

    if (!operate(&last))
        return SQLITE_IOERR_WRITE;
    mark_dirty(f, at, at + len);
    if (at + len > f->now.len)
        resize(&f->now, at + len);
    memcpy(f->now.at + at, from, len);
    return end_operation(last, SQLITE_IOERR_WRITE);
}

static int lossy_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct lossy_file *f = of(file);
    bool last;

    if (!operate(&last))
        return SQLITE_IOERR_TRUNCATE;
    if ((size_t)size < f->now.len)
        f->now.len = (size_t)size;
    return end_operation(last, SQLITE_IOERR_TRUNCATE);
}

static int lossy_sync(sqlite3_file *file, int flags)
{
    struct lossy_file *f = of(file);
    bool last;

    (void)flags;
    if (!operate(&last))
        return SQLITE_IOERR_FSYNC;
    if (last)
        return end_operation(last, SQLITE_IOERR_FSYNC);
    if (f->syncs_folder)
        sync_folder();
    f->syncs_folder = false;
    /* What the name on the disk leads to is another file, as long as this one is not in there. */
    if (!f->anew)
        copy(&f->kept, &f->now);
    clean(f);
    return SQLITE_OK;
}

static int lossy_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    *ret_size = (sqlite3_int64)of(file)->now.len;
    return atomic_load(&disk.cut) ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int lossy_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int lossy_is_reserved(sqlite3_file *file, int *ret_reserved)
{
    (void)file;
    *ret_reserved = 0;
    return SQLITE_OK;
}

static int lossy_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int lossy_sector(sqlite3_file *file)
{
    (void)file;
    return (int)disk.sector;
}

static int lossy_features(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int lossy_shm_map(sqlite3_file *file, int region, int size, int extend,
                         void volatile **ret_at)
{
    struct lossy_file *f = of(file);

    assert(region < MAX_REGIONS);
    if (f->shared[region] == NULL && extend)
        f->shared[region] = xcalloc(1, (size_t)size);
    *ret_at = f->shared[region];
    return SQLITE_OK;
}

static int lossy_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void lossy_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int lossy_shm_unmap(sqlite3_file *file, int drop)
{
    if (drop)
        drop_shared(of(file));
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = lossy_close,
    .xRead = lossy_read,
    .xWrite = lossy_write,
    .xTruncate = lossy_truncate,
    .xSync = lossy_sync,
    .xFileSize = lossy_size,
    .xLock = lossy_lock,
    .xUnlock = lossy_lock,
    .xCheckReservedLock = lossy_is_reserved,
    .xFileControl = lossy_control,
    .xSectorSize = lossy_sector,
    .xDeviceCharacteristics = lossy_features,
    .xShmMap = lossy_shm_map,
    .xShmLock = lossy_shm_lock,
    .xShmBarrier = lossy_shm_barrier,
    .xShmUnmap = lossy_shm_unmap,
};

static int lossy_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags)
{
    static atomic_int temporary;
    struct handle *h = (struct handle *)file;
    char own[32];
    bool last;

    (void)vfs;
    file->pMethods = NULL;
    if (atomic_load(&disk.cut))
        return SQLITE_IOERR;
    (void)snprintf(own, sizeof own, "temporary-%d", temporary++ % 2);
    h->file = named(name != NULL ? name : own);
    h->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    if (!h->file->there) {
        if ((flags & SQLITE_OPEN_CREATE) == 0 || !operate(&last))
            return SQLITE_CANTOPEN;
        h->file->there = true;
        h->file->anew = h->file->kept_there;
        h->file->now.len = 0;
        h->file->syncs_folder = (flags & OF_JOURNALS) != 0;
        if (end_operation(last, SQLITE_CANTOPEN) != SQLITE_OK)
            return SQLITE_CANTOPEN;
    }
    if (ret_flags != NULL)
        *ret_flags = flags;
    file->pMethods = &methods;
    return SQLITE_OK;
}

static int lossy_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there)
{
    const struct lossy_file *f = named(name);

    (void)vfs;
    (void)flags;
    *ret_there = f->there && f->now.len != 0;
    return SQLITE_OK;
}

static int lossy_path(sqlite3_vfs *vfs, const char *name, int size, char *ret_path)
{
    (void)vfs;
    (void)snprintf(ret_path, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static void empty(void)
{
    for (int i = 0; i < MAX_FILES; i++) {
        struct lossy_file *f = &disk.files[i];

        free(f->now.at);
        free(f->kept.at);
        free(f->dirty);
        drop_shared(f);
        *f = (struct lossy_file){0};
    }
}

void lossy_start(uint64_t seed, int sector)
{
    static sqlite3_vfs vfs;

    if (system_vfs == NULL) {
        system_vfs = sqlite3_vfs_find(NULL);
        vfs = *system_vfs;
        vfs.pNext = NULL;
        vfs.zName = LOSSY_VFS;
        vfs.szOsFile = sizeof(struct handle);
        vfs.mxPathname = MAX_NAME - 16;
        vfs.xOpen = lossy_open;
        vfs.xDelete = lossy_delete;
        vfs.xAccess = lossy_access;
        vfs.xFullPathname = lossy_path;
        if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
            abort();
    }
    empty();
    disk.random = (struct random){.seed = seed, .state = seed};
    disk.sector = (size_t)sector;
    disk.left = disk.operations = 0;
    atomic_store(&disk.cut, false);
}

void lossy_cut_after(int64_t n)
{
    disk.left = n;
}

bool lossy_is_cut(void)
{
    return atomic_load(&disk.cut);
}

int64_t lossy_operations(void)
{
    return disk.operations;
}

static void write_out(const char *path, const char *end, const char *at, size_t len)
{
    char name[MAX_NAME + 16];
    FILE *out;

    (void)snprintf(name, sizeof name, "%s%s", path, end);
    out = fopen(name, "wbe");
    if (out == NULL || fwrite(at, 1, len, out) != len || fclose(out) != 0) {
        (void)fprintf(stderr, "%s cannot be written\n", name);
        abort();
    }
}

void lossy_copy_out(const char *path, const char *to)
{
    static const char *const ends[] = {"", "-wal", "-journal"};
    char garbage[64 << 10], name[MAX_NAME + 16];

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        const struct lossy_file *f;

        (void)snprintf(name, sizeof name, "%s%s", to, ends[i]);
        (void)remove(name);
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        f = named(name);
        if (f->there)
            write_out(to, ends[i], f->now.at, f->now.len);
    }
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)random_u64(&disk.random);
    write_out(to, "-shm", garbage, sizeof garbage);
}

void lossy_done(void)
{
    empty();
}
