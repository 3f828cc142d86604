/* SPDX-License-Identifier: GPL-2.0-only */
/* What jhash.h takes from the kernel's header of this name, for a program of userspace. */
#ifndef SHIM_LINUX_UNALIGNED_H
#define SHIM_LINUX_UNALIGNED_H

#define get_unaligned(pointer)						\
	({								\
		__typeof__(*(pointer)) value_;				\
		__builtin_memcpy(&value_, (pointer), sizeof(value_));	\
		value_;							\
	})

#endif
