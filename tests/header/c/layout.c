// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the header's fields are: for each its offset and its size, in the order of the header; the whole at the end.
 */
#include <stddef.h>
#include "clusterip.h"

struct place {
	size_t offset;
	size_t size;
};

#define FIELD(type, name) { offsetof(struct type, name), sizeof(((struct type *)0)->name) }
#define WHOLE(type) { 0, sizeof(struct type) }

const struct place clusterip_layout_rev0[9] = {
	FIELD(clusterip_rev0, flags),
	FIELD(clusterip_rev0, clustermac),
	FIELD(clusterip_rev0, num_total_nodes),
	FIELD(clusterip_rev0, num_local_nodes),
	FIELD(clusterip_rev0, local_nodes),
	FIELD(clusterip_rev0, hash_mode),
	FIELD(clusterip_rev0, hash_initval),
	FIELD(clusterip_rev0, kernel_only),
	WHOLE(clusterip_rev0),
};

const struct place clusterip_layout_rev1[10] = {
	FIELD(clusterip_rev1, flags),
	FIELD(clusterip_rev1, clustermac),
	FIELD(clusterip_rev1, num_total_nodes),
	FIELD(clusterip_rev1, hash_mode),
	FIELD(clusterip_rev1, hash_initval),
	FIELD(clusterip_rev1, vip),
	FIELD(clusterip_rev1, device),
	FIELD(clusterip_rev1, local_nodes),
	FIELD(clusterip_rev1, kernel_only),
	WHOLE(clusterip_rev1),
};

const unsigned int clusterip_flags[3] = {
	CLUSTERIP_REV0_FLAG_NEW,
	CLUSTERIP_REV1_FLAG_NEW,
	CLUSTERIP_REV1_FLAG_NO_MARK,
};
