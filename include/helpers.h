/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CLUSTERIP_HELPERS_H
#define _CLUSTERIP_HELPERS_H

/* Static inlines and fields of structs that bindgen can't follow, made callable. No logic. */

#include <linux/types.h>

struct fib_result;
struct file;
struct flowi4;
struct in_device;
struct inode;
struct net;
struct net_device;
struct nf_conn;
struct proc_dir_entry;
struct sk_buff;
struct user_namespace;
struct xarray;

/* net */
void *rust_helper_net_generic(const struct net *net, unsigned int id);
struct proc_dir_entry *rust_helper_net_proc(const struct net *net);
struct proc_dir_entry *rust_helper_net_proc_stat(const struct net *net);
struct user_namespace *rust_helper_net_user_ns(const struct net *net);
struct net *rust_helper_maybe_get_net(struct net *net);
void rust_helper_put_net(struct net *net);

/* net_device */
struct net *rust_helper_dev_net(const struct net_device *dev);
void rust_helper_dev_put(struct net_device *dev);
int rust_helper_dev_ifindex(const struct net_device *dev);
const char *rust_helper_dev_name(const struct net_device *dev);
unsigned char rust_helper_dev_addr_len(const struct net_device *dev);
unsigned int rust_helper_dev_flags(const struct net_device *dev);
struct net_device *rust_helper_first_net_device_rcu(struct net *net);
struct net_device *rust_helper_next_net_device_rcu(struct net_device *dev);
struct in_device *rust_helper_in_dev_get_rcu(const struct net_device *dev);
struct net_device *rust_helper_notifier_dev(const void *info);

/* routing */
int rust_helper_fib_lookup_by(struct net *net, __be32 daddr, int oif, struct fib_result *res);
bool rust_helper_fib_has_gateway(const struct fib_result *res);
struct net_device *rust_helper_fib_dev(const struct fib_result *res);

/* sk_buff, conntrack */
int rust_helper_skb_network_offset(const struct sk_buff *skb);

/* processors */
u64 __percpu *rust_helper_alloc_percpu_u64(size_t size, gfp_t gfp);
u64 *rust_helper_per_cpu_ptr_u64(u64 __percpu *ptr, unsigned int cpu);
bool rust_helper_cpu_possible(unsigned int cpu);
void rust_helper_this_cpu_inc_u64(u64 __percpu *ptr);

/* memory */
void rust_helper_kmemleak_not_leak(const void *ptr);

/* files, trees */
struct inode *rust_helper_file_inode(const struct file *file);
void *rust_helper_pde_data(const struct inode *inode);
void rust_helper_xa_init_account_bh(struct xarray *xa);
void *rust_helper_xa_store_bh(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *rust_helper_xa_erase_bh(struct xarray *xa, unsigned long index);

#endif /* _CLUSTERIP_HELPERS_H */
