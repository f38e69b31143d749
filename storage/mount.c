#include "storage/mount.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/alloc.h"
#include "base/sv.h"

/* statfs(2) and linux/magic.h. */
static const struct {
    unsigned long type;
    const char *name;
} networks[] = {
    {0x6969, "nfs"},      {0x517b, "smb"},     {0xfe534d42, "smb"},
    {0xff534d42, "smb"},  {0x01021997, "9p"},  {0x00c36400, "ceph"},
    {0x65735546, "fuse"}, {0x5346414f, "afs"}, {0x0bd00bd0, "lustre"},
};

static bool type_of(const char *path, unsigned long *ret_type)
{
    struct statfs found;

    if (statfs(path, &found) != 0)
        return false;
    /* The kernel's are 32 bits; glibc's word is signed and may be longer. */
    *ret_type = (unsigned long)found.f_type & 0xffffffffUL;
    return true;
}

/* Of the folder, as long as the file is not there. */
static bool type_of_folder(const char *path, unsigned long *ret_type)
{
    CLEANUP(free_ptr) char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');

    if (slash == NULL)
        return type_of(".", ret_type);
    slash[slash == folder ? 1 : 0] = '\0';
    return type_of(folder, ret_type);
}

const char *mount_network(const char *path)
{
    unsigned long type;

    if (!type_of(path, &type) && !(errno == ENOENT && type_of_folder(path, &type)))
        return NULL;
    for (size_t i = 0; i < COUNT_OF(networks); i++) {
        if (networks[i].type == type)
            return networks[i].name;
    }
    return NULL;
}
