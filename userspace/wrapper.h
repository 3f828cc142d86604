/* SPDX-License-Identifier: GPL-2.0-only */

/* What bindgen reads. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <xtables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
