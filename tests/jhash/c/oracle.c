// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expected node of a packet, from the kernel's own jhash.h: nothing is shared with src/cluster.
 * JHASH_H is the path of that header; what it includes is beside this file.
 */
#include JHASH_H

#define ORACLE_BAD_MODE 0

u32 oracle_node(u32 mode, const u8 source[4], const u8 ports[4], u32 seed, u32 total, u32 *hash);

/* The node, from 1; ORACLE_BAD_MODE when there is no such mode. */
u32 oracle_node(u32 mode, const u8 source[4], const u8 ports[4], u32 seed, u32 total, u32 *hash)
{
	u32 saddr = (u32)source[0] << 24 | (u32)source[1] << 16 | (u32)source[2] << 8 | source[3];
	/* As a little-endian machine loads them, whatever this one is. */
	u32 sport = ports[0] | (u32)ports[1] << 8;
	u32 dport = ports[2] | (u32)ports[3] << 8;

	switch (mode) {
	case 0:
		*hash = jhash_1word(saddr, seed);
		break;
	case 1:
		*hash = jhash_2words(saddr, sport, seed);
		break;
	case 2:
		*hash = jhash_3words(saddr, sport, dport, seed);
		break;
	default:
		return ORACLE_BAD_MODE;
	}
	/* reciprocal_scale() */
	return (u32)(((u64)*hash * total) >> 32) + 1;
}

u32 oracle_node_rev1(u32 mode, const u8 source[4], const u8 destination[4], const u8 *spi, u32 seed, u32 total,
		     u32 *hash);

static u32 big_endian(const u8 bytes[4])
{
	return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

/* As above, in the modes that revision 1 has more. `spi` is its four bytes, or NULL. */
u32 oracle_node_rev1(u32 mode, const u8 source[4], const u8 destination[4], const u8 *spi, u32 seed, u32 total,
		     u32 *hash)
{
	u32 saddr = big_endian(source), daddr = big_endian(destination);

	switch (mode) {
	case 3:
		*hash = jhash_1word(daddr, seed);
		break;
	case 4:
		if (saddr <= daddr)
			*hash = jhash_2words(saddr, daddr, seed);
		else
			*hash = jhash_2words(daddr, saddr, seed);
		break;
	case 5:
		if (spi)
			*hash = jhash_2words(saddr, big_endian(spi), seed);
		else
			*hash = jhash_1word(saddr, seed);
		break;
	default:
		return ORACLE_BAD_MODE;
	}
	return (u32)(((u64)*hash * total) >> 32) + 1;
}
