/* SPDX-License-Identifier: GPL-2.0-only */

/* What bindgen reads: kernel headers that the kernel crate does not bind. */

#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>
#include <net/netfilter/ipv4/nf_defrag_ipv4.h>
#include <net/netfilter/nf_conntrack.h>

#if __has_include(<uapi/linux/netfilter_ipv4/ipt_CLUSTERIP.h>)
#include <uapi/linux/netfilter_ipv4/ipt_CLUSTERIP.h>
#endif

#include "clusterip.h"
#include "helpers.h"

/* Fields of structs that stay opaque, since they hold half of the kernel. */
enum {
	NF_CONN_MARK_OFFSET = offsetof(struct nf_conn, mark),
	NF_CONN_STATUS_OFFSET = offsetof(struct nf_conn, status),
};
