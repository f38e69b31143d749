#include "storage/mount.h"

#include <errno.h>
#include <sys/vfs.h>

#include "storage/db.h"
#include "tests/unit/storage/folder.h"

/* Instead of libc's: what every file lies on, or why that cannot be told. */
static long type_here;
static int fails_with;

int statfs(const char *path, struct statfs *ret)
{
    if (fails_with != 0 || access(path, F_OK) != 0) {
        errno = fails_with != 0 ? fails_with : ENOENT;
        return -1;
    }
    *ret = (struct statfs){.f_type = type_here};
    return 0;
}

Test(mount, names_the_file_systems_of_a_network)
{
    static const struct {
        long type;
        const char *name;
    } rows[] = {
        {0x6969, "nfs"},    {0x517b, "smb"},      {(int)0xff534d42, "smb"}, {0xfe534d42, "smb"},
        {0x01021997, "9p"}, {0x00c36400, "ceph"}, {0x65735546, "fuse"},     {0xef53, NULL},
        {0x58465342, NULL}, {0x01021994, NULL},   {0x794c7630, NULL},       {0x9123683e, NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        type_here = rows[i].type;
        for (int k = 0; k < 3; k++) {
            static const char *const paths[] = {"/", "/not-there.db", "not-there.db"};
            const char *name = mount_network(paths[k]);

            cr_assert((name == NULL) == (rows[i].name == NULL), "%lx", rows[i].type);
            cr_assert(name == NULL || strcmp(name, rows[i].name) == 0, "%lx", rows[i].type);
        }
    }
    type_here = 0x6969;
    cr_assert_null(mount_network("/no/such/folder/history.db"));
    fails_with = EACCES;
    cr_assert_null(mount_network("/"));
}

/* No memory is shared, and no other connection comes in; what was committed is there after the end, whichever file system it is then. */
Test(mount, a_database_on_a_network_is_one_connection_s_alone)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file}, read = {.path = f.file, .read_only = true};
    struct err err = {0};
    struct db *db, *other;
    char memory[400], log[400];
    int64_t n;

    (void)snprintf(memory, sizeof memory, "%s-shm", f.file);
    (void)snprintf(log, sizeof log, "%s-wal", f.file);
    type_here = 0x6969;
    for (int round = 0; round < 2; round++) {
        cr_assert(db_open(&options, &db, &err) && db_use_log(db, &err), "%s", err.text);
        cr_assert_str_eq(db_network(db), "nfs");
        cr_assert(db_exec(db, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1)", &err),
                  "%s", err.text);
        cr_assert(access(log, F_OK) == 0 && access(memory, F_OK) != 0);
        cr_assert_not(db_open(&read, &other, &err));
        cr_assert_eq(err.code, DB_BUSY, "%s", err.text);
        db_close(db);
    }
    type_here = 0xef53;
    cr_assert(db_open(&options, &db, &err) && db_use_log(db, &err), "%s", err.text);
    cr_assert_null(db_network(db));
    cr_assert(db_number(db, "SELECT count(*) FROM t", &n, &err) && n == 2, "%s", err.text);
    db_close(db);
    folder_done(&f);
}
