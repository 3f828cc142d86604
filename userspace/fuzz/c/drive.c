// SPDX-License-Identifier: GPL-2.0-only

/*
 * Does with a target what iptables does: parses a line's options, prints and saves a rule's payload. In C, since
 * xtables_error() must not return: here it jumps back.
 */

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xtables.h>

int drive_init(void);
int drive_parse(struct xtables_target *target, int argc, char **argv, void *payload, size_t *size, int *revision);
char *drive_show(struct xtables_target *target, const void *entry, int what, size_t *size);

static jmp_buf refused;
static char said[1 << 16];

static __attribute__((noreturn, format(printf, 2, 3))) void refuse(enum xtables_exittype status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	/* So that a format or a string that is none is found. */
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
	longjmp(refused, status);
}

static int supported(const char *name, uint8_t revision, int option)
{
	(void)name;
	(void)revision;
	(void)option;
	return 1;
}

static struct option base[] = { { NULL } };

static struct xtables_globals globals = {
	.program_name = "fuzz-translate",
	.program_version = "0",
	.orig_opts = base,
	.exit_err = refuse,
	.compat_rev = supported,
};

int drive_init(void)
{
	return xtables_init_all(&globals, NFPROTO_IPV4);
}

/*
 * Whether the line is taken (0) or with which status it is refused. Its payload comes to `payload`, which has room for `size` bytes;
 * what the kernel would get is `size` long then, and of that revision.
 */
int drive_parse(struct xtables_target *target, int argc, char **argv, void *payload, size_t *size, int *revision)
{
	static struct xt_entry_target *entry;
	size_t whole = XT_ALIGN(sizeof(*entry)) + target->size;
	volatile bool invert = false;
	int status, option;

	free(entry);
	entry = calloc(1, whole);
	if (entry == NULL)
		abort();
	entry->u.target_size = whole;
	strcpy(entry->u.user.name, target->name);
	entry->u.user.revision = target->revision;
	target->t = entry;
	target->tflags = 0;
	xtables_free_opts(1);
	/* It counts up for each target; after eight million lines it would no longer be a number of options. */
	globals.option_offset = 0;
	globals.opts = xtables_options_xfrm(globals.orig_opts, NULL, target->x6_options, &target->option_offset);
	if (globals.opts == NULL)
		abort();

	optind = 0;
	opterr = 0;
	status = setjmp(refused);
	if (status != 0)
		return status;
	while ((option = getopt_long(argc, argv, "-:", globals.opts, NULL)) != -1) {
		if (option == 1 && strcmp(optarg, "!") == 0) {
			invert = true;
			continue;
		}
		if (option < (int)target->option_offset)
			xtables_error(PARAMETER_PROBLEM, "unknown option \"%s\"", argv[optind - 1]);
		xtables_option_tpcall(option, argv, invert, target, NULL);
		invert = false;
	}
	xtables_option_tfcall(target);
	if (*size < target->size)
		abort();
	/* All of the room that there was: nothing of a longer payload may be left behind a shorter one. */
	memset(payload, 0, *size);
	memcpy(payload, entry->data, target->size);
	*size = entry->u.target_size - XT_ALIGN(sizeof(*entry));
	*revision = entry->u.user.revision;
	return 0;
}

/* What is printed (0) or saved (1) of a rule's target, said of the target itself (2) or of its translation (3); to be freed. */
char *drive_show(struct xtables_target *target, const void *entry, int what, size_t *size)
{
	FILE *terminal = stdout;
	char *text = NULL;

	stdout = open_memstream(&text, size);
	if (stdout == NULL)
		abort();
	switch (what) {
	case 0:
		target->print(NULL, entry, 1);
		break;
	case 1:
		target->save(NULL, entry);
		break;
	case 2:
		target->help();
		break;
	default:
		if (target->xlate(NULL, NULL) != 0)
			abort();
	}
	fclose(stdout);
	stdout = terminal;
	return text;
}
