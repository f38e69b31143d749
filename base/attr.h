/*
 * attr: compiler attributes and the ownership macros that the whole tree uses.
 *
 * CLEANUP(fn) frees what a scope owns: fn gets a pointer to the variable. TAKE(p) hands ownership
 * on and leaves NULL behind, so that the cleanup does nothing. A pointer without either is
 * borrowed.
 */
#ifndef BRIM_BASE_ATTR_H
#define BRIM_BASE_ATTR_H

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED            __attribute__((unused))
#define NORETURN          __attribute__((noreturn))
#define CLEANUP(fn)       __attribute__((cleanup(fn)))

#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Defines NAME_free_ptr(), the cleanup for a pointer variable, from NAME_free(). */
#define DEFINE_FREE_PTR(type, name)                                                                \
    static inline void name##_free_ptr(type **p)                                                   \
    {                                                                                              \
        name##_free(*p);                                                                           \
    }

#endif
