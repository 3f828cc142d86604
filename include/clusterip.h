/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
#ifndef _CLUSTERIP_H
#define _CLUSTERIP_H

/*
 * The payload of the xtables target CLUSTERIP, revision 0, for programs that build rules themselves.
 *
 * It is what <linux/netfilter_ipv4/ipt_CLUSTERIP.h> has always said, for the day when kernels no
 * longer bring that file. All numbers are in the byte order of the machine.
 */

#include <linux/types.h>

#define CLUSTERIP_REV0_NAME "CLUSTERIP"
#define CLUSTERIP_REV0_LOCAL_NODES 16
#define CLUSTERIP_REV0_FLAG_NEW 0x00000001

struct clusterip_rev0 {
	__u32 flags;		/* CLUSTERIP_REV0_FLAG_NEW: this rule may create the VIP */
	__u8 clustermac[6];	/* multicast; zero in a rule that is not new */
	__u16 num_total_nodes;	/* 1 to 64 */
	__u16 num_local_nodes;	/* how many of local_nodes count; 0: none is local */
	__u16 local_nodes[CLUSTERIP_REV0_LOCAL_NODES]; /* 1 to num_total_nodes each */
	__u32 hash_mode;	/* 0: source address, 1: and source port, 2: and destination port */
	__u32 hash_initval;	/* the seed, the same on all nodes */
	void *kernel_only;	/* read as 0, ignored when written */
};

/*
 * Revision 1, which only this module has. Rules of both revisions may stand for one VIP.
 */

#define CLUSTERIP_REV1_FLAG_NEW 0x00000001
#define CLUSTERIP_REV1_FLAG_NO_MARK 0x00000002 /* connections are not marked with their number */

struct clusterip_rev1 {
	__u32 flags;		/* as above; all other bits zero */
	__u8 clustermac[6];	/* multicast; zero in a rule that is not new */
	__u16 num_total_nodes;	/* 1 to 1024 */
	__u32 hash_mode;	/* as in revision 0; 3: destination address, 4: both addresses, 5: source address and SPI */
	__u32 hash_initval;	/* the seed, the same on all nodes */
	__be32 vip;		/* 0: what the rule's -d says */
	char device[16];	/* ends with a NUL; empty: what the rule's -i says */
	__u32 local_nodes[32];	/* node n: bit (n - 1) % 32 of word (n - 1) / 32 */
	void *kernel_only __attribute__((aligned(8))); /* read as 0, ignored when written */
};

#endif /* _CLUSTERIP_H */
