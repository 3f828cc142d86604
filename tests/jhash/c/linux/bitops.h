/* SPDX-License-Identifier: GPL-2.0-only */
/* What jhash.h takes from the kernel's header of this name, for a program of userspace. */
#ifndef SHIM_LINUX_BITOPS_H
#define SHIM_LINUX_BITOPS_H

#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define fallthrough __attribute__((__fallthrough__))

static inline u32 rol32(u32 word, unsigned int shift)
{
	return (word << (shift & 31)) | (word >> (-shift & 31));
}

#endif
