/* SPDX-License-Identifier: MIT */
/*
 * Mutexes that know their owner. clang's thread safety analysis reads the
 * attributes; lockdep_assert_held() checks the owner at run time unless NDEBUG is
 * defined. Not recursive. Processes share nothing through these: machine memory
 * has its own lock (machine/hw.h).
 */
#ifndef MOAT_BASE_MUTEX_H
#define MOAT_BASE_MUTEX_H

#include <pthread.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/types.h"

#ifdef __clang__
#define __thread_attr(x) __attribute__((x))
#else
#define __thread_attr(x)
#endif
#define __capability(name)  __thread_attr(capability(name))
#define __guarded_by(m)	    __thread_attr(guarded_by(m))
#define __pt_guarded_by(m)  __thread_attr(pt_guarded_by(m))
#define __must_hold(...)    __thread_attr(requires_capability(__VA_ARGS__))
#define __acquires(...)	    __thread_attr(acquire_capability(__VA_ARGS__))
#define __try_acquires(...) __thread_attr(try_acquire_capability(__VA_ARGS__))
#define __releases(...)	    __thread_attr(release_capability(__VA_ARGS__))
#define __excludes(...)	    __thread_attr(locks_excluded(__VA_ARGS__))
#define __asserts_held(m)   __thread_attr(assert_capability(m))
#define __no_lock_analysis  __thread_attr(no_thread_safety_analysis)

struct __capability("mutex") mutex
{
	pthread_mutex_t lock;
	pthread_t owner; /* atomic; meaningful while held */
	bool held;	 /* atomic */
};

#define MUTEX_INIT                                \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}
#define DEFINE_MUTEX(name) struct mutex name = MUTEX_INIT

static inline void mutex_init(struct mutex *m)
{
	*m = (struct mutex)MUTEX_INIT;
}

/* Whether the calling thread holds @m. */
static inline bool mutex_held(const struct mutex *m)
{
	return __atomic_load_n(&m->held, __ATOMIC_ACQUIRE) &&
	       pthread_equal(__atomic_load_n(&m->owner, __ATOMIC_RELAXED),
			     pthread_self());
}

/* Whether anybody holds @m. */
static inline bool mutex_is_locked(const struct mutex *m)
{
	return __atomic_load_n(&m->held, __ATOMIC_ACQUIRE);
}

static inline void mutex_destroy(struct mutex *m)
{
	WARN_ON(mutex_is_locked(m));
	pthread_mutex_destroy(&m->lock);
}

static inline void mutex_note_owner(struct mutex *m)
{
	__atomic_store_n(&m->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&m->held, true, __ATOMIC_RELEASE);
}

static inline void mutex_lock(struct mutex *m) __acquires(m) __no_lock_analysis;
static inline void mutex_lock(struct mutex *m)
{
#ifndef NDEBUG
	WARN_ON(mutex_held(m));
#endif
	pthread_mutex_lock(&m->lock);
	mutex_note_owner(m);
}

static inline bool mutex_trylock(struct mutex *m)
	__try_acquires(true, m) __no_lock_analysis;
static inline bool mutex_trylock(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->lock))
		return false;
	mutex_note_owner(m);
	return true;
}

static inline void mutex_unlock(struct mutex *m) __releases(m) __no_lock_analysis;
static inline void mutex_unlock(struct mutex *m)
{
	__atomic_store_n(&m->held, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&m->lock);
}

#ifdef NDEBUG
#define lockdep_assert_held(m)	   ((void)(m))
#define lockdep_assert_not_held(m) ((void)(m))
#else
#define lockdep_assert_held(m)	   ((void)WARN_ON(!mutex_held(m)))
#define lockdep_assert_not_held(m) ((void)WARN_ON(mutex_held(m)))
#endif

DEFINE_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))

#endif
