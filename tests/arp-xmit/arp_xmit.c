// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests alone: hands ARP packets to arp_xmit() that the stack itself would never build.
 *
 * Each write to /sys/kernel/debug/arp_xmit sends one packet by a device of the writer's network
 * namespace. It is built as arp_create() does it, but for its content, which is the writer's: so
 * many bytes in the linear part, so many in a page, neither of them checked. What lies behind the
 * linear bytes is filled, for a hook may look there.
 */

#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/if_ether.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <net/arp.h>
#include <net/net_namespace.h>

/* How much is there behind the linear bytes, at least: more than a whole ARP message. */
#define TAIL 64

/* A flag: the packet is a clone's twin. */
#define SHARED 1

struct description {
	char device[IFNAMSIZ];
	u8 destination[ETH_ALEN];
	u16 linear;
	u16 paged;
	/* What the bytes behind the linear ones are. */
	u8 fill;
	u8 flags;
	u8 content[];
};

static struct dentry *file;

static int add_page(struct sk_buff *skb, const u8 *content, unsigned int len)
{
	struct page *page;

	if (!len)
		return 0;
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), content, len);
	skb_add_rx_frag(skb, 0, page, 0, len, PAGE_SIZE);
	return 0;
}

static int send(struct net_device *dev, const struct description *d)
{
	struct sk_buff *skb, *twin = NULL;
	int hlen = LL_RESERVED_SPACE(dev);
	int err;

	skb = alloc_skb(hlen + d->linear + dev->needed_tailroom + TAIL, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;

	skb_reserve(skb, hlen);
	skb_reset_network_header(skb);
	skb_put_data(skb, d->content, d->linear);
	memset(skb_tail_pointer(skb), d->fill, skb_tailroom(skb));
	err = add_page(skb, d->content + d->linear, d->paged);
	if (err)
		goto free;
	skb->dev = dev;
	skb->protocol = htons(ETH_P_ARP);
	err = dev_hard_header(skb, dev, ETH_P_ARP, d->destination, dev->dev_addr, skb->len);
	if (err < 0)
		goto free;
	if (d->flags & SHARED) {
		err = -ENOMEM;
		twin = skb_clone(skb, GFP_KERNEL);
		if (!twin)
			goto free;
	}

	arp_xmit(skb);
	err = 0;
	if (twin && memcmp(skb_network_header(twin), d->content, d->linear))
		err = -EIO;
	kfree_skb(twin);
	return err;

free:
	kfree_skb(skb);
	return err;
}

static ssize_t arp_xmit_write(struct file *filp, const char __user *buf, size_t count, loff_t *pos)
{
	struct description *d;
	struct net_device *dev;
	ssize_t ret = -EINVAL;

	if (count < sizeof(*d) || count > sizeof(*d) + 2 * PAGE_SIZE)
		return -EINVAL;
	d = memdup_user(buf, count);
	if (IS_ERR(d))
		return PTR_ERR(d);
	if (count != sizeof(*d) + d->linear + d->paged || d->paged > PAGE_SIZE ||
	    strnlen(d->device, IFNAMSIZ) == IFNAMSIZ)
		goto out;

	ret = -ENODEV;
	dev = dev_get_by_name(current->nsproxy->net_ns, d->device);
	if (!dev)
		goto out;
	ret = send(dev, d) ?: count;
	dev_put(dev);
out:
	kfree(d);
	return ret;
}

static const struct file_operations arp_xmit_ops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = arp_xmit_write,
};

static int __init arp_xmit_init(void)
{
	file = debugfs_create_file("arp_xmit", 0200, NULL, NULL, &arp_xmit_ops);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit arp_xmit_exit(void)
{
	debugfs_remove(file);
}

module_init(arp_xmit_init);
module_exit(arp_xmit_exit);
MODULE_DESCRIPTION("Test only: hands odd ARP packets to arp_xmit()");
MODULE_LICENSE("GPL");
