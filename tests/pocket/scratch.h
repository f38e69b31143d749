/*
 * scratch: where cJSON's trees live that are thrown away at once. Half of what the pocket cluster did for an
 * event was malloc() and free() for the tree that a part of a pod is encoded from.
 *
 * Between scratch_begin() and scratch_end() what cJSON asks for comes from one block, one piece behind the
 * other, and freeing it does nothing; what does not fit there, and all that cJSON asks for at other times, is
 * malloc()'s. Nothing that was made between may be kept behind scratch_end(). For one thread; they don't nest.
 */
#ifndef BRIM_TESTS_POCKET_SCRATCH_H
#define BRIM_TESTS_POCKET_SCRATCH_H

void scratch_begin(void);
void scratch_end(void);

#endif
