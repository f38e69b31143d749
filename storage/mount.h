/*
 * mount: is a file on a network file system?
 *
 * There several machines may have it open, and memory shared between processes (SQLite's -shm file) is not shared between machines
 * (https://sqlite.org/wal.html, "Use of WAL Without Shared-Memory").
 */
#ifndef BRIM_STORAGE_MOUNT_H
#define BRIM_STORAGE_MOUNT_H

/*
 * The name of the network file system that the file lies on, or would lie on if it were made: "nfs", "smb", "9p", "ceph", "fuse", "afs",
 * "lustre"; NULL: none of these, or it cannot be told. FUSE counts as one, since what is behind it is not known.
 */
const char *mount_network(const char *path);

#endif
