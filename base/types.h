/* SPDX-License-Identifier: MIT */
/*
 * Fixed-width types, the kinds of address and the small macros that every file
 * uses.
 *
 * An iova_t is what a device puts on its bus; a phys_addr_t is where an access
 * lands in the machine; what backs it is a host pointer or a program's address
 * (a u64 called vaddr or uaddr). The three never mix: a value changes its kind
 * only in a translation (iova_t to phys_addr_t) or in machine/ (phys_addr_t to
 * what backs it).
 */
#ifndef MOAT_BASE_TYPES_H
#define MOAT_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 iova_t;
typedef u64 phys_addr_t;

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ULL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define SZ_4K  0x1000ULL
#define SZ_64K 0x10000ULL
#define SZ_1M  0x100000ULL
#define SZ_2M  0x200000ULL
#define SZ_1G  0x40000000ULL

#define __must_check   __attribute__((warn_unused_result))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __maybe_unused __attribute__((unused))
#define __packed       __attribute__((packed))
#define __aligned(n)   __attribute__((aligned(n)))
#define __noreturn     __attribute__((noreturn))
#define fallthrough    __attribute__((fallthrough))
#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)

#define BIT(n)	   (1U << (n))
#define BIT_ULL(n) (1ULL << (n))
/* Bits h down to l, both inclusive, as the register tables number them. */
#define GENMASK_ULL(h, l) ((~0ULL >> (63 - (h))) & (~0ULL << (l)))
#define GENMASK(h, l)	  ((u32)GENMASK_ULL(h, l))

#define ARRAY_SIZE(a)	   (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN(x, a)	   ALIGN_DOWN((x) + ((__typeof__(x))(a)-1), a)
#define IS_ALIGNED(x, a)   (((x) & ((__typeof__(x))(a)-1)) == 0)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

/* Each evaluates its arguments once; names are unique so that they nest. */
#define TYPES_PASTE2(a, b) a##b
#define TYPES_PASTE(a, b)  TYPES_PASTE2(a, b)
#define PICK_ONCE(a, op, b, id)                                                     \
	({                                                                          \
		__typeof__(a) TYPES_PASTE(_a, id) = (a);                            \
		__typeof__(b) TYPES_PASTE(_b, id) = (b);                            \
		TYPES_PASTE(_a, id)                                                 \
		op TYPES_PASTE(_b, id) ? TYPES_PASTE(_a, id) : TYPES_PASTE(_b, id); \
	})
#define min(a, b)      PICK_ONCE(a, <, b, __COUNTER__)
#define max(a, b)      PICK_ONCE(a, >, b, __COUNTER__)
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))

#define container_of(ptr, type, member)                               \
	({                                                            \
		const __typeof__(((type *)0)->member) *_mptr = (ptr); \
		(type *)((char *)_mptr - offsetof(type, member));     \
	})

#endif
