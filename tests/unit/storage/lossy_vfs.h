/*
 * lossy_vfs: SQLite's way to a disk that loses power. Its files live in memory, twice: as the process sees them, and as they are on
 * the disk; everything else is asked of the system's own VFS.
 *
 * What was written is surely on the disk when its file was synced. At the cut each sector written since then is, at random, as it
 * was, as it should be, or torn: a part of it new and the rest old, or what differs is garbage. It may also hold what an earlier write
 * put there. The file's size is the old one, the new one or between. Names come to the disk with a sync of the folder: till then a
 * file that was made may be missing, and one that was deleted may be back. Bytes that nobody wrote stay as they are
 * (SQLITE_IOCAP_POWERSAFE_OVERWRITE, as SQLite takes it of the system's files). Shared memory is gone.
 *
 * One connection at a time; it may be on another thread than the caller of lossy_*().
 */
#ifndef BRIM_TESTS_UNIT_STORAGE_LOSSY_VFS_H
#define BRIM_TESTS_UNIT_STORAGE_LOSSY_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define LOSSY_VFS "lossy"

/* Registers the VFS, or empties its disk. `sector`: 512 or 4096. */
void lossy_start(uint64_t seed, int sector);

/* The power goes in the middle of the n-th operation from now that changes a file (from 1; 0: never). All that follow fail. */
void lossy_cut_after(int64_t n);
bool lossy_is_cut(void);
/* Operations that changed a file since lossy_start(). */
int64_t lossy_operations(void);

/* The power is back: what survived is all there is. Connections of before must be closed. */
void lossy_power_on(void);

/* Writes a database, its log and its journal to the system's file `to`, and garbage to its file of shared memory. */
void lossy_copy_out(const char *path, const char *to);

/* Ends: frees all. */
void lossy_done(void);

#endif
