// SPDX-License-Identifier: GPL-2.0-only

/* Static inlines, macros and fields that Rust can't reach by itself. No logic lives here. */

#include <linux/fs.h>
#include <linux/inetdevice.h>
#include <linux/kmemleak.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/skbuff.h>
#include <linux/xarray.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netns/generic.h>

#include "helpers.h"

void *rust_helper_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

struct proc_dir_entry *rust_helper_net_proc(const struct net *net)
{
	return net->proc_net;
}

struct proc_dir_entry *rust_helper_net_proc_stat(const struct net *net)
{
	return net->proc_net_stat;
}

struct user_namespace *rust_helper_net_user_ns(const struct net *net)
{
	return net->user_ns;
}

struct net *rust_helper_maybe_get_net(struct net *net)
{
	return maybe_get_net(net);
}

void rust_helper_put_net(struct net *net)
{
	put_net(net);
}

struct net *rust_helper_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

void rust_helper_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

int rust_helper_dev_ifindex(const struct net_device *dev)
{
	return READ_ONCE(dev->ifindex);
}

const char *rust_helper_dev_name(const struct net_device *dev)
{
	return dev->name;
}

unsigned char rust_helper_dev_addr_len(const struct net_device *dev)
{
	return dev->addr_len;
}

unsigned int rust_helper_dev_flags(const struct net_device *dev)
{
	return READ_ONCE(dev->flags);
}

struct net_device *rust_helper_first_net_device_rcu(struct net *net)
{
	return list_first_or_null_rcu(&net->dev_base_head, struct net_device, dev_list);
}

struct net_device *rust_helper_next_net_device_rcu(struct net_device *dev)
{
	return next_net_device_rcu(dev);
}

struct in_device *rust_helper_in_dev_get_rcu(const struct net_device *dev)
{
	return __in_dev_get_rcu(dev);
}

struct net_device *rust_helper_notifier_dev(const void *info)
{
	return netdev_notifier_info_to_dev(info);
}

int rust_helper_fib_lookup_by(struct net *net, __be32 daddr, int oif, struct fib_result *res)
{
	struct flowi4 fl4 = { .daddr = daddr, .flowi4_oif = oif, .flowi4_scope = RT_SCOPE_UNIVERSE };

	return fib_lookup(net, &fl4, res, 0);
}

bool rust_helper_fib_has_gateway(const struct fib_result *res)
{
	return FIB_RES_NHC(*res)->nhc_gw_family;
}

struct net_device *rust_helper_fib_dev(const struct fib_result *res)
{
	return FIB_RES_DEV(*res);
}

int rust_helper_skb_network_offset(const struct sk_buff *skb)
{
	return skb_network_offset(skb);
}

u64 __percpu *rust_helper_alloc_percpu_u64(size_t size, gfp_t gfp)
{
	return __alloc_percpu_gfp(size, __alignof__(u64), gfp);
}

u64 *rust_helper_per_cpu_ptr_u64(u64 __percpu *ptr, unsigned int cpu)
{
	return per_cpu_ptr(ptr, cpu);
}

bool rust_helper_cpu_possible(unsigned int cpu)
{
	return cpu_possible(cpu);
}

void rust_helper_this_cpu_inc_u64(u64 __percpu *ptr)
{
	this_cpu_inc(*ptr);
}

void rust_helper_kmemleak_not_leak(const void *ptr)
{
	kmemleak_not_leak(ptr);
}

struct inode *rust_helper_file_inode(const struct file *file)
{
	return file_inode(file);
}

void *rust_helper_pde_data(const struct inode *inode)
{
	return pde_data(inode);
}

void rust_helper_xa_init_account_bh(struct xarray *xa)
{
	xa_init_flags(xa, XA_FLAGS_ACCOUNT | XA_FLAGS_LOCK_BH);
}

void *rust_helper_xa_store_bh(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	return xa_store_bh(xa, index, entry, gfp);
}

void *rust_helper_xa_erase_bh(struct xarray *xa, unsigned long index)
{
	return xa_erase_bh(xa, index);
}
