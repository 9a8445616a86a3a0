/* SPDX-License-Identifier: MIT */
/*
 * Scope-bound release of locks and temporaries, with the kernel's names: __free(x)
 * frees a pointer when its variable leaves scope, guard(x)(args) holds a lock until
 * the end of the block. Release runs in reverse order of declaration.
 */
#ifndef MOAT_BASE_CLEANUP_H
#define MOAT_BASE_CLEANUP_H

#include "base/types.h"

#define __cleanup(fn) __attribute__((cleanup(fn)))

#define CLEANUP_PASTE2(a, b) a##b
#define CLEANUP_PASTE(a, b)  CLEANUP_PASTE2(a, b)
#define CLEANUP_UNIQUE(name) CLEANUP_PASTE(name, __COUNTER__)

/* @release is an expression or statement that uses _T, the value to release. */
#define DEFINE_FREE(name, type, release)                   \
	static inline void cleanup_free_##name(void *_var) \
	{                                                  \
		type _T = *(type *)_var;                   \
		release;                                   \
	}
#define __free(name) __cleanup(cleanup_free_##name)

/* Takes the value out of a __free() variable, which then has nothing to free. */
#define no_free_ptr(p)                      \
	({                                  \
		__typeof__(p) _taken = (p); \
		(p) = NULL;                 \
		_taken;                     \
	})
#define return_ptr(p) return no_free_ptr(p)

/* @acquire and @release use _T, which is of pointer type @type. */
#define DEFINE_GUARD(name, type, acquire, release)                      \
	typedef type guard_##name##_t;                                  \
	static inline guard_##name##_t guard_##name##_enter(type _T)    \
	{                                                               \
		acquire;                                                \
		return _T;                                              \
	}                                                               \
	static inline void guard_##name##_leave(guard_##name##_t *_var) \
	{                                                               \
		type _T = *_var;                                        \
		if (_T) {                                               \
			release;                                        \
		}                                                       \
	}

#define guard(name)                                             \
	__maybe_unused guard_##name##_t CLEANUP_UNIQUE(_guard_) \
		__cleanup(guard_##name##_leave) = guard_##name##_enter

/* The statement that follows runs with the guard held; `break` leaves it early. */
#define scoped_guard(name, arg) scoped_guard_named(name, arg, CLEANUP_UNIQUE(_scope_))
#define scoped_guard_named(name, arg, var)                                        \
	for (guard_##name##_t var                                                 \
		     __cleanup(guard_##name##_leave) = guard_##name##_enter(arg), \
		     *CLEANUP_PASTE(var, _once) = &var;                           \
	     CLEANUP_PASTE(var, _once); CLEANUP_PASTE(var, _once) = NULL)

#endif
